"""TLS in front of a real server, with a certificate that only its own file vouches for.

    with Tls(target, folder) as tls:    # HOST:PORT; tls.endpoint is https://127.0.0.1:…, tls.authority the PEM file

The certificate is for 127.0.0.1 and for `names`."""

import socket
import ssl
import subprocess
import threading


def make_certificate(folder, names):
    alternatives = ",".join(["IP:127.0.0.1", *(f"DNS:{name}" for name in names)])
    key, certificate = folder / "tls.key", folder / "tls.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1",
         "-subj", "/CN=127.0.0.1", "-addext", f"subjectAltName={alternatives}", "-keyout", str(key), "-out", str(certificate)],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    return key, certificate


class Tls:
    """One thread per direction; the bytes are never looked at."""

    def __init__(self, target, folder, names=()):
        host, port = target.removeprefix("http://").rsplit(":", 1)
        self.target = (host, int(port))
        key, self.authority = make_certificate(folder, names)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(self.authority, key)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = "https://127.0.0.1:%d" % self.listener.getsockname()[1]
        self.threads = []
        self._spawn(self._accept)

    def _spawn(self, function, *arguments):
        thread = threading.Thread(target=function, args=arguments, daemon=True)
        self.threads.append(thread)
        thread.start()
        return thread

    def _accept(self):
        while True:
            try:
                plain, _ = self.listener.accept()
            except OSError:
                return  # closed
            self._spawn(self._serve, plain)

    def _serve(self, plain):
        plain.settimeout(30)
        try:
            near = self.context.wrap_socket(plain, server_side=True)
        except OSError:  # the client does not trust us
            plain.close()
            return
        with near, socket.create_connection(self.target, 30) as far:
            back = self._spawn(self._copy, far, near)
            self._copy(near, far)
            back.join(40)

    @staticmethod
    def _copy(source, sink):
        try:
            while piece := source.recv(65536):
                sink.sendall(piece)
        except OSError:
            pass
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for thread in self.threads:
            thread.join(40)
