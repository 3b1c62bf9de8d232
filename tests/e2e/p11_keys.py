#!/usr/bin/env python3
"""usage: p11_keys.py rotate|revoke --app DIR --pid PID [--seconds N]

Clients put keys at every worker of a running app while the owner works with its keys:

  rotate   'paranoid keys rotate', ten times
  revoke   'paranoid member revoke', of the worker that one of the clients floods

Prints what was answered as JSON, {"answers": {KEY: VALUE}, "revoked": …}, to DIR.answers.

Exit status: 0 all went on, 1 not so.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import threading
import time

import client

ROTATIONS = 10
AFTER_S = 2  # the load goes on when the owner has done


def paranoid(app, *words):
    program = pathlib.Path(os.environ["PARANOID_BIN"]) / "paranoid"
    return subprocess.run([program, *words, "--app", app.directory, "--json"],
                          capture_output=True, text=True, timeout=120)


class Putter(threading.Thread):
    """One client at one worker; whoever takes that one's place answers at the same port."""

    def __init__(self, app, number):
        super().__init__(daemon=True)
        self.app, self.number = app, number
        self.answers, self.refused, self.broken = {}, [], 0
        self.must_end = False

    def run(self):
        connection, count = None, 0
        while not self.must_end:
            key, value = f"p11-{self.number}-{count}", f"value {self.number} {count}"
            try:
                ports = self.app.host()["worker_ports"]
                connection = connection or self.app.connect(ports[self.number % len(ports)])
                answer = connection.ask("PUT", f"/kv/{key}", value.encode())
            except (OSError, TypeError):
                connection, self.broken = None, self.broken + 1
                time.sleep(0.005)
                continue
            if answer.status in (200, 204):
                self.answers[key] = value
                count += 1
            elif answer.status != 503:
                self.refused.append(f"{answer.status} {answer.body[:200]!r}")
                return


def rotate(app):
    times = []
    for _ in range(ROTATIONS):
        begun = time.monotonic()
        done = paranoid(app, "keys", "rotate")
        times.append(time.monotonic() - begun)
        if done.returncode != 0:
            return None, done.stderr
    return {"seconds": times}, ""


def revoke(app):
    """The worker that has written most is the one that is flooded hardest."""
    listed = paranoid(app, "member", "list")
    members = json.loads(listed.stdout)
    open_workers = [m for m in members if m["role"] == "worker" and m["state"] == "open"]
    victim = max(open_workers, key=lambda m: m["last_sequence"])
    begun = time.monotonic()
    done = paranoid(app, "member", "revoke", str(victim["number"]))
    if done.returncode != 0:
        return None, done.stderr
    answer = json.loads(done.stdout)
    answer["seconds"] = time.monotonic() - begun
    return answer, ""


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("what", choices=["rotate", "revoke"])
    parser.add_argument("--app", required=True)
    parser.add_argument("--pid", type=int, required=True)
    options = parser.parse_args()
    app = client.App(options.app)
    putters = [Putter(app, number) for number in range(4)]
    for putter in putters:
        putter.start()
    if not client.wait_until(lambda: all(len(p.answers) > 50 for p in putters)):
        print("the load does not begin")
        return 1
    result, error = rotate(app) if options.what == "rotate" else revoke(app)
    time.sleep(AFTER_S)
    before = [len(putter.answers) for putter in putters]
    goes_on = client.wait_until(lambda: all(len(p.answers) > n for p, n in zip(putters, before)))
    for putter in putters:
        putter.must_end = True
    for putter in putters:
        putter.join(60)
    answers = {key: value for putter in putters for key, value in putter.answers.items()}
    pathlib.Path(f"{options.app}.answers").write_text(
        json.dumps({"answers": answers, "result": result}))
    print(f"{len(answers)} puts answered, {sum(p.broken for p in putters)} connections broken")
    print(json.dumps(result))
    refused = [line for putter in putters for line in putter.refused]
    if result is None or refused or not goes_on:
        print(f"error: {error} refused: {refused} goes on: {goes_on}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
