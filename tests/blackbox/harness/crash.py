"""Crash points of src/base/crash_point.h: which there are, whether the programs under test have them, dying at one."""

import re
import signal
import time

from .process import BUILD, ROOT

VARIABLE = "ENCLII_CRASH_POINT"
SYMBOL = b"crash_point_reach"


def names():
    """Every point that the sources name."""
    found = set()
    for path in (ROOT / "src").rglob("*.c"):
        found |= set(re.findall(r'\bcrash_point\("([a-z._]+)"\)', path.read_text()))
    return found


def are_built_in():
    return VARIABLE.encode() in (BUILD / "src/switchyard/switchyard").read_bytes()


WHY_NOT = "the programs were built without -Dcrash_points=true"


def arm(daemon, point, number=1):
    """For the next start."""
    daemon.variables[VARIABLE] = f"{point}:{number}"


def disarm(daemon):
    daemon.variables.pop(VARIABLE, None)


def wait_for_death(daemon, seconds=60):
    """It must die by its own hand, at the point, and by nothing else."""
    code = daemon.process.wait(seconds)
    daemon.check_reports()
    assert code == -signal.SIGKILL, f"ended with {code} instead of at its crash point: {daemon.last_words()}"


def start_timed(daemon):
    """Starts it; the seconds until it says that it is ready, looked at more often than start() does."""
    begin = time.monotonic()
    daemon.spawn()
    while time.monotonic() < begin + 30 and daemon.process.poll() is None:
        try:
            if daemon.client.get("/health/ready").status == 200 and daemon.stdout().strip():
                return time.monotonic() - begin
        except OSError:
            pass
        time.sleep(0.003)
    raise AssertionError(f"not ready within 30 s: {daemon.last_words()}")
