#!/usr/bin/env python3
"""usage: check.py linearizable MODEL FILE...
       check.py promises FILE...
       check.py known DIR
       check.py own DIR

Judge recorded histories.

  linearizable  as one object, or one for each key: register, text (put, append, get), mutex, counter
  promises      P2 and P4 to P7 of Paranoid; README.md says what such a history holds
  known DIR     judge the histories of others, whose verdicts are known, and compare
  own DIR       judge our own: DIR/good is accepted, and DIR/bad refused for the promise that each
                file's name begins with

Exit status: 0 accepted, or as known; 1 not so; 2 wrong usage; 3 a file is no history.
"""
import pathlib
import sys
import time

import history
import linearizable
import promises

PATIENCE_S = 120


def say_linearizable(path, model):
    stuck = linearizable.check(history.read(path), model, time.monotonic() + PATIENCE_S)
    print(f"{path}: " + ("linearizable" if stuck is None else f"NOT linearizable\n  {stuck}"))
    return stuck is None


def say_promises(path):
    operations = history.read(path)
    try:
        promises.check(operations, time.monotonic() + PATIENCE_S)
    except promises.Broken as broken:
        print(f"{path}: {broken}")
        return False
    print(f"{path}: every promise was kept, in {len(operations)} operations")
    return True


def known_verdicts(root):
    """(file, model, whether it is linearizable) of ../shared/vectors/histories."""
    for line in (root / "etcd/EXPECTED.tsv").read_text().splitlines()[1:]:
        name, verdict = line.split("\t")
        yield root / "etcd" / name, "register", verdict == "true"
    for path in sorted((root / "kv").glob("*.txt")):
        yield path, "text", path.stem.endswith("-ok")
    for model, folder in (("register", "cas-register"), ("mutex", "mutex")):
        # Some are there as JSON too, one of them cut off.
        for path in sorted((root / "knossos" / folder).glob("*/*.edn")):
            yield path, model, path.parent.name == "good"


def compare_known(root):
    count = wrong = 0
    for path, model, expected in known_verdicts(root):
        is_right = (linearizable.check(history.read(path), model,
                                       time.monotonic() + PATIENCE_S) is None) == expected
        count, wrong = count + 1, wrong + (not is_right)
        if not is_right:
            print(f"{path}: should be {'' if expected else 'not '}linearizable")
    print(f"{count} histories with known verdicts, {wrong} judged wrongly")
    return wrong == 0 and count > 0


def compare_own(root):
    wrong = 0
    paths = sorted(root.glob("good/*.jsonl")) + sorted(root.glob("bad/*.jsonl"))
    for path in paths:
        expected = None if path.parent.name == "good" else path.stem.split("_")[0].upper()
        try:
            promises.check(history.read(path))
            promise = why = None
        except promises.Broken as broken:
            promise, why = broken.promise, broken
        except history.Malformed as error:
            promise = why = f"{error}"
        if promise != expected:
            wrong += 1
        print(f"{'ok' if promise == expected else 'WRONG'} {path.parent.name}/{path.name}: "
              f"{why or 'every promise was kept'}")
    return wrong == 0 and paths != []


def main(arguments):
    command, *rest = arguments or ["help"]
    if command == "linearizable" and len(rest) >= 2 and rest[0] in linearizable.MODELS:
        return all([say_linearizable(path, rest[0]) for path in rest[1:]])
    if command == "promises" and rest != []:
        return all([say_promises(path) for path in rest])
    if command == "known" and len(rest) == 1:
        return compare_known(pathlib.Path(rest[0]))
    if command == "own" and len(rest) == 1:
        return compare_own(pathlib.Path(rest[0]))
    print(__doc__, file=sys.stderr)
    return None


if __name__ == "__main__":
    try:
        accepted = main(sys.argv[1:])
    except (history.Malformed, OSError, TimeoutError) as error:
        print(f"check.py: cannot judge: {error or 'it takes too long'}", file=sys.stderr)
        sys.exit(3)
    sys.exit({True: 0, False: 1, None: 2}[accepted])
