#!/usr/bin/env python3
"""usage: cold_keys.py STEP --app DIR --keys N [--seed S]

  put     put N keys of 1 KiB from eight clients
  get     get a tenth of them, drawn at random, at every worker; each value must be the one that was put
  list    list all of them, page by page; each key must come once, in order
  rss     print the resident memory, in MiB, of the worker that takes most
  fill    put N keys of 1 KiB by the function "cold" (cold_keys.js), eight clients at once
  read    read keys drawn at random by the same function, through 1, 2 and 4 workers; print gets
          per second and the CPU time that each kind of process takes for a get
  bound   print the MiB that a worker may take beyond what it takes when it starts
  disk    wait until nothing more is pruned; print what the store's segments take, over the keys
          and values

Exit status: 0 right, 1 not so.
"""
import argparse
import pathlib
import random
import subprocess
import sys
import threading
import time

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


# ---- many keys at once ----

FILL_KEYS = 200  # of one invocation
READ_GETS = 100
READ_S_MAX = 20


class Caller:
    """Invokes the function at one worker, on one connection after the other."""

    def __init__(self, app, port):
        self.app, self.port, self.connection = app, port, None

    def invoke(self, body):
        """What is refused for now is asked again, for long: tables may have to catch up."""
        trouble = None
        for _ in range(2000):
            try:
                if self.connection is None:
                    self.connection = self.app.connect(self.port, 120)
                answer = self.connection.ask("POST", "/function/cold",
                                             client.json.dumps(body).encode())
                if answer.status == 200:
                    return client.json.loads(answer.body)["wrong"]
                trouble = (answer.status, answer.body)
            except OSError as error:
                self.connection, trouble = None, error
            time.sleep(0.05)
        raise AssertionError((body, trouble))


def status(app):
    program = client.os.environ["PARANOID_BIN"] + "/paranoid"
    return client.json.loads(subprocess.run([program, "status", "--json", "--app", app.directory],
                                            capture_output=True, text=True).stdout)


def memory_bound(memory_mib, keys):
    """MiB that a worker may come to, beyond what it takes when it has just started
    (docs/architecture.md, Cold keys)."""
    cache = max(4, memory_mib / 4)
    index = 7 * keys / 1e6
    return 2 * memory_mib + 1 + cache + 2 * index + 160


def bound(_app, options):
    print(round(memory_bound(options.memory, options.keys)))
    return True


def fill(app, options):
    ports = app.host()["worker_ports"]
    begun = time.monotonic()

    def work(number):
        caller = Caller(app, ports[number % len(ports)])
        for i in range(number * FILL_KEYS, options.keys, CLIENTS * FILL_KEYS):
            caller.invoke({"put": [i, min(i + FILL_KEYS, options.keys)]})
    is_right = in_parallel(work)
    print(f"put {options.keys} keys in {time.monotonic() - begun:.0f} s")
    return is_right


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / client.os.sysconf("SC_CLK_TCK")


def cpu_by_kind(app):
    now = status(app)
    pids = {"host": [app.host()["pid"]], "stores": [s["pid"] for s in now["stores"]]}
    for enclave in now["enclaves"]:
        pids.setdefault(enclave["role"], []).append(enclave["pid"])
    return {kind: sum(cpu_seconds(pid) for pid in group) for kind, group in pids.items()}


def read_through(app, options, worker_count):
    ports = app.host()["worker_ports"][:worker_count]
    counts = [0] * worker_count
    seconds = min(READ_S_MAX, max(4, options.keys // 50000))
    end = time.monotonic() + seconds

    def work(number):
        caller = Caller(app, ports[number])
        while time.monotonic() < end:
            seed = options.seed * 1000 + number * 100003 + counts[number]
            wrong = caller.invoke({"get": READ_GETS, "seed": seed, "keys": options.keys})
            assert wrong == 0, (seed, wrong)
            counts[number] += READ_GETS
    before = cpu_by_kind(app)
    failures = []

    def guarded(number):
        try:
            work(number)
        except Exception as error:  # shown below
            failures.append(repr(error))
    threads = [threading.Thread(target=guarded, args=(i,)) for i in range(worker_count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    after = cpu_by_kind(app)
    gets = sum(counts)
    spent = ", ".join(f"{kind} {(after[kind] - before[kind]) / max(gets, 1) * 1e6:.0f}"
                      for kind in sorted(after))
    print(f"{worker_count} reading workers: {gets / seconds:.0f} gets/s; us of CPU time per get: {spent}")
    for failure in failures:
        print(failure, file=sys.stderr)
    return not failures


def await_merged(app):
    """Until the compactor rests: a merge takes a core, and its new tables have yet to be cached."""
    def spent():
        return sum(cpu_seconds(e["pid"]) for e in status(app)["enclaves"] if e["role"] == "compactor")
    quiet = 0
    for _ in range(200):
        before = spent()
        time.sleep(2)
        # One merge may ask for the next, when a SYNC names what it wrote.
        quiet = quiet + 1 if spent() - before < 0.1 else 0
        if quiet == 3:
            return


def read(app, options):
    await_merged(app)
    most = len(app.host()["worker_ports"])
    return all([read_through(app, options, count) for count in (1, 2, 4) if count <= most])


def disk(app, options):
    def taken():
        return sum(path.stat().st_size for path in app.directory.rglob("segment-*"))
    now, since = taken(), time.monotonic()
    while time.monotonic() < since + 20:
        time.sleep(1)
        if taken() != now:
            now, since = taken(), time.monotonic()
    live = options.keys * (VALUE_BYTES + len(key(0)))
    print(f"{now / 1e6:.0f} MB of segments for {live / 1e6:.0f} MB of keys and values: {now / live:.2f} times")
    return now <= options.times * live


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("step", choices=["put", "get", "list", "rss", "fill", "read", "disk", "bound"])
    parser.add_argument("--app", required=True)
    parser.add_argument("--keys", type=int, required=True)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    parser.add_argument("--memory", type=int, default=64, help="of bound: MiB")
    parser.add_argument("--times", type=float, default=1.5, help="of disk: no more than so many")
    options = parser.parse_args()
    steps = {"put": put, "get": get, "list": listed, "rss": rss, "fill": fill, "read": read,
             "disk": disk, "bound": bound}
    is_right = steps[options.step](client.App(options.app), options)
    if not is_right:
        print(f"repeat with --seed {options.seed}", file=sys.stderr)
    return 0 if is_right else 1


if __name__ == "__main__":
    sys.exit(main())
