"""enclii as a user runs it."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

from .daemon import environment
from .process import BUILD, SANITIZER_REPORT


@dataclass
class Result:
    code: int
    stdout: str
    stderr: str
    command: str

    @property
    def json(self):
        return json.loads(self.stdout)

    @property
    def lines(self):
        """NDJSON, as streams give it."""
        return [json.loads(line) for line in self.stdout.splitlines()]

    def __str__(self):
        return f"$ {self.command}\n{self.stdout[-3000:]}{self.stderr[-3000:]}(exit {self.code})"

    def expect(self, code):
        assert self.code == code, f"expected exit {code}:\n{self}"
        return self


class Cli:
    """Bound to one endpoint, home folder and working folder."""

    def __init__(self, endpoint, home, folder=None, variables=None):
        self.endpoint = endpoint
        self.home = Path(home)
        self.folder = Path(folder or home)
        self.variables = dict(variables or {})

    def at(self, folder):
        return Cli(self.endpoint, self.home, folder, self.variables)

    def having(self, **variables):
        return Cli(self.endpoint, self.home, self.folder, {**self.variables, **variables})

    def environment(self):
        own = {"HOME": str(self.home), "NO_COLOR": "1"}
        if self.endpoint:
            own["ENCLII_API_ENDPOINT"] = self.endpoint
        return environment(**own, **self.variables)

    def __call__(self, *arguments, input=None, seconds=120):
        command = [str(BUILD / "enclii"), *arguments]
        done = subprocess.run(
            command, input=input, capture_output=True, text=True, errors="replace", timeout=seconds,
            cwd=self.folder, env=self.environment(),
            **({"stdin": subprocess.DEVNULL} if input is None else {}),
        )  # fmt: skip
        result = Result(done.returncode, done.stdout, done.stderr, "enclii " + " ".join(arguments))
        assert not SANITIZER_REPORT.search(done.stderr), f"sanitizer report:\n{result}"
        assert done.returncode >= 0, f"ended by signal {-done.returncode}:\n{result}"
        return result

    def spawn(self, *arguments):
        """A running command, for follow and Ctrl-C. The caller ends it."""
        return subprocess.Popen(
            [str(BUILD / "enclii"), *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, errors="replace", cwd=self.folder, env=self.environment(),
        )  # fmt: skip
