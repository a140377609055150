"""A small service on Python's own library. SIGTERM: no new connections, running requests are finished, then the end."""

import os
import signal
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

GREETING = "Hello from dockerfile-hello, version 1\n"
TEXTS = {"/": GREETING, "/healthz": "ok\n"}


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        text = TEXTS.get(self.path.partition("?")[0])
        body = (text or "not found\n").encode()
        self.send_response(200 if text else 404)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Server(ThreadingHTTPServer):
    daemon_threads = False  # server_close() waits for them
    request_queue_size = 128


def main():
    server = Server(("0.0.0.0", int(os.environ.get("PORT", "8080"))), Handler)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: threading.Thread(target=server.shutdown).start())
    print(f"listening on port {server.server_port}", flush=True)
    server.serve_forever(poll_interval=0.05)
    server.server_close()
    print("stopped", flush=True)


main()
