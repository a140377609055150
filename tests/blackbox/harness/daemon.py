"""switchyard as a process: started on ports and paths of its own, watched, ended, looked over."""

import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

from .client import Client
from .process import BUILD, SANITIZER_REPORT, processes_naming, wait_until

READY_SECONDS = 30
STOP_SECONDS = 30
NO_ENGINE = "unix:/nonexistent/docker.sock"


class Daemon:
    """One installation in a folder of its own. It may be started, killed and started again on the same folder."""

    def __init__(self, store_url=None, engine=NO_ENGINE, roles="api", options=()):
        # A socket's path has room for 107 bytes: pytest's own temporary folders are too deep.
        self.folder = Path(tempfile.mkdtemp(prefix="sy-", dir="/tmp"))
        self.data = self.folder / "data"
        self.socket = self.folder / "s"
        self.store_url = store_url or f"sqlite:{self.folder}/store.db"
        self.engine = engine
        self.roles = roles
        self.options = list(options)
        self.variables = {}  # of its environment, beside the few that all have
        self.process = None
        self.starts = 0

    # --- life -------------------------------------------------------------------------------------------------

    def arguments(self):
        return [
            str(BUILD / "switchyard"), "--data-dir", str(self.data), "--listen", "127.0.0.1:0",
            "--socket", str(self.socket), "--edge-http", "127.0.0.1:0", "--store", self.store_url,
            "--engine", self.engine, "--roles", self.roles, *self.options,
        ]  # fmt: skip

    def spawn(self):
        """Starts it without waiting."""
        self.starts += 1
        (self.data / "endpoints.json").unlink(missing_ok=True)
        with open(self.log("stdout"), "wb") as out, open(self.log("stderr"), "wb") as err:
            self.process = subprocess.Popen(
                self.arguments(), stdin=subprocess.DEVNULL, stdout=out, stderr=err, cwd=self.folder,
                env=environment(**self.variables),
            )  # fmt: skip
        return self

    def start(self):
        self.spawn()
        wait_until(self._is_ready_or_dead, READY_SECONDS, f"switchyard is ready; it said: {self.last_words()}")
        assert self.process.poll() is None, f"switchyard ended with {self.process.returncode}: {self.last_words()}"
        return self

    def _is_ready_or_dead(self):
        if self.process.poll() is not None:
            return True
        if not (self.data / "endpoints.json").exists() or not self.stdout().strip():
            return False
        try:
            return self.client.get("/health/ready").status == 200
        except OSError:
            return False

    def kill(self):
        """kill -9: what a power cut leaves, as far as a test can."""
        self.process.kill()
        self.process.wait()
        self.check_reports()

    def stop(self):
        """SIGTERM, a clean exit, no sanitizer report."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"switchyard did not end within {STOP_SECONDS} s: {self.last_words()}") from None
        self.check_reports()
        assert code == 0, f"switchyard ended with {code} after SIGTERM: {self.last_words()}"

    def teardown(self):
        """Removes what it made in the engine, and its edge."""
        return subprocess.run(
            [str(BUILD / "switchyard"), "teardown", "--data-dir", str(self.data), "--store", self.store_url,
             "--engine", self.engine, "--volumes"],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=180, env=environment(),
        )  # fmt: skip

    def close(self):
        """Ends everything and looks whether anything stayed. The folder goes when all was well."""
        try:
            died_by_itself = self.process is not None and self.process.poll() not in (None, 0, -signal.SIGKILL)
            if died_by_itself:
                self.check_reports()
                raise AssertionError(f"switchyard had ended with {self.process.returncode}: {self.last_words()}")
            self.stop()
        finally:
            done = self.teardown() if self.has_engine and self.starts else None
            left = processes_naming(str(self.folder))
            for pid, _ in left:
                os.kill(pid, signal.SIGKILL)
        if done is not None:
            assert done.returncode == 0, f"teardown failed: {done.stdout}{done.stderr}"
        assert not left, f"still running after the end: {left}"
        shutil.rmtree(self.folder)

    @property
    def has_engine(self):
        return self.engine != NO_ENGINE

    # --- what it says -----------------------------------------------------------------------------------------

    def log(self, stream):
        return self.folder / f"{stream}.{self.starts}"

    def stdout(self):
        return self.log("stdout").read_text(errors="replace")

    def stderr(self):
        return self.log("stderr").read_text(errors="replace")

    def records(self):
        """Its log as JSON values, one per line."""
        return [json.loads(line) for line in self.stderr().splitlines() if line.startswith("{")]

    def last_words(self):
        return (self.stdout() + self.stderr())[-4000:]

    def check_reports(self):
        found = SANITIZER_REPORT.search(self.stderr())
        assert found is None, f"sanitizer report:\n{self.stderr()[found.start() : found.start() + 6000]}"

    # --- where it listens -------------------------------------------------------------------------------------

    @property
    def endpoints(self):
        return json.loads((self.data / "endpoints.json").read_text())

    @property
    def client(self):
        """An administrator: the socket's peer."""
        return Client(f"unix:{self.socket}")

    def over_tcp(self, token=None):
        return Client(http_url(self.endpoints["api"]), token)

    @property
    def edge(self):
        return Client(http_url(self.endpoints["edge_http"]))


def http_url(address):
    """endpoints.json may hold HOST:PORT or a URL."""
    return address if re.match(r"https?://", address) else f"http://{address}"


def environment(**more):
    """A small one: what the tests' own shell has set must not change what they find."""
    kept = {name: os.environ[name] for name in os.environ if name in KEPT or name.endswith("SAN_OPTIONS")}
    # Under gcov or valgrind the programs write and ask for what a confined switchyard may not.
    if (confinement := os.environ.get("ENCLII_TEST_CONFINEMENT")) is not None:
        kept["ENCLII_CONFINEMENT"] = confinement
    return {**kept, **more}


KEPT = {
    "PATH", "HOME", "LANG", "TMPDIR", "G_SLICE", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy",
    "no_proxy", "SSL_CERT_FILE", "PIP_INDEX_URL", "NPM_CONFIG_REGISTRY", "GOPROXY", "GOFLAGS",
}  # fmt: skip
