"""Calls of the C library that fail on command: shim/fault.c, preloaded into a program under test."""

import errno
import mmap
import struct
import subprocess
from functools import cache
from pathlib import Path

from .process import BUILD, ROOT

CALLS = ("open", "write", "fsync", "fdatasync", "rename", "mkdir", "unlink", "ftruncate", "close", "link")
NONE, ANY_SYNC = -1, -2
HEAD = struct.Struct("=5i")


@cache
def _shim():
    library = BUILD / "fault.so"
    source = ROOT / "tests/blackbox/shim/fault.c"
    command = ["gcc", "-D_GNU_SOURCE", "-O2", "-fPIC", "-shared", "-w", "-o", str(library), str(source), "-ldl"]
    subprocess.run(command, check=True)
    return library


def _preload():
    """The sanitizer's runtime wants to be the first library."""
    libraries = []
    if b"__asan_init" in (BUILD / "switchyard").read_bytes():
        found = subprocess.run(["gcc", "-print-file-name=libasan.so"], capture_output=True, text=True, check=True)
        libraries.append(str(Path(found.stdout.strip()).resolve()))
    return ":".join([*libraries, str(_shim())])


class Faults:
    """One state shared with the programs that are given `variables`; only paths that hold `part` count."""

    def __init__(self, path, part):
        self.path = Path(path)
        self.path.write_bytes(bytes(HEAD.size + 4 * len(CALLS)))
        self.file = open(self.path, "r+b")
        self.memory = mmap.mmap(self.file.fileno(), 0)
        self.variables = {"LD_PRELOAD": _preload(), "FAULT_STATE": str(path), "FAULT_PATH": str(part)}
        self.disarm()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.memory.close()
        self.file.close()

    def arm(self, call, at, code=errno.EIO, all_after=False):
        """`call` is a name of CALLS, or "sync" for both kinds; `at` counts from reset()."""
        number = ANY_SYNC if call == "sync" else CALLS.index(call)
        self.memory[: HEAD.size] = HEAD.pack(number, at, all_after, code, 0)

    def arm_now(self, call, code=errno.EIO, all_after=True):
        """The next one, and all after it."""
        self.arm(call, 0, code, all_after)

    def disarm(self):
        self.memory[: HEAD.size] = HEAD.pack(NONE, 0, 0, 0, self.n_injected)

    def reset(self):
        self.memory[HEAD.size :] = bytes(4 * len(CALLS))

    @property
    def n_injected(self):
        return HEAD.unpack(self.memory[: HEAD.size])[4]

    @property
    def counts(self):
        return dict(zip(CALLS, struct.unpack(f"={len(CALLS)}i", self.memory[HEAD.size :])))
