#!/usr/bin/env python3
"""usage: cold_keys.py STEP --app DIR --keys N [--seed S]

  put     put N keys of 1 KiB from eight clients
  get     get a tenth of them, drawn at random, at every worker; each value must be the one that was put
  list    list all of them, page by page; each key must come once, in order
  rss     print the resident memory, in MiB, of the worker that takes most

Exit status: 0 right, 1 not so.
"""
import argparse
import pathlib
import random
import subprocess
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import client  # noqa: E402

CLIENTS = 8
VALUE_BYTES = 1024
PAGE = 1000


def key(number):
    return f"key-{number:08d}"


def value(number):
    return (f"{number}-" + f"{random.Random(number).getrandbits(128):032x}" * 32)[:VALUE_BYTES]


def in_parallel(work):
    failures = []

    def run(number):
        try:
            work(number)
        except Exception as error:  # shown to the one who asked
            failures.append(repr(error))
    threads = [threading.Thread(target=run, args=(i,)) for i in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for failure in failures[:5]:
        print(failure, file=sys.stderr)
    return not failures


def ask(connection, method, path, body=b""):
    """What is refused for now is asked again."""
    for _ in range(100):
        answer = connection.ask(method, path, body)
        if answer.status != 503:
            return answer
    return answer


def put(app, options):
    ports = app.host()["worker_ports"]

    def work(number):
        connection = app.connect(ports[number % len(ports)])
        for i in range(number, options.keys, CLIENTS):
            answer = ask(connection, "PUT", f"/kv/{key(i)}", value(i).encode())
            assert answer.status == 204, (i, answer.status, answer.body)
    return in_parallel(work)


def get(app, options):
    ports = app.host()["worker_ports"]

    def work(number):
        draw = random.Random(options.seed * CLIENTS + number)
        connection = app.connect(ports[number % len(ports)])
        for _ in range(options.keys // 10 // CLIENTS):
            i = draw.randrange(options.keys)
            answer = ask(connection, "GET", f"/kv/{key(i)}")
            assert answer.status == 200 and answer.body == value(i).encode(), (i, answer.status)
    return in_parallel(work)


def listed(app, options):
    connection = app.connect(app.host()["worker_ports"][0])
    keys, cursor = [], None
    while True:
        path = f"/kv?prefix=key-&limit={PAGE}" + (f"&cursor={cursor}" if cursor else "")
        answer = ask(connection, "GET", path)
        page = client.json.loads(answer.body)
        keys += page["keys"]
        cursor = page["cursor"]
        if not cursor:
            break
    expected = [key(i) for i in range(options.keys)]
    if keys != expected:
        print(f"{len(keys)} keys are listed, {options.keys} were put", file=sys.stderr)
    return keys == expected


def rss(app, options):
    status = subprocess.run([client.os.environ["PARANOID_BIN"] + "/paranoid", "status", "--json",
                             "--app", app.directory], capture_output=True, text=True).stdout
    pids = [e["pid"] for e in client.json.loads(status)["enclaves"] if e["role"] == "worker"]
    most = 0
    for pid in pids:
        for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                most = max(most, int(line.split()[1]) // 1024)
    print(most)
    return True


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("step", choices=["put", "get", "list", "rss"])
    parser.add_argument("--app", required=True)
    parser.add_argument("--keys", type=int, required=True)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    options = parser.parse_args()
    steps = {"put": put, "get": get, "list": listed, "rss": rss}
    is_right = steps[options.step](client.App(options.app), options)
    if not is_right:
        print(f"repeat with --seed {options.seed}", file=sys.stderr)
    return 0 if is_right else 1


if __name__ == "__main__":
    sys.exit(main())
