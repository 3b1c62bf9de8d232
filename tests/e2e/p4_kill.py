#!/usr/bin/env python3
"""usage: p4_kill.py --app DIR [--keys N] [--kills N] [--workers N] [--seed S]

Four clients put keys through PUT /kv while every process of the app is killed with -9 at random
instants and started again. Then each put that was answered is read back from every worker.

A put whose connection broke has no answer, so it promises nothing; its client tries again with
another value, and that one must be found if it was answered.

Exit status: 0 nothing was lost, 1 something was.
"""
import argparse
import os
import random
import sys
import threading
import time

import client
from federation import Federation

CLIENT_COUNT = 4
PIPELINED = 64


class Putter(threading.Thread):
    """One client with one kept connection, which goes on wherever it was cut off."""

    def __init__(self, number, keys, federation, progress):
        super().__init__()
        self.number, self.keys, self.federation, self.progress = number, keys, federation, progress
        self.answered = {}     # key: the value of the put that was answered
        self.unanswered = 0
        self.refused = []

    def connect(self):
        while True:
            host = self.federation.host
            try:
                if host is not None:
                    ports = host["worker_ports"]
                    return self.federation.app.connect(ports[self.number % len(ports)])
            except OSError:
                pass
            time.sleep(0.005)  # its host is down

    def run(self):
        connection = None
        for key in self.keys:
            attempt = 0
            while key not in self.answered:
                attempt += 1
                value = f"value of {key}, attempt {attempt}".encode()
                try:
                    connection = connection or self.connect()
                    answer = connection.ask("PUT", f"/kv/{key}", value)
                except OSError:
                    self.unanswered += 1
                    connection = None
                    continue
                if answer.status in (200, 204):
                    self.answered[key] = value
                    self.progress.add()
                elif answer.status != 503:
                    self.refused.append(f"{answer.status} {answer.body[:200]!r}")
                    return


class Progress:
    def __init__(self):
        self.changed = threading.Condition()
        self.count = 0

    def add(self):
        with self.changed:
            self.count += 1
            self.changed.notify_all()

    def reach(self, count, seconds):
        with self.changed:
            return self.changed.wait_for(lambda: self.count >= count, seconds)


def read_back(federation, answered):
    """How many answered puts each worker lacks."""
    app, ports = federation.app, federation.host["worker_ports"]
    versions = [app.connect(port).ask("GET", "/healthz").headers["x-paranoid-version"]
                for port in ports]
    lost = []
    for number, port in enumerate(ports):
        connection = app.connect(port)
        for version in versions:  # P6: from here on it knows what the others have answered
            def reach():
                return connection.ask("GET", "/kv/none", headers={"X-Paranoid-After": version})
            if not client.wait_until(lambda: reach().status == 404):
                answer = reach()
                lost.append(f"worker {number} does not reach a version: {answer.status} "
                            f"{answer.body!r}")
        items = list(answered.items())
        for start in range(0, len(items), PIPELINED):
            batch = items[start:start + PIPELINED]
            connection.stream.sendall(
                b"".join(connection.encode("GET", f"/kv/{key}") for key, _ in batch))
            for key, value in batch:
                answer = connection.receive()
                if answer.status != 200 or answer.body != value:
                    lost.append(f"worker {number}: {key} should be {value!r}, is {answer.status} "
                                f"{answer.body[:80]!r}")
        connection.close()
    return lost


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--app", required=True)
    parser.add_argument("--keys", type=int, default=10000)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4), "little"))
    options = parser.parse_args()
    print(f"SEED={options.seed}", flush=True)
    chance = random.Random(options.seed)

    with open(f"{options.app}.log", "ab") as log:
        federation = Federation(client.App(options.app), options.workers, log)
        progress = Progress()
        try:
            print(f"first start: {federation.start():.2f} s", flush=True)
            putters = [Putter(number, [f"p4-{number}-{i}" for i in
                                       range(options.keys // CLIENT_COUNT)], federation, progress)
                       for number in range(CLIENT_COUNT)]
            for putter in putters:
                putter.daemon = True
                putter.start()
            # Instants: after so many answers, and a moment that is no multiple of anything.
            instants = sorted(chance.sample(range(1, options.keys * 9 // 10), options.kills))
            for instant in instants:
                if not progress.reach(instant, client.READY_S):
                    print(f"only {progress.count} puts were answered, {instant} expected")
                    return 1
                time.sleep(chance.uniform(0, 0.02))
                count = progress.count
                federation.kill(chance)
                recovery = federation.start()
                print(f"killed after {count} answers, answers again in {recovery:.2f} s",
                      flush=True)
            for putter in putters:
                putter.join(client.READY_S)
            refused = [line for putter in putters for line in putter.refused]
            if refused or any(putter.is_alive() for putter in putters):
                print(f"a client did not finish ({progress.count} answers): {refused}")
                return 1
            answered = {k: v for putter in putters for k, v in putter.answered.items()}
            begun = time.monotonic()
            lost = read_back(federation, answered)
            print(f"{len(answered)} puts answered, {sum(p.unanswered for p in putters)} cut off; "
                  f"read back from each of {options.workers} workers in "
                  f"{time.monotonic() - begun:.1f} s: {len(lost)} lost")
            for line in lost[:20]:
                print(line)
            status = federation.stop()
            if status != 0:
                print(f"paranoid up ended with status {status}")
            return 1 if lost or status != 0 else 0
        finally:
            if federation.process is not None and federation.process.poll() is None:
                federation.kill(chance)


if __name__ == "__main__":
    sys.exit(main())
