#!/usr/bin/env python3
"""usage: chaos.py --app DIR --history FILE [--seconds S] [--workers N] [--clients N] [--seed S]
                [--disk DIR]... [--flip DIR]

Clients put, get and delete, over HTTPS and through a function, add under locks and swap, while processes of the app are killed
with -9, stopped, continued and started again, and the disks in --disk (mounts of tmpfs, under a
store's directory) run full for a while; bytes are flipped in the files of the store in --flip, of
which there must be others. Then all faults end, every worker is asked for every key, and
the judge of tests/histories decides whether each promise was kept.

The history is what clients asked and were told; tests/histories/README.md says how to read it.

Exit status: 0 every promise was kept, 1 one was not.
"""
import argparse
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import threading
import time
import urllib.request

import client
from federation import Federation

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "histories"))
import history  # noqa: E402
import promises  # noqa: E402

HOT_KEYS = 4
OWN_KEYS = 6
LOCKED_KEYS = 2
LOCKED = ("add", "cas")  # what needs a lock, and a function
PATIENCE_S = 15       # of a client; an answer that waits for receipts waits 10 s
RECOVERY_S = 20       # until the next fault comes, whatever the last one has done
SETTLE_S = 120        # until all is well once faults have ended
ROOMY_BYTES = 2 << 30
FUNCTION = """
exports.handler = (event, ctx) => {
  const ask = event.json();
  if (ask.f === 'put') ctx.kv.put(ask.key, ask.value);
  if (ask.f === 'delete') ctx.kv.delete(ask.key);
  if (ask.f === 'add') {
    return ctx.lock(ask.key, () => {
      const sum = (ctx.kv.getJSON(ask.key) ?? 0) + ask.value;
      ctx.kv.put(ask.key, sum);
      return { value: sum };
    });
  }
  if (ask.f === 'cas') {
    const version = ctx.kv.version(ask.key);
    const found = ctx.kv.getJSON(ask.key) ?? null;
    return { value: ctx.kv.cas(ask.key, version, ask.value) ? [found, ask.value] : null };
  }
  return { value: ask.f === 'get' ? ctx.kv.get(ask.key) ?? null : null };
};
"""
# What a request may be told instead of an answer, and whether it may have happened all the same.
MAYBE = {"not_durable", "no_space", "busy", "lock_undecided", "time_limit"}
NEVER = {"behind", "version_lost", "no_function", "lock_lost", "lock_timeout", "lock_busy"}


def stretch(name):
    """The value of that name, which says how long it is."""
    return f"{name}:" + "x" * int(name.split(".")[2])


def shorten(value):
    """The name of a value; a value that is not what its name says stays as it is."""
    if value is None:
        return None
    name = value.split(":")[0]
    return name if name.count(".") == 2 and stretch(name) == value else value[:200]


def read_of(answer):
    return shorten(answer.body.decode()) if answer.status == 200 else None


class Recorder:
    """The history, in the order in which things were asked and told."""

    def __init__(self, path):
        self.file = open(path, "w", encoding="utf-8")
        self.lock = threading.Lock()
        self.begun = time.monotonic()
        self.process_count = 0
        self.answered, self.unanswered, self.refused = 0, {}, {}
        self.last_answer, self.longest_silence = self.begun, 0.0

    def new_process(self):
        with self.lock:
            self.process_count += 1
            return self.process_count

    def write(self, process, kind, f, **members):
        now = time.monotonic()
        event = {"process": process, "type": kind, "f": f,
                 **{name: value for name, value in members.items() if value is not None},
                 "time": round(now - self.begun, 6)}
        if kind == "ok" and "value" in members:
            event["value"] = members["value"]
        with self.lock:
            self.file.write(json.dumps(event) + "\n")
            if kind == "ok":
                self.answered += 1
                self.longest_silence = max(self.longest_silence, now - self.last_answer)
                self.last_answer = now
            elif kind == "info":
                self.unanswered[members["code"]] = self.unanswered.get(members["code"], 0) + 1

    def silence(self):
        """The longest time in which nobody was answered, in seconds."""
        return max(self.longest_silence, time.monotonic() - self.last_answer)

    def refuse(self, code):
        with self.lock:
            self.refused[code] = self.refused.get(code, 0) + 1


class Client(threading.Thread):
    """Asks whichever worker comes next, and mostly hands back the version it was told last."""

    def __init__(self, number, app, recorder, chance, until):
        super().__init__(daemon=True)
        self.number, self.app, self.recorder, self.chance = number, app, recorder, chance
        self.until = until
        self.process = recorder.new_process()
        self.version = None
        self.connection, self.connected_to = None, None
        self.put_count = 0
        self.strange = []

    def connect(self):
        """To a worker that may be down. None: not now."""
        host = self.app.host()
        if host is None:
            return None
        port = self.chance.choice(host["worker_ports"])
        try:
            return self.app.connect(port, timeout=PATIENCE_S)
        except OSError:
            return None

    def disconnect(self):
        if self.connection is not None:
            self.connection.close()
        self.connection = None

    def pick(self):
        f = self.chance.choices(("put", "get", "delete", "add", "cas"), (40, 40, 8, 8, 4))[0]
        if f in LOCKED:
            self.put_count += 1
            value = 1 if f == "add" else self.number * 1000000 + self.put_count
            return f, f"{f}-{self.chance.randrange(LOCKED_KEYS)}", value
        if self.chance.random() < 0.4:
            key = f"hot-{self.chance.randrange(HOT_KEYS)}"
        elif f == "get":
            key = f"own-{self.chance.randrange(8)}-{self.chance.randrange(OWN_KEYS)}"
        else:
            key = f"own-{self.number}-{self.chance.randrange(OWN_KEYS)}"
        value = None
        if f == "put":
            self.put_count += 1
            length = self.chance.choice((0,) * 5 + (3000, 3000, 300000))
            value = f"{self.number}.{self.put_count}.{length}"
        return f, key, value

    def ask(self, f, key, value, headers):
        """The answer, and what was read."""
        if f in LOCKED or self.chance.random() < 0.25:
            told = stretch(value) if f == "put" else value
            body = json.dumps({"f": f, "key": key, "value": told}).encode()
            answer = self.connection.ask("POST", "/function/chaos", body, headers)
            result = json.loads(answer.body)["value"] if answer.status == 200 else None
            return answer, result if f in LOCKED else shorten(result)
        method = {"put": "PUT", "get": "GET", "delete": "DELETE"}[f]
        body = stretch(value).encode() if f == "put" else b""
        answer = self.connection.ask(method, f"/kv/{key}", body, headers)
        return answer, read_of(answer) if f == "get" else None

    def note(self, f, answer, result):
        """What the answer means; whether the session goes on."""
        is_absence = f == "get" and answer.status == 404 and answer.code == "not_found"
        if f == "cas" and answer.status == 200 and result is None:
            self.version = answer.headers.get("x-paranoid-version")
            self.recorder.write(self.process, "fail", f)
            return True
        if answer.status in (200, 204) or is_absence:
            told = {"value": result} if f in ("get", *LOCKED) else {}
            self.version = answer.headers.get("x-paranoid-version")
            self.recorder.write(self.process, "ok", f, version=self.version,
                                worker=answer.headers.get("x-paranoid-worker"),
                                etag=answer.headers.get("etag"), **told)
            return True
        if answer.code in NEVER:
            self.recorder.refuse(answer.code)
            self.recorder.write(self.process, "fail", f, code=answer.code)
            if answer.code == "version_lost":
                self.version = None
            return True
        if answer.code not in MAYBE:
            self.strange.append(f"{f}: {answer.status} {answer.body[:300]!r}")
        self.recorder.write(self.process, "info", f, code=answer.code)
        return False

    def one(self):
        self.connection = self.connection or self.connect()
        if self.connection is None:
            time.sleep(0.05)
            return
        f, key, value = self.pick()
        after = self.version if self.chance.random() < 0.95 else None
        headers = {} if after is None else {"X-Paranoid-After": after}
        self.recorder.write(self.process, "invoke", f, key=key, value=value, after=after)
        try:
            goes_on = self.note(f, *self.ask(f, key, value, headers))
        except OSError as error:
            self.recorder.write(self.process, "info", f, code=type(error).__name__)
            self.disconnect()
            goes_on = False
        if not goes_on:
            self.process = self.recorder.new_process()
        if self.chance.random() < 0.05:
            self.disconnect()  # the next worker

    def run(self):
        while time.monotonic() < self.until:
            self.one()
            time.sleep(self.chance.uniform(0, 0.03))
        self.disconnect()


class Disk:
    """A tmpfs that is full when we say so."""

    def __init__(self, directory):
        self.directory = directory

    def _resize(self, size_bytes):
        subprocess.run(["mount", "-o", f"remount,size={size_bytes}", self.directory], check=False)

    def fill(self):
        usage = os.statvfs(self.directory)
        used = (usage.f_blocks - usage.f_bfree) * usage.f_frsize
        self._resize(used + 16 * usage.f_frsize)

    def free(self):
        self._resize(ROOMY_BYTES)


class Faults:
    """What goes wrong, at moments of its own."""

    def __init__(self, federation, disks, flipped, chance, say):
        self.federation, self.chance, self.say = federation, chance, say
        self.disks, self.flipped = disks, flipped
        self.counts = {}
        self.stopped = {}   # process: when it goes on
        self.full = {}      # disk: when it has room again

    def processes(self, role):
        """Those of the app that are known to run as this."""
        if role == "up":
            return [self.federation.process.pid]
        host = self.federation.app.host()
        if host is None:
            return []
        if role == "host":
            return [host["pid"]]
        url = f"http://127.0.0.1:{host['metrics_port']}/status"
        try:
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            with opener.open(url, timeout=2) as page:
                status = json.load(page)
        except (OSError, ValueError):
            return []
        found = status["stores"] if role == "store" else \
            [guest for guest in status["enclaves"] if guest["role"] == role]
        family = set(self.federation.family())
        return [each["pid"] for each in found if each.get("pid") in family]

    def pick(self, role):
        found = self.processes(role)
        return self.chance.choice(found) if found else None

    def send(self, pid, number):
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass

    def kill_one(self, role):
        pid = self.pick(role)
        if pid is not None:
            self.send(pid, signal.SIGKILL)
        return pid

    def stop_one(self, role):
        pid = self.pick(role)
        if pid is not None and pid not in self.stopped:
            # Mostly short; now and then longer than anybody waits.
            length = self.chance.choice((0.2, 0.5, 1, 2, 4, 12))
            self.stopped[pid] = time.monotonic() + length
            self.send(pid, signal.SIGSTOP)
        return pid

    def kill_all(self):
        self.federation.kill(self.chance)
        return True

    def fill_disk(self):
        if not self.disks:
            return None
        disk = self.chance.choice(self.disks)
        self.full[disk] = time.monotonic() + self.chance.uniform(2, 8)
        disk.fill()
        return True

    def flip_byte(self):
        """In what the store has written: the rest of its last segment is zeroes."""
        segments = sorted(pathlib.Path(self.flipped).glob("segment-*")) if self.flipped else []
        if not segments:
            return None
        with open(self.chance.choice(segments), "r+b") as file:
            written = len(file.read().rstrip(b"\0"))
            if written == 0:
                return None
            place = self.chance.randrange(written)
            file.seek(place)
            byte = file.read(1)[0] ^ 1 << self.chance.randrange(8)
            file.seek(place)
            file.write(bytes([byte]))
        return place

    def one(self):
        choices = [(f"kill {role}", weight, lambda role=role: self.kill_one(role))
                   for role, weight in (("worker", 8), ("leader", 4), ("store", 3), ("host", 2),
                                        ("up", 1))]
        choices += [(f"stop {role}", weight, lambda role=role: self.stop_one(role))
                    for role, weight in (("worker", 6), ("leader", 3), ("store", 3), ("host", 1))]
        choices += [("kill all", 1, self.kill_all), ("fill disk", 3, self.fill_disk),
                    ("flip byte", 2, self.flip_byte)]
        name, _, act = self.chance.choices(choices, [choice[1] for choice in choices])[0]
        done = act()
        if done is not None:
            self.counts[name] = self.counts.get(name, 0) + 1
            self.say(f"{name} {done if done is not True else ''}")

    def tend(self):
        """Faults that have lasted long enough end; who keeps the app up starts it again."""
        now = time.monotonic()
        for pid in [pid for pid, when in self.stopped.items() if when <= now]:
            del self.stopped[pid]
            self.send(pid, signal.SIGCONT)
        for disk in [disk for disk, when in self.full.items() if when <= now]:
            del self.full[disk]
            disk.free()
        if self.federation.process.poll() is not None:
            self.say(f"up ended with {self.federation.process.returncode}, and starts again")
            self.federation.launch()

    def end(self):
        for pid in self.stopped:
            self.stopped[pid] = 0
        for disk in self.full:
            self.full[disk] = 0
        self.tend()


def settle(federation, faults):
    """All faults have ended: until each worker answers. How long it took."""
    begun = time.monotonic()
    while time.monotonic() < begun + SETTLE_S:
        faults.tend()
        if client.wait_ready(federation.app, federation.process.pid, 5):
            return time.monotonic() - begun
    return None


def ask_until_told(connection, path):
    """An answer of a worker that is well again; what is refused for now is asked again."""
    answers = []

    def is_told():
        answers.append(connection.ask("GET", path))
        return answers[-1].status != 503
    client.wait_until(is_told)
    return answers[-1]


def read_all(federation, recorder, keys, wrong):
    """Each worker says what it has, once it has what any of them has."""
    app = federation.app
    ports = app.host()["worker_ports"]
    versions = [app.connect(port).ask("GET", "/healthz").headers["x-paranoid-version"]
                for port in ports]
    for number, port in enumerate(ports):
        process = recorder.new_process()
        connection = app.connect(port)
        for version in versions:
            def reach():
                return connection.ask("GET", "/kv/none", headers={"X-Paranoid-After": version})
            if not client.wait_until(lambda: reach().status == 404):
                answer = reach()
                wrong.append(f"P5: worker {number} does not reach {version}: {answer.status} "
                             f"{answer.body!r}")
        for key in keys:
            recorder.write(process, "invoke", "final", key=key)
            answer = ask_until_told(connection, f"/kv/{key}")
            if answer.status not in (200, 404):
                wrong.append(f"P9: worker {number} does not say {key}: {answer.status} "
                             f"{answer.body!r}")
                recorder.write(process, "fail", "final")
                continue
            recorder.write(process, "ok", "final", etag=answer.headers.get("etag"),
                           worker=answer.headers["x-paranoid-worker"],
                           value=read_of(answer))
        recorder.write(process, "invoke", "final-list")
        listed = json.loads(ask_until_told(connection, "/kv?limit=1000").body)
        recorder.write(process, "ok", "final-list", value=listed["keys"])
        connection.close()


def read_all_of_the_last(federation, faults, recorder, keys, wrong):
    """A leader killed by the last fault has a successor, for whom all workers begin anew."""
    begun = time.monotonic()
    while True:
        try:
            return read_all(federation, recorder, keys, wrong)
        except OSError:
            if time.monotonic() > begun + SETTLE_S or settle(federation, faults) is None:
                raise


def deploy(app):
    source = pathlib.Path(f"{app.directory}.chaos.js")
    source.write_text(FUNCTION)
    program = pathlib.Path(os.environ["PARANOID_BIN"]) / "paranoid"
    subprocess.run([program, "deploy", source, "--name", "chaos", "--app", app.directory],
                   check=True, stdout=subprocess.DEVNULL)


def judge(path):
    """None, or what was broken."""
    try:
        promises.check(history.read(path), time.monotonic() + 600)
    except promises.Broken as broken:
        return str(broken)
    return None


def run(options, federation, recorder, chance):
    wrong = []
    print(f"first start: {federation.start():.2f} s", flush=True)
    deploy(federation.app)
    begun = time.monotonic()

    def say(what):
        print(f"{time.monotonic() - begun:7.2f} {what}", flush=True)
    faults = Faults(federation, [Disk(directory) for directory in options.disk],
                    options.flip, chance, say)
    clients = [Client(number, federation.app, recorder, random.Random(chance.random()),
                      begun + options.seconds) for number in range(options.clients)]
    for each in clients:
        each.start()
    while time.monotonic() < begun + options.seconds:
        last = time.monotonic()
        due = last + chance.uniform(0.2, 2.0)
        # Mostly somebody is answered before the next fault; else nothing would be left to judge.
        latest = due if chance.random() < 0.3 else last + RECOVERY_S
        while time.monotonic() < due or \
                (time.monotonic() < latest and recorder.last_answer < last):
            faults.tend()
            time.sleep(0.02)
        faults.one()
    faults.end()
    settled = settle(federation, faults)
    for each in clients:
        each.join(client.READY_S)
        wrong += each.strange
    print(f"{recorder.answered} answered, {recorder.unanswered} without an answer that says, "
          f"refused {recorder.refused}; longest silence {recorder.silence():.1f} s; "
          f"{sum(faults.counts.values())} faults: {faults.counts}", flush=True)
    if settled is None:
        return None, wrong + [f"P9: not well again {SETTLE_S} s after the last fault"]
    print(f"well again {settled:.2f} s after the last fault", flush=True)
    keys = sorted({f"{f}-{number}" for f in LOCKED for number in range(LOCKED_KEYS)} |
                  {f"hot-{number}" for number in range(HOT_KEYS)} |
                  {f"own-{number}-{key}" for number in range(options.clients)
                   for key in range(OWN_KEYS)})
    read_all_of_the_last(federation, faults, recorder, keys, wrong)
    status = federation.stop()
    if status != 0:
        wrong.append(f"paranoid up ended with status {status}")
    return settled, wrong


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--app", required=True)
    parser.add_argument("--history", required=True)
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--workers", type=int, default=6)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--disk", action="append", default=[])
    parser.add_argument("--flip")
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4), "little"))
    options = parser.parse_args()
    print(f"SEED={options.seed}", flush=True)
    chance = random.Random(options.seed)
    recorder = Recorder(options.history)
    with open(f"{options.app}.log", "ab") as log:
        federation = Federation(client.App(options.app), options.workers, log)
        try:
            settled, wrong = run(options, federation, recorder, chance)
        finally:
            if federation.process is not None and federation.process.poll() is None:
                federation.kill(chance)
            recorder.file.close()
    for line in wrong[:20]:
        print(line)
    if settled is None:
        return 1  # nobody has said how it ended
    broken = judge(options.history)
    print("the judge: " + (broken or "every promise was kept"))
    return 1 if wrong or broken is not None else 0


if __name__ == "__main__":
    sys.exit(main())
