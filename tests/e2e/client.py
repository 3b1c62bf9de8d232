#!/usr/bin/env python3
"""usage: client.py COMMAND [OPTION]...

What the end-to-end tests ask of a running app, over HTTPS and as its clients would.

  ready --app DIR --pid PID                 wait until each worker answers, or PID has ended
  known --app DIR --function NAME           wait until each worker knows the function
  fill --app DIR --limit N                  put large values until one is refused; prints how many
  filled --app DIR --limit N --worker I     whether the first N of them are there
  load --app DIR --while FILE --function NAME --key PREFIX --marker TEXT
                                            put, get and invoke from four clients while FILE exists,
                                            and at least once; with --only I at worker I alone

Exit status: 0 done, 1 not so.
"""
import argparse
import json
import os
import pathlib
import socket
import ssl
import subprocess
import sys
import threading
import time

READY_S = 120  # no verdict is about time
TIMEOUT_S = 30
LOAD_S = 300  # and no longer, whatever happens


class App:
    """An app's directory; its host may come and go."""

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self._token = None

    @property
    def token(self):
        if self._token is None:
            program = pathlib.Path(os.environ["PARANOID_BIN"]) / "paranoid"
            self._token = subprocess.run([program, "token", "--app", self.directory], check=True,
                                         capture_output=True, text=True).stdout.strip()
        return self._token

    def host(self):
        """host.json, or None when no host is up."""
        try:
            return json.loads((self.directory / "host/host.json").read_text())
        except (OSError, ValueError):
            return None

    def connect(self, port, timeout=TIMEOUT_S):
        context = ssl.create_default_context(cafile=self.directory / "tls-root.pem")
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        connection = socket.create_connection(("127.0.0.1", port), timeout)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return Connection(context.wrap_socket(connection, server_hostname="localhost"), self)


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def code(self):
        return json.loads(self.body)["error"]["code"]


class Connection:
    """One kept connection. send() and receive() may run ahead of each other: pipelining."""

    def __init__(self, stream, app):
        self.stream, self.app = stream, app
        self.buffer = b""

    def close(self):
        self.stream.close()

    def send(self, method, path, body=b"", headers={}):
        self.stream.sendall(self.encode(method, path, body, headers))

    def encode(self, method, path, body=b"", headers={}):
        head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n" \
               f"Authorization: Bearer {self.app.token}\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return head.encode() + b"\r\n" + body

    def _more(self):
        chunk = self.stream.recv(1 << 16)
        if chunk == b"":
            raise ConnectionError("the other side has closed")
        self.buffer += chunk

    def receive(self, has_body=True):
        while b"\r\n\r\n" not in self.buffer:
            self._more()
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        lines = head.decode("latin-1").split("\r\n")
        status = int(lines[0].split()[1])
        headers = {}
        for line in lines[1:]:
            name, value = line.split(":", 1)
            headers[name.lower()] = value.strip()
        length = int(headers.get("content-length", 0)) if has_body else 0
        while len(self.buffer) < length:
            self._more()
        body, self.buffer = self.buffer[:length], self.buffer[length:]
        return Answer(status, headers, body)

    def ask(self, method, path, body=b"", headers={}):
        self.send(method, path, body, headers)
        return self.receive(has_body=method != "HEAD")


def wait_until(condition, seconds=READY_S):
    """Poll; the last value, which is false when time has run out."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value or time.monotonic() > deadline:
            return value
        time.sleep(0.01)


def is_running(pid):
    try:
        state = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1][0]
        return state != "Z"
    except OSError:
        return False


def answers(app, port):
    try:
        connection = app.connect(port, timeout=5)
        answer = connection.ask("GET", "/healthz")
        connection.close()
        return answer.status == 200
    except OSError:
        return False


def wait_ready(app, pid, seconds=READY_S):
    """Until each worker answers. False: the process has ended, or it took too long."""
    def is_ready():
        host = app.host()
        return host is not None and all(answers(app, port) for port in host["worker_ports"])
    return wait_until(lambda: not is_running(pid) or is_ready(), seconds) and is_running(pid)


def ready(options):
    return wait_ready(App(options.app), options.pid)


def known(options):
    """The newest version, which the owner's command line has just published."""
    app = App(options.app)

    def is_known(port):
        # A method that no function is served by, so that nothing runs: 405 comes before 404 only
        # from the routes, so ask for the function itself with a body it does not mind.
        try:
            connection = app.connect(port)
            answer = connection.ask("POST", f"/function/{options.function}")
            connection.close()
        except OSError:  # another worker is about to take its place
            return False
        return answer.status != 404 or answer.code != "no_function"
    return all(wait_until(lambda: is_known(port)) for port in app.host()["worker_ports"])


def large(number):
    """A value of 1 MiB that no other number gives."""
    return b"%015d\n" % number * (1 << 16)


def fill(options):
    app = App(options.app)
    connection = app.connect(app.host()["worker_ports"][0])
    for number in range(options.limit):
        answer = connection.ask("PUT", f"/kv/large-{number}", large(number))
        if answer.status != 204:
            print(f"{answer.status} {answer.body!r}", file=sys.stderr)
            break
    else:
        number = options.limit
    print(number)
    return True


def filled(options):
    app = App(options.app)
    connection = app.connect(app.host()["worker_ports"][options.worker])
    return all(connection.ask("GET", f"/kv/large-{number}").body == large(number)
               for number in range(options.limit))


def load(options):
    """Put, get and invoke until told otherwise, while others look at the processes."""
    app = App(options.app)
    ports = app.host()["worker_ports"]
    ports = ports if options.only is None else [ports[options.only]]
    end = time.monotonic() + LOAD_S
    go_on = pathlib.Path(options.go_on)
    counts, wrong = [0] * 4, []

    def run(number):
        connection = app.connect(ports[number % len(ports)])
        text = options.marker.encode()
        while not wrong and (counts[number] == 0 or go_on.exists()) and time.monotonic() < end:
            path = f"/kv/{options.key}{number}-{counts[number] % 50}"
            for answer in (connection.ask("PUT", path, text), connection.ask("GET", path),
                           connection.ask("POST", f"/function/{options.function}", text)):
                if answer.status not in (200, 204):
                    wrong.append(f"{answer.status} {answer.body[:200]!r}")
            counts[number] += 1
        connection.close()
    threads = [threading.Thread(target=run, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(f"{3 * sum(counts)} requests")
    for line in wrong:
        print(f"client: {line}", file=sys.stderr)
    return not wrong and sum(counts) > 0


def main(arguments):
    commands = {"ready": ready, "known": known, "load": load, "fill": fill, "filled": filled}
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("command", choices=commands)
    parser.add_argument("--app", required=True)
    parser.add_argument("--pid", type=int)
    parser.add_argument("--function")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--worker", type=int, default=0)
    parser.add_argument("--only", type=int)
    parser.add_argument("--while", dest="go_on")
    parser.add_argument("--key", default="key")
    parser.add_argument("--marker", default="value")
    options = parser.parse_args(arguments)
    return 0 if commands[options.command](options) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
