#!/usr/bin/env python3
"""usage: raw_http.py APP CASE

What curl cannot be made to send. Prints nothing and exits with 0 when the worker did right.
"""
import sys
import time

import client


def keep_alive(app, port):
    connection = app.connect(port)
    for i in range(200):
        answer = connection.ask("POST", "/function/echo", b"%d" % i)
        assert (answer.status, answer.body) == (200, b"%d" % i), answer.body
    connection.send("GET", "/healthz", headers={"Connection": "close"})
    assert connection.receive().status == 200
    assert connection.stream.recv(1) == b"", "it should have been closed"


def pipelined(app, port):
    connection = app.connect(port)
    requests = []
    for i in range(100):
        requests.append(connection.encode("PUT", f"/kv/pipe-{i}", b"value %d" % i))
        requests.append(connection.encode("POST", "/function/echo", b"echo %d" % i))
        requests.append(connection.encode("GET", f"/kv/pipe-{i}"))
    connection.stream.sendall(b"".join(requests))
    for i in range(100):
        assert connection.receive().status == 204
        assert connection.receive().body == b"echo %d" % i
        answer = connection.receive()
        assert answer.body == b"value %d" % i, (i, answer.status, answer.body)


def pipelined_at_once(app, port):
    """More than may wait, in one write, and nobody else who wakes the worker."""
    connection = app.connect(port, timeout=9)  # no ten seconds: then it wakes by itself
    assert connection.ask("PUT", "/kv/often", b"read often").status == 204
    connection.stream.sendall(connection.encode("GET", "/kv/often") * 500)
    for _ in range(500):
        assert connection.receive().body == b"read often"


def chunked(app, port):
    connection = app.connect(port)
    head = f"POST /function/echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n" \
           f"Authorization: Bearer {app.token}\r\n\r\n"
    # In pieces that break wherever it hurts.
    text = head.encode() + b"5\r\nhello\r\n1\r\n \r\nA;x=y\r\nchunked up\r\n0\r\n\r\n"
    for start in range(0, len(text), 7):
        connection.stream.sendall(text[start:start + 7])
    answer = connection.receive()
    assert (answer.status, answer.body) == (200, b"hello chunked up"), (answer.status, answer.body)


def head(app, port):
    connection = app.connect(port)
    assert connection.ask("PUT", "/kv/head", b"seven b").status == 204
    answer = connection.ask("HEAD", "/kv/head")
    assert answer.status == 200 and answer.headers.get("content-length") == "7", answer.headers
    assert connection.ask("GET", "/kv/head").body == b"seven b"  # nothing was left in between


def slow(app, port):
    """One byte at a time, while another client is served at once."""
    connection = app.connect(port)
    text = connection.encode("POST", "/function/echo", b"slowly")
    other = app.connect(port)
    for at in range(len(text)):
        connection.stream.sendall(text[at:at + 1])
        if at % 10 == 0:
            assert other.ask("GET", "/healthz").status == 200
    assert connection.receive().body == b"slowly"


def silent(app, port):
    """Half a head and then nothing: 408 when the ten seconds for it are over."""
    connection = app.connect(port)
    other = app.connect(port)
    begun = time.monotonic()
    connection.stream.sendall(b"GET /healthz HTTP/1.1\r\nHost: loc")
    answer = connection.receive()
    seconds = time.monotonic() - begun
    assert answer.status == 408 and 9 < seconds, (answer.status, seconds)
    assert connection.stream.recv(1) == b""
    assert other.ask("GET", "/healthz").status == 200


def ambiguous(app, port):
    for lines in (b"Content-Length: 3\r\nContent-Length: 4", b"Content-Length: +3",
                  b"Content-Length: 3\r\nTransfer-Encoding: chunked", b"Transfer-Encoding: gzip",
                  b"Host: other", b"X: a\r\n folded", b"X : a", b"Content-Length: 3\rX: y"):
        connection = app.connect(port)
        connection.stream.sendall(b"POST /function/open HTTP/1.1\r\nHost: localhost\r\n" + lines +
                                  b"\r\n\r\nabc")
        answer = connection.receive()
        assert answer.status in (400, 501) and answer.code, (lines, answer.status, answer.body)
        connection.close()
    assert app.connect(port).ask("GET", "/healthz").status == 200


CASES = {case.__name__: case for case in
         (keep_alive, pipelined, pipelined_at_once, chunked, head, slow, silent, ambiguous)}

if __name__ == "__main__":
    app = client.App(sys.argv[1])
    CASES[sys.argv[2]](app, app.host()["worker_ports"][0])
