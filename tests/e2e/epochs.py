#!/usr/bin/env python3
"""usage: epochs.py STEP --app DIR [--seconds S]

What epochs cost, and how far behind they leave anybody, on a running app.

  idle    wait until nothing is written any more; then, over S seconds, no record may be added.
          Prints for each process its CPU time and how often it woke up.
  load    put from four clients for S seconds; then take from the capsule how far each record's
          writer was behind: SYNCs that the store held before the record came, less those that its
          branch had joined. Prints the share of each, and p99; at most 2 is right.

Exit status: 0 right, 1 not so.
"""
import argparse
import collections
import json
import os
import pathlib
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import client  # noqa: E402

CLIENTS = 4
QUIET_S = 3
LAG_MAX = 2
IDLE_CPU_SHARE_MAX = 0.01  # of one CPU, for each process


def paranoid(app, *arguments):
    """What it says, one value per line."""
    program = os.environ["PARANOID_BIN"] + "/paranoid"
    said = subprocess.run([program, *arguments, "--json", "--app", app.directory],
                          capture_output=True, text=True, check=True).stdout
    return [json.loads(line) for line in said.splitlines()]


def status(app):
    return paranoid(app, "status")[0]


def records(app):
    return sum(store["records"] for store in status(app)["stores"])


def processes(app):
    now = status(app)
    found = {"host": app.host()["pid"]}
    for store in now["stores"]:
        found[store["name"]] = store["pid"]
    for enclave in now["enclaves"]:
        found[f"{enclave['role']} {enclave['index']}"] = enclave["pid"]
    return found


def spent(pid):
    """Of each thread: CPU seconds, and how often it went to sleep of its own will."""
    found = {}
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        fields = (task / "stat").read_text().rsplit(")", 1)[1].split()
        sleeps = [int(line.split()[1]) for line in (task / "status").read_text().splitlines()
                  if line.startswith("voluntary_ctxt_switches:")]
        seconds = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        found[task.name] = (seconds, sleeps[0])
    return found


def spent_between(before, after):
    nothing = (0, 0)
    return [sum(after[task][i] - before.get(task, nothing)[i] for task in after) for i in (0, 1)]


def idle(app, options):
    count, since = records(app), time.monotonic()
    while time.monotonic() < since + QUIET_S:
        time.sleep(0.2)
        if records(app) != count:
            count, since = records(app), time.monotonic()
    pids = processes(app)
    before = {name: spent(pid) for name, pid in pids.items()}
    time.sleep(options.seconds)  # it is what is measured
    after = {name: spent(pid) for name, pid in pids.items()}
    is_right = records(app) == count
    print(f"{records(app) - count} records in {options.seconds} s")
    for name in pids:
        seconds, sleeps = spent_between(before[name], after[name])
        share, wakes = seconds / options.seconds, sleeps / options.seconds
        print(f"{name}: {share * 100:.2f} % of a CPU, {wakes:.1f} wake-ups/s")
        is_right = is_right and share <= IDLE_CPU_SHARE_MAX
    return is_right


def put_for(app, seconds):
    ports = app.host()["worker_ports"]
    end = time.monotonic() + seconds
    counts = [0] * CLIENTS

    def work(number):
        connection = app.connect(ports[number % len(ports)])
        while time.monotonic() < end:
            answer = connection.ask("PUT", f"/kv/load-{number}-{counts[number] % 1000}", b"x" * 200)
            counts[number] += answer.status == 204
    threads = [threading.Thread(target=work, args=(i,)) for i in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts)


def lags(app, first_epoch):
    """Of DATA records behind that epoch, in the order in which the store took them."""
    newest, found = 0, collections.Counter()
    for record in reversed(paranoid(app, "capsule", "log")):
        if record["type"] == "SYNC":
            newest = max(newest, record["epoch"])
        elif record["type"] == "DATA" and newest > first_epoch:
            # A record's epoch is one more than that of the SYNC that its branch has joined.
            found[newest - (record["epoch"] - 1)] += 1
    return found


def load(app, options):
    first_epoch = max(r["epoch"] for r in paranoid(app, "capsule", "log"))
    puts = put_for(app, options.seconds)
    found = lags(app, first_epoch)
    total = sum(found.values())
    seen, p99 = 0, 0
    for lag in sorted(found):
        p99 = lag
        seen += found[lag]
        if seen >= 0.99 * total:
            break
    shares = ", ".join(f"{lag}: {found[lag] / total * 100:.1f} %" for lag in sorted(found))
    print(f"{puts} puts, {total} records; epochs behind: {shares}; p99 {p99}")
    return total > 0 and p99 <= LAG_MAX


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("step", choices=["idle", "load"])
    parser.add_argument("--app", required=True)
    parser.add_argument("--seconds", type=float, default=10)
    options = parser.parse_args()
    steps = {"idle": idle, "load": load}
    return 0 if steps[options.step](client.App(options.app), options) else 1


if __name__ == "__main__":
    sys.exit(main())
