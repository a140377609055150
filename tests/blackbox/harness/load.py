"""Steady requests from several threads while something else happens; every answer is looked at.

Open loop: each request has a time at which it is due, whatever became of the one before. Half of the threads keep their
connection, half make a new one for each request. A connection that the server closes between two requests is no failure
(RFC 9112 section 9.3.1 lets it), one that breaks during a request is. tests measure loss with this; `make bench` measures
speed with bench/load."""

import http.client
import threading
import time
from collections import Counter
from dataclasses import dataclass, field

from .client import Client


@dataclass
class Report:
    sent: int = 0
    failures: list = field(default_factory=list)
    bodies: Counter = field(default_factory=Counter)
    milliseconds: list = field(default_factory=list)  # from when a request was due to its answer


class Load:
    """with Load(edge, host) as load: …; load.report afterwards."""

    def __init__(self, endpoint, host, path="/", per_second=60, threads=4, body=None):
        self.endpoint = endpoint
        self.host = host
        self.path = path
        self.body = body
        self.pause = threads / per_second
        self.stopped = threading.Event()
        self.lock = threading.Lock()
        self.report = Report()
        self.threads = [threading.Thread(target=self._run, args=(n, n % 2 == 0)) for n in range(threads)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stopped.set()
        for thread in self.threads:
            thread.join()

    def wait_for(self, more, seconds=60):
        """Until so many more requests have been answered."""
        end = time.monotonic() + seconds
        goal = self.report.sent + more
        while self.report.sent < goal and time.monotonic() < end:
            time.sleep(0.02)
        assert self.report.sent >= goal, f"only {self.report.sent} of {goal} requests within {seconds} s"

    def _run(self, number, keeps):
        connection = None
        due = time.monotonic() + number * self.pause / len(self.threads)
        while not self.stopped.wait(max(0.0, due - time.monotonic())):
            was_due = due
            due += self.pause
            fresh = connection is None
            try:
                connection = connection or Client(self.endpoint, timeout=60).connection()
                status, body, closes = self._ask(connection, keeps)
                failure = None if status == 200 else f"status {status}: {body[:200]!r}"
            except (ConnectionResetError, BrokenPipeError, http.client.RemoteDisconnected) as error:
                connection = None
                if not fresh:
                    due -= self.pause  # an idle connection was closed: again, on a new one
                    continue
                failure, body, closes = repr(error), b"", True
            except (OSError, http.client.HTTPException) as error:
                failure, body, closes = repr(error), b"", True
            if connection is not None and (closes or not keeps):
                connection.close()
                connection = None
            with self.lock:
                self.report.sent += 1
                self.report.bodies[body.decode(errors="replace").strip()] += failure is None
                self.report.milliseconds.append((time.monotonic() - was_due) * 1000)
                if failure:
                    self.report.failures.append(f"{time.strftime('%H:%M:%S')} {failure}")
        if connection is not None:
            connection.close()

    def _ask(self, connection, keeps):
        headers = {"Host": self.host} if keeps else {"Host": self.host, "Connection": "close"}
        connection.request("POST" if self.body else "GET", self.path, self.body, headers)
        reply = connection.getresponse()
        return reply.status, reply.read(), reply.will_close
