"""Git over HTTPS, served by git's own http-backend (git-http-backend(1)) behind tls.py; and a proxy that knows its name.

    with GitServer(folder) as server:    # server.url("x.git"), server.authority; repositories are folders below `folder`
    with ConnectProxy({"git.enclii.test": server.port}) as proxy:    # proxy.endpoint"""

import base64
import os
import select
import shutil
import socket
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from .tls import Tls

NAME = "git.enclii.test"  # in the certificate beside 127.0.0.1; no name server knows it (RFC 6761 section 6.2)
WHO = ["-c", "user.name=test", "-c", "user.email=test@example.test"]


def git(folder, *arguments):
    command = ["git", *WHO, *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


class Backend(BaseHTTPRequestHandler):
    """One request, handed to git http-backend as CGI does (RFC 3875)."""

    protocol_version = "HTTP/1.1"

    def answer(self):
        server, (path, _, query) = self.server, self.path.partition("?")
        server.asked.append(f"{self.command} {self.path}")
        if path.startswith("/moved/"):
            return self.short(301, Location=self.path.removeprefix("/moved"))
        if path.startswith("/private/") and self.headers.get("Authorization") != server.password:
            return self.short(401, **{"WWW-Authenticate": 'Basic realm="git"'})
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        variables = {
            "PATH": os.environ["PATH"], "GIT_PROJECT_ROOT": str(server.root), "GIT_HTTP_EXPORT_ALL": "1",
            "REQUEST_METHOD": self.command, "PATH_INFO": path, "QUERY_STRING": query, "CONTENT_LENGTH": str(len(body)),
            "CONTENT_TYPE": self.headers.get("Content-Type", ""), "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            # the repositories belong to whoever runs the tests, as this does
            "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*",
        }  # fmt: skip
        done = subprocess.run(["git", "http-backend"], input=body, capture_output=True, env=variables, timeout=60)
        head, _, rest = done.stdout.partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().splitlines())
        return self.short(int(fields.pop("Status", "200").split()[0]), rest, **fields)

    def short(self, status, body=b"", **fields):
        self.send_response(status)
        for name, value in {**fields, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = answer

    def log_message(self, *_):
        pass


class GitServer:
    def __init__(self, folder):
        assert shutil.which("git"), "git is not installed (tools/install-deps run)"
        self.root = folder / "repositories"
        self.root.mkdir()
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Backend)
        self.http.daemon_threads = True
        self.http.root = self.root
        self.http.password = "Basic " + base64.b64encode(b"me:hunter2").decode()
        self.http.asked = []
        self.thread = threading.Thread(target=self.http.serve_forever, daemon=True)
        self.tls = Tls("127.0.0.1:%d" % self.http.server_address[1], folder, names=[NAME])

    def add(self, name, source):
        """The files of a folder as a repository with one commit on `main`; its hash."""
        work = self.root / name
        shutil.copytree(source, work)
        git(work, "init", "-q", "-b", "main")
        return self.commit(name)

    def commit(self, name, **files):
        """Writes files, and commits all there is."""
        for file, text in files.items():
            (self.root / name / file).write_text(text)
        git(self.root / name, "add", ".")
        git(self.root / name, "commit", "-q", "--allow-empty", "-m", "more")
        git(self.root / name, "update-server-info")
        return git(self.root / name, "rev-parse", "HEAD")

    def url(self, path, host="127.0.0.1"):
        return f"https://{host}:{self.port}/{path}/.git"

    @property
    def asked(self):
        return self.http.asked

    @property
    def authority(self):
        return self.tls.authority

    @property
    def port(self):
        return int(self.tls.endpoint.rsplit(":", 1)[1])

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.tls.__exit__()
        self.http.shutdown()
        self.http.server_close()
        self.thread.join(20)


class ConnectProxy:
    """An HTTP proxy that tunnels (RFC 9110 section 9.3.6) to the hosts that it is told of, on 127.0.0.1."""

    def __init__(self, hosts):
        self.hosts = hosts
        self.asked = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = "http://127.0.0.1:%d" % self.listener.getsockname()[1]
        self.threads = [threading.Thread(target=self._accept, daemon=True)]
        self.threads[0].start()

    def _accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return  # closed
            self.threads.append(threading.Thread(target=self._serve, args=(near,), daemon=True))
            self.threads[-1].start()

    def _serve(self, near):
        with near:
            head = b""
            while b"\r\n\r\n" not in head and (more := near.recv(4096)):
                head += more
            target = head.split()[1].decode() if head else ""
            self.asked.append(target)
            host = target.rsplit(":", 1)[0]
            if host not in self.hosts:
                near.sendall(b"HTTP/1.1 502 Unknown host\r\nContent-Length: 0\r\n\r\n")
                return
            with socket.create_connection(("127.0.0.1", self.hosts[host]), 30) as far:
                near.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
                self._pump(near, far)

    @staticmethod
    def _pump(one, two):
        while True:
            ready, _, _ = select.select([one, two], [], [], 60)
            if not ready:
                return
            for source in ready:
                piece = source.recv(65536)
                if not piece:
                    return
                (two if source is one else one).sendall(piece)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for thread in self.threads:
            thread.join(60)
