"""A server in the middle: ends TLS with a certificate of its own, and asks the real one.

usage: tls_proxy.py CERT KEY PORT-FILE TARGET-PORT [--replay FILE]

With --replay it answers /evidence with the bytes of FILE instead, which is what somebody
can do who has recorded one answer. Prints its port to PORT-FILE.
"""
import http.server
import os
import ssl
import sys
import urllib.error
import urllib.request

certificate, key, port_file, target = sys.argv[1:5]
replay = open(sys.argv[6], "rb").read() if len(sys.argv) > 6 else None
context = ssl._create_unverified_context()
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}),
                                     urllib.request.HTTPSHandler(context=context))


class Middle(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if replay is not None and self.path.startswith("/evidence"):
            status, body = 200, replay
        else:
            try:
                with opener.open(f"https://localhost:{target}{self.path}") as answer:
                    status, body = answer.status, answer.read()
            except urllib.error.HTTPError as error:
                status, body = error.code, error.read()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Middle)
tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
tls.load_cert_chain(certificate, key)
server.socket = tls.wrap_socket(server.socket, server_side=True)
with open(port_file + ".new", "w") as file:
    file.write(str(server.server_address[1]))
os.rename(port_file + ".new", port_file)
server.serve_forever()
