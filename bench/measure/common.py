"""Rows, floors, load, and what a process has used. Everything runs on the loopback of this machine."""

import json
import os
import statistics
import subprocess
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from harness.process import BUILD, ROOT

LOAD, FLOOR = BUILD / "bench-load", BUILD / "bench-floor"
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Row:
    goal: str  # P1 … P12
    what: str
    unit: str
    value: float
    aim: str  # the goal in words, "" where there is none
    floor: float | None = None  # the least it could cost, measured in the same run
    floor_what: str = ""

    def as_json(self):
        return asdict(self)


def median_of(times, measure):
    """The run whose `key` is the median: all its figures belong together."""
    return statistics.median(measure() for _ in range(times))


def split_cpus():
    """(for servers, for load): apart where there are two; the same set otherwise."""
    cpus = sorted(os.sched_getaffinity(0))
    return ({cpus[0]}, {cpus[1]}) if len(cpus) > 1 else (set(cpus), set(cpus))


def pin(pid, cpus):
    for thread in os.listdir(f"/proc/{pid}/task"):
        try:
            os.sched_setaffinity(int(thread), cpus)
        except ProcessLookupError:
            pass


def cpu_seconds(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def resident_mib(pid):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"process {pid} has no resident memory")


def load(target, *, rate=None, connections=16, seconds=4, method="GET", path="/", headers=(), body=None, paths=None):
    """One run of bench-load; refuses to return figures of a run in which anything failed."""
    command = [str(LOAD), "--connections", str(connections), "--seconds", str(seconds), "--method", method, "--path", path]
    command += ["--rate", str(rate)] if rate else []
    command += [word for header in headers for word in ("--header", header)]
    command += ["--body", body] if body is not None else []
    command += ["--paths", str(paths)] if paths else []
    done = subprocess.run(
        [*command, target], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds + 60,
        preexec_fn=lambda: os.sched_setaffinity(0, split_cpus()[1]),
    )  # fmt: skip
    if done.returncode != 0:
        raise RuntimeError(f"bench-load: {done.stderr}{done.stdout}")
    report = json.loads(done.stdout)
    if report["errors"] or report["bad_status"] or report["unanswered"]:
        raise RuntimeError(f"{method} {path}: not every request went well: {report}")
    return report


@contextmanager
def floor_server(body_bytes):
    """A bare epoll server, pinned as ours is: (target, pid)."""
    process = subprocess.Popen([str(FLOOR), "http", str(body_bytes)], stdout=subprocess.PIPE, text=True)
    try:
        port = int(process.stdout.readline())
        pin(process.pid, split_cpus()[0])
        yield f"127.0.0.1:{port}", process.pid
    finally:
        process.kill()
        process.wait()


def floor(*arguments):
    """Microseconds, as bench-floor prints them."""
    return float(subprocess.run([str(FLOOR), *map(str, arguments)], capture_output=True, text=True, check=True).stdout)


def cpu_per_100k(target, pid, **options):
    """CPU seconds of the process per 100,000 requests."""
    before = cpu_seconds(pid)
    report = load(target, **options)
    # The warm-up second counts in the CPU but not in the requests: scale by the whole time.
    used = (cpu_seconds(pid) - before) * 4 / 5
    return used / report["requests"] * 100_000


def elapsed_ms(action):
    begin = time.perf_counter()
    action()
    return (time.perf_counter() - begin) * 1000


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]
