#!/usr/bin/env python3
"""usage: p11_read.py --app DIR

Whether every worker of the running app reads every put that p11_keys.py had an answer to.
"""
import argparse
import json
import pathlib
import sys

import client
import p4_kill


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--app", required=True)
    options = parser.parse_args()
    app = client.App(options.app)
    text = pathlib.Path(f"{options.app}.answers").read_text()
    answers = {key: value.encode() for key, value in json.loads(text)["answers"].items()}

    class Running:
        pass
    running = Running()
    running.app, running.host = app, app.host()
    if running.host is None:  # the host removes its file when it ends, and only then
        print("the app has ended")
        return 1
    lost = p4_kill.read_back(running, answers)
    print(f"{len(answers)} keys at {len(running.host['worker_ports'])} workers, {len(lost)} lost")
    print("\n".join(lost[:20]))
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
