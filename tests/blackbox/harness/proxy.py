"""A proxy of the tests' own in front of a real server, which makes the way there as bad as it can be.

    with Proxy(target) as proxy:        # unix:PATH or HOST:PORT; proxy.unix or proxy.port is where clients go
        proxy.hang()                    # nothing passes any more, connections stay; new ones are accepted and hang too
        proxy.resume()                  # what was held back passes
        proxy.cut()                     # every connection breaks, in the middle of what was sent
        proxy.refuse()                  # as cut, and new ones are refused until resume
        proxy.delay(0.5)                # every piece is late
        proxy.trickle(3)                # bytes come in threes, 20 ms apart

One thread per direction; the bytes are never looked at."""

import os
import shutil
import socket
import tempfile
import threading
import time
from pathlib import Path


class Proxy:
    def __init__(self, target):
        self.target = target
        self.folder = None
        self.lock = threading.Condition()
        self.sockets = set()
        self.threads = []
        self.is_hung = self.is_refusing = self.is_closed = False
        self.seconds = 0.0
        self.piece = 65536
        self.n_connections = 0
        self.listener = None
        if target.startswith("unix:"):
            self.folder = Path(tempfile.mkdtemp(prefix="sy-proxy-", dir="/tmp"))
            self.address = str(self.folder / "s")
        else:
            self.address = ("127.0.0.1", 0)
        self._listen()
        self._spawn(self._accept)

    def _listen(self):
        family = socket.AF_UNIX if self.folder else socket.AF_INET
        if self.folder and os.path.exists(self.address):
            os.unlink(self.address)
        self.listener = socket.socket(family)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(self.address)
        self.listener.listen(128)
        self.listener.settimeout(0.05)
        self.address = self.listener.getsockname()

    @property
    def endpoint(self):
        return f"unix:{self.address}"

    @property
    def port(self):
        return self.address[1]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # --- what a test does to it ---------------------------------------------------------------------------------

    def hang(self):
        with self.lock:
            self.is_hung = True

    def refuse(self):
        with self.lock:
            self.is_refusing = True
        self.cut()

    def resume(self):
        with self.lock:
            self.is_hung = self.is_refusing = False
            self.seconds, self.piece = 0.0, 65536
            self.lock.notify_all()

    def delay(self, seconds):
        self.seconds = seconds

    def trickle(self, piece):
        self.piece, self.seconds = piece, 0.02

    def cut(self):
        with self.lock:
            for one in self.sockets:
                _break(one)

    def close(self):
        with self.lock:
            self.is_closed = True
            self.lock.notify_all()
        self.cut()
        for thread in self.threads:
            thread.join(10)
        self.listener.close()
        if self.folder:
            shutil.rmtree(self.folder)

    # --- inside ---------------------------------------------------------------------------------------------------

    def _spawn(self, work, *arguments):
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self.threads.append(thread)
        thread.start()

    def _connect(self):
        if self.folder:
            upstream = socket.socket(socket.AF_UNIX)
            upstream.connect(self.target.removeprefix("unix:").replace("//", "/", 1))
            return upstream
        host, port = self.target.rsplit(":", 1)
        return socket.create_connection((host, int(port)))

    def _accept(self):
        while not self.is_closed:
            if self.is_refusing:
                self._stay_closed()
                continue
            try:
                client, _ = self.listener.accept()
            except TimeoutError:
                continue
            client.settimeout(None)
            self.n_connections += 1
            self._spawn(self._serve, client)

    def _stay_closed(self):
        """Nobody listens: the system refuses for us."""
        self.listener.close()
        with self.lock:
            while self.is_refusing and not self.is_closed:
                self.lock.wait(1)
        self._listen()

    def _serve(self, client):
        self._held()
        try:
            upstream = self._connect()
        except OSError:
            client.close()
            return
        with self.lock:
            self.sockets |= {client, upstream}
        back = threading.Thread(target=self._pump, args=(upstream, client), daemon=True)
        back.start()
        self._pump(client, upstream)
        back.join()
        with self.lock:
            self.sockets -= {client, upstream}
        client.close()
        upstream.close()

    def _held(self):
        with self.lock:
            while self.is_hung and not self.is_closed:
                self.lock.wait(1)

    def _pump(self, source, sink):
        try:
            while piece := source.recv(self.piece):
                self._held()
                if self.seconds:
                    time.sleep(self.seconds)
                sink.sendall(piece)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            _break(source)
            _break(sink)


def _break(one):
    try:
        one.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
