"""Waiting and processes."""

import os
import re
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
# Other trees can be tried by hand: ENCLII_TEST_BUILD=build pytest tests/blackbox
BUILD = ROOT / os.environ.get("ENCLII_TEST_BUILD", "build-asan")

SANITIZER_REPORT = re.compile(r"^.*(?:ERROR: \w*Sanitizer|WARNING: ThreadSanitizer|runtime error:).*$", re.MULTILINE)


def wait_until(condition, seconds, what):
    """The first true value of condition(); fails with `what` and the last value otherwise. The bound is generous: the
    programs run under sanitizers on a shared machine."""
    end = time.monotonic() + seconds
    pause = 0.01
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what} (last: {value!r})")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.25)


def read_line(process, text="", seconds=30):
    """The next line of its stdout that holds `text`. It is killed when none comes in time: reading would wait for ever."""
    timer = threading.Timer(seconds, process.kill)
    timer.start()
    try:
        for line in process.stdout:
            if text in line:
                return line
    finally:
        timer.cancel()
    raise AssertionError(f"no line with {text!r} within {seconds} s; stderr: {process.stderr.read()}")


def processes_naming(text):
    """(pid, arguments) of every process, other than this one, that has `text` in its arguments."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit() and int(entry) != os.getpid():
            try:
                arguments = Path(f"/proc/{entry}/cmdline").read_bytes().decode(errors="replace").split("\0")
            except OSError:
                continue
            if any(text in argument for argument in arguments):
                found.append((int(entry), arguments))
    return found
