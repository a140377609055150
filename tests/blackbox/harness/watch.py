"""What a client of the API sees while something behind it is away: every answer, every latency."""

import http.client
import os
import threading
import time
from collections import defaultdict

from .process import BUILD, wait_until

# The goals are those of an ordinary build on a machine of its own; sanitizers on a shared one get more room.
IS_SANITIZED = b"__asan_init" in (BUILD / "switchyard").read_bytes()
ROOM = 5 if IS_SANITIZED else 1


class Watch:
    """with Watch(daemon) as watch: …; asks each path all the time, one thread per path."""

    PATHS = ("/health", "/v1/version", "/v1/projects")

    def __init__(self, daemon, pause=0.02):
        self.client = daemon.client
        self.pause = pause
        self.stopped = threading.Event()
        self.samples = defaultdict(list)  # path → of (time, seconds, status)
        self.complaints = []
        self.threads = [threading.Thread(target=self._run, args=(path,)) for path in self.PATHS]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stopped.set()
        for thread in self.threads:
            thread.join()

    def _run(self, path):
        while not self.stopped.wait(self.pause):
            begin = time.monotonic()
            try:
                reply = self.client.get(path)
            except (OSError, http.client.HTTPException) as error:
                self.complaints.append(f"{path}: {error!r}")
                continue
            self.samples[path].append((begin, time.monotonic() - begin, reply.status))
            if reply.status >= 500 and reply.headers["Retry-After"] is None:
                self.complaints.append(f"no Retry-After: {reply}")

    def wait_for(self, seconds):
        """Lets so much time of the outage be watched."""
        end = time.monotonic() + seconds
        wait_until(lambda: self.samples["/health"] and self.samples["/health"][-1][0] > end, seconds + 30, "it is watched")

    def p99(self, path, since=0.0, until=float("inf")):
        taken = sorted(seconds for begin, seconds, _ in self.samples[path] if since <= begin <= until)
        assert taken, f"{path} was never answered"
        return taken[min(len(taken) - 1, int(len(taken) * 0.99))]

    def statuses(self, path, since=0.0, until=float("inf")):
        return {status for begin, _, status in self.samples[path] if since <= begin <= until}


def component(daemon, name):
    return daemon.client.get("/health").json["components"][name]


def count_of(daemon):
    """(open descriptors, threads) of the process."""
    pid = daemon.process.pid
    return len(os.listdir(f"/proc/{pid}/fd")), len(os.listdir(f"/proc/{pid}/task"))
