#!/usr/bin/env python3
"""usage: flip_sample.py APP SEGMENT END COUNT

Flip COUNT bytes of SEGMENT, spread over the log up to END, and some of the zeroes behind it, one at
a time and back again, and run `paranoid capsule verify --app APP` on each. SEED=… repeats a choice.

Exit status: 0 each was refused with status 1 and a place, 1 one was not.
"""
import concurrent.futures
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys

PROCESS_COUNT = 2


def verify(app):
    program = pathlib.Path(os.environ["PARANOID_BIN"]) / "paranoid"
    return subprocess.run([program, "capsule", "verify", "--app", app], capture_output=True,
                          text=True, timeout=60)


def judge(app, segment, offset):
    """What is wrong with the answer, or None."""
    with open(segment, "r+b", buffering=0) as file:
        file.seek(offset)
        before = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([before ^ 1 << offset % 8]))
        done = verify(app)
        file.seek(offset)
        file.write(bytes([before]))
    if done.returncode != 1:
        return f"byte {offset}: status {done.returncode}: {done.stdout} {done.stderr}"
    if re.search(r"record \d+|offset \d+|segment-\d+", done.stdout + done.stderr) is None:
        return f"byte {offset}: no place is named: {done.stdout} {done.stderr}"
    return None


def main(app, segment, end, count):
    seed = int(os.environ.get("SEED", int.from_bytes(os.urandom(4), "little")))
    chance = random.Random(seed)
    size = os.path.getsize(segment)
    offsets = [int(i * end / count) + chance.randrange(max(1, end // count)) for i in range(count)]
    offsets += [chance.randrange(end, size) for _ in range(40)] + [end, size - 1]
    print(f"SEED={seed}, {len(offsets)} bytes", flush=True)

    # One copy for each process that flips.
    copies = []
    for number in range(PROCESS_COUNT):
        copy = pathlib.Path(f"{app}-{number}")
        shutil.copytree(app, copy)
        copies.append((copy, copy / pathlib.Path(segment).relative_to(app)))

    def run(number):
        return [judge(*copies[number], offset) for offset in offsets[number::PROCESS_COUNT]]
    with concurrent.futures.ThreadPoolExecutor(PROCESS_COUNT) as pool:
        wrong = [line for lines in pool.map(run, range(PROCESS_COUNT)) for line in lines if line]
    print("\n".join(wrong[:20]))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
