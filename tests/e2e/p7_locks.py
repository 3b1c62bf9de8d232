#!/usr/bin/env python3
"""usage: p7_locks.py --app DIR [--increments N] [--kills N] [--workers N] [--seed S]

Clients increment two counters through every worker while workers are killed with -9: one counter
by a function under ctx.lock, one by GET and PUT with If-Match. Then each worker is asked for both.

Of the increments that were answered each has a value of its own, and none is missing: a value above
the number of the answered ones is an increment that was cut off and counts all the same.

Exit status: 0 nothing was lost or counted twice, 1 something was.
"""
import argparse
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
import urllib.request

import client
from federation import Federation

CLIENT_COUNT = 6
FUNCTION = b"""exports.handler = (event, ctx) => ctx.lock('count', () => {
    const value = (ctx.kv.getJSON('counted') ?? 0) + 1;
    ctx.kv.put('counted', value);
    return { value };
});
"""


class Counts:
    """What was answered, over all clients."""

    def __init__(self, wanted):
        self.wanted, self.lock = wanted, threading.Lock()
        self.answered, self.cut_off, self.refused, self.codes = [], 0, [], {}

    def is_done(self):
        with self.lock:
            return len(self.answered) >= self.wanted or self.refused != []

    def add(self, value):
        with self.lock:
            self.answered.append(value)

    def note(self, code):
        with self.lock:
            self.codes[code] = self.codes.get(code, 0) + 1


class Counter(threading.Thread):
    def __init__(self, number, federation, counts, increment):
        super().__init__(daemon=True)
        self.number, self.federation, self.counts = number, federation, counts
        self.increment, self.turn = increment, number

    def connect(self):
        while True:
            ports = self.federation.host["worker_ports"]
            self.turn += 1
            try:
                return self.federation.app.connect(ports[self.turn % len(ports)])
            except OSError:
                time.sleep(0.01)  # its worker is down

    def run(self):
        connection = None
        while not self.counts.is_done():
            try:
                connection = connection or self.connect()
                self.increment(connection, self.counts)
            except (OSError, ValueError):
                with self.counts.lock:
                    self.counts.cut_off += 1
                connection = None


def by_lock(connection, counts):
    answer = connection.ask("POST", "/function/count")
    if answer.status == 200:
        counts.add(json.loads(answer.body)["value"])
    elif answer.status in (409, 503) or answer.code in ("no_function", "time_limit"):
        counts.note(answer.code)
    else:
        counts.refused.append(f"{answer.status} {answer.body[:200]!r}")


def by_version(connection, counts):
    answer = connection.ask("GET", "/kv/swapped")
    if answer.status not in (200, 404):
        counts.note(answer.code)
        return
    value = 1 if answer.status == 404 else int(answer.body) + 1
    condition = {"If-None-Match": "*"} if answer.status == 404 else \
        {"If-Match": answer.headers["etag"]}
    answer = connection.ask("PUT", "/kv/swapped", str(value).encode(), condition)
    if answer.status == 204:
        counts.add(value)
    elif answer.status in (409, 412, 503):
        counts.note(answer.code)
    else:
        counts.refused.append(f"{answer.status} {answer.body[:200]!r}")


def worker_pids(federation):
    page = f"http://127.0.0.1:{federation.host['metrics_port']}/status"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    status = json.loads(opener.open(page, timeout=client.TIMEOUT_S).read())
    return [e["pid"] for e in status["enclaves"] if e["role"] == "worker" and e["state"] == "ready"]


def kill_some(federation, counts, kills, chance):
    done = 0
    while done < kills and not all(c.is_done() for c in counts):
        goal = (done + 1) * min(c.wanted for c in counts) // (kills + 1)
        if min(len(c.answered) for c in counts) >= goal:
            pids = worker_pids(federation)
            if pids != []:
                os.kill(chance.choice(pids), signal.SIGKILL)
                done += 1
        time.sleep(0.02)
    return done


def judge(name, counts, values):
    """Whether the answered increments and what the workers say agree."""
    answered = sorted(counts.answered)
    print(f"{name}: {len(answered)} answered, {counts.cut_off} cut off, told {counts.codes}; "
          f"the workers say {values}")
    if counts.refused:
        print(f"refused: {counts.refused[:5]}")
    is_right = counts.refused == [] and len(set(values)) == 1
    if len(set(answered)) != len(answered):
        print(f"{name}: a value was answered twice: an increment is lost")
        is_right = False
    if answered[-1] > values[0] or values[0] < len(answered):
        print(f"{name}: {len(answered)} increments were answered, up to {answered[-1]}; "
              f"the counter says {values[0]}")
        is_right = False
    undecided = sum(counts.codes.get(code, 0)
                    for code in ("lock_undecided", "not_durable", "time_limit"))
    if values[0] > len(answered) + counts.cut_off + undecided:
        print(f"{name}: more was counted than was asked for")
        is_right = False
    return is_right


def ask_all(federation, key, after):
    values = []
    for port in federation.host["worker_ports"]:
        connection = federation.app.connect(port)
        for version in after:
            def reach():
                return connection.ask("GET", "/kv/none", headers={"X-Paranoid-After": version})
            client.wait_until(lambda: reach().status == 404)
        values.append(int(connection.ask("GET", f"/kv/{key}").body))
        connection.close()
    return values


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--app", required=True)
    parser.add_argument("--increments", type=int, default=400)
    parser.add_argument("--kills", type=int, default=6)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4), "little"))
    options = parser.parse_args()
    print(f"SEED={options.seed}", flush=True)
    chance = random.Random(options.seed)

    with open(f"{options.app}.log", "ab") as log:
        federation = Federation(client.App(options.app), options.workers, log)
        try:
            federation.start()
            source = f"{options.app}.count.js"
            with open(source, "wb") as file:
                file.write(FUNCTION)
            program = os.path.join(os.environ["PARANOID_BIN"], "paranoid")
            subprocess.run([program, "deploy", source, "--name", "count", "--app", options.app],
                           check=True, stdout=log, stderr=log)
            counts = [Counts(options.increments), Counts(options.increments // 4)]
            clients = [Counter(i, federation, counts[0], by_lock) for i in range(CLIENT_COUNT)]
            clients += [Counter(i, federation, counts[1], by_version) for i in range(2)]
            begun = time.monotonic()
            for one in clients:
                one.start()
            kills = kill_some(federation, counts, options.kills, chance)
            for one in clients:
                one.join(2 * client.READY_S)
            seconds = time.monotonic() - begun
            if any(one.is_alive() for one in clients):
                print(f"a client did not finish: {[len(c.answered) for c in counts]}")
                return 1
            if not client.wait_until(lambda: len(worker_pids(federation)) == options.workers):
                print("the workers do not come back")
                return 1
            if not client.wait_ready(federation.app, federation.process.pid):
                print("a worker does not answer")
                return 1
            print(f"{kills} workers killed; {len(counts[0].answered) / seconds:.0f} increments/s")
            versions = [federation.app.connect(port).ask("GET", "/healthz")
                        .headers["x-paranoid-version"] for port in federation.host["worker_ports"]]
            is_right = judge("ctx.lock", counts[0], ask_all(federation, "counted", versions))
            is_right &= judge("If-Match", counts[1], ask_all(federation, "swapped", versions))
            status = federation.stop()
            if status != 0:
                print(f"paranoid up ended with status {status}")
            return 0 if is_right and status == 0 else 1
        finally:
            if federation.process is not None and federation.process.poll() is None:
                federation.kill(chance)


if __name__ == "__main__":
    sys.exit(main())
