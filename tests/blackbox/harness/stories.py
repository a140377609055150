"""Stories: what a user does and sees, as data. tests/blackbox/stories/*.yaml, several to a file, each a YAML document.

    story: a project is created, found and deleted
    needs: api                       # or engine
    steps:
      - do: create it                # a label; every step has one
        http: POST /v1/projects      # over the unix socket, as an administrator
        token: ${secret}             # or over TCP with this token ("" sends none)
        headers: {If-Match: ${tag}}
        body: {name: Shop, slug: "${run}"}      # JSON; `text:` sends it as it stands
        expect: 201
        reply: {slug: "${run}", id: <uuid>}     # must be contained in the reply, see below
        header: {ETag: <any>}                   # the same for headers
        capture: {project_id: id, tag: header ETag, first: projects.0.id}
        replay: true                 # send it again with the same Idempotency-Key: the same reply; with another body: 409
        until: 30                    # seconds to go on asking until `expect` and `reply` hold
      - do: list
        cli: [projects, list, -o, json]         # words of one command
        stdin: text
        folder: examples/c-hello     # a copy of this folder is where the command runs, in this and the following steps
        exit: 0
        stdout: ~pattern             # found anywhere
        stderr: ~pattern
        json: {…}                    # stdout, like `reply`

`${run}` is new in each run. Contained: an object must have these members, a list must hold a match for each of these
elements (`[]`: be empty), anything else must be equal, apart from these words: <any> <absent> <uuid> <time> <int> <text>
<N items> <at least N> and ~regular expression.
"""

import json
import re
import secrets
import shutil
import time
from pathlib import Path

import yaml

from .process import ROOT

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z")
ABSENT = object()

STEP_KEYS = {
    "do", "http", "token", "headers", "body", "text", "expect", "reply", "header", "capture", "replay", "until",
    "cli", "stdin", "folder", "exit", "stdout", "stderr", "json", "problem",
}  # fmt: skip


def load(folder):
    """(name for pytest, story) of every story."""
    for path in sorted(Path(folder).glob("*.yaml")):
        for number, story in enumerate(yaml.safe_load_all(path.read_text()), 1):
            assert story.get("needs") in ("api", "engine"), f"{path.name} {number}: needs: api or engine"
            for step in story["steps"]:
                unknown = set(step) - STEP_KEYS
                assert not unknown and "do" in step, f"{path.name}: {step.get('do')}: unknown {unknown}"
                assert ("http" in step) != ("cli" in step), f"{path.name}: {step['do']}: either http or cli"
            yield f"{path.stem}: {story['story']}", story


def mismatch(expected, actual, path="reply"):
    """None, or where and how `actual` does not contain `expected`."""
    if isinstance(expected, str) and (expected[:1] == "<" and expected[-1:] == ">"):
        return _word(expected[1:-1], actual, path)
    if actual is ABSENT:
        return f"{path} is absent, expected {expected!r}"
    if isinstance(expected, str) and expected.startswith("~"):
        found = isinstance(actual, str) and re.search(expected[1:], actual)
        return None if found else f"{path} is {actual!r}, which does not match {expected[1:]!r}"
    if isinstance(expected, dict):
        if not isinstance(actual, dict):
            return f"{path} is {actual!r}, expected an object"
        for name, value in expected.items():
            if wrong := mismatch(value, actual.get(name, ABSENT), f"{path}.{name}"):
                return wrong
        return None
    if isinstance(expected, list):
        if not isinstance(actual, list) or (not expected and actual):
            return f"{path} is {actual!r}, expected {'an empty' if not expected else 'a'} list"
        for element in expected:
            if all(mismatch(element, candidate) for candidate in actual):
                return f"{path} holds no element like {element!r}: {actual!r}"
        return None
    same = expected == actual and isinstance(expected, bool) == isinstance(actual, bool)
    return None if same else f"{path} is {actual!r}, expected {expected!r}"


def _word(word, actual, path):
    if found := re.fullmatch(r"(at least )?(\d+)( items)?", word):
        if not isinstance(actual, list):
            return f"{path} is {actual!r}, expected a list"
        count = int(found.group(2))
        enough = len(actual) >= count if found.group(1) else len(actual) == count
        return None if enough else f"{path} has {len(actual)} elements, expected {word}"
    tests = {
        "any": lambda: actual is not ABSENT and actual is not None,
        "absent": lambda: actual is ABSENT or actual is None,
        "uuid": lambda: isinstance(actual, str) and UUID.fullmatch(actual),
        "time": lambda: isinstance(actual, str) and TIME.fullmatch(actual),
        "int": lambda: isinstance(actual, int) and not isinstance(actual, bool),
        "text": lambda: isinstance(actual, str) and actual != "",
    }
    assert word in tests, f"unknown word <{word}>"
    shown = "absent" if actual is ABSENT else repr(actual)
    return None if tests[word]() else f"{path} is {shown}, expected <{word}>"


class Runner:
    def __init__(self, daemon, cli, scratch):
        self.daemon = daemon
        self.cli = cli
        self.scratch = Path(scratch)
        self.values = {"run": "s" + secrets.token_hex(3)}

    def run(self, story):
        for step in story["steps"]:
            label = step["do"]
            step = self.fill(step)
            try:
                self.http(step) if "http" in step else self.command(step)
            except AssertionError as failure:
                raise AssertionError(f"step “{label}”: {failure}") from None

    def fill(self, value):
        """Variables replaced; a string that is one variable takes its value's type."""
        if isinstance(value, dict):
            return {name: self.fill(item) for name, item in value.items()}
        if isinstance(value, list):
            return [self.fill(item) for item in value]
        if isinstance(value, str):
            if whole := re.fullmatch(r"\$\{(\w+)\}", value):
                return self.values[whole.group(1)]
            return re.sub(r"\$\{(\w+)\}", lambda found: str(self.values[found.group(1)]), value)
        return value

    # --- HTTP -------------------------------------------------------------------------------------------------

    def client(self, step):
        if "token" not in step:
            return self.daemon.client
        return self.daemon.over_tcp(step["token"] or None)

    def http(self, step):
        method, path = step["http"].split(" ", 1)
        headers = dict(step.get("headers", {}))
        if step.get("replay"):
            headers["Idempotency-Key"] = secrets.token_hex(16)
        body = step["text"].encode() if "text" in step else step.get("body")
        reply = self.ask(step, lambda: self.client(step).call(method, path, body, headers))
        for name, source in step.get("capture", {}).items():
            self.values[name] = capture(reply, source)
        if step.get("replay"):
            self.replay(step, reply, method, path, headers)

    def ask(self, step, call):
        end = time.monotonic() + step.get("until", 0)
        while True:
            reply = call()
            wrong = self.judge(step, reply)
            if wrong is None:
                return reply
            assert time.monotonic() < end, f"{wrong}\n{reply}"
            time.sleep(0.1)

    def judge(self, step, reply):
        if reply.status != step.get("expect", 200):
            return f"status {reply.status}, expected {step.get('expect', 200)}"
        if "problem" in step:
            reply.expect_problem(reply.status, step["problem"])
        if "reply" in step and (wrong := mismatch(step["reply"], reply.json)):
            return wrong
        for name, expected in step.get("header", {}).items():
            if wrong := mismatch(expected, reply.headers.get(name, ABSENT), f"header {name}"):
                return wrong
        return None

    def replay(self, step, first, method, path, headers):
        again = self.client(step).call(method, path, step["body"], headers)
        assert (again.status, again.body) == (first.status, first.body), f"replayed, but: {again}\nfirst: {first}"
        other = self.client(step).call(method, path, {**step["body"], "description": "another body"}, headers)
        other.expect_problem(409, "IDEMPOTENCY_MISMATCH")

    # --- commands ---------------------------------------------------------------------------------------------

    def command(self, step):
        if "folder" in step:
            copy = self.scratch / Path(step["folder"]).name
            if not copy.exists():
                shutil.copytree(ROOT / step["folder"], copy)
            self.cli = self.cli.at(copy)
        result = self.cli(*map(str, step["cli"]), input=step.get("stdin"), seconds=600).expect(step.get("exit", 0))
        for stream in ("stdout", "stderr"):
            if stream in step:
                wrong = mismatch(step[stream], getattr(result, stream), stream)
                assert wrong is None, f"{wrong}\n{result}"
        if "json" in step:
            wrong = mismatch(step["json"], result.json, "stdout")
            assert wrong is None, f"{wrong}\n{result}"
        for name, source in step.get("capture", {}).items():
            self.values[name] = pick(result.json, source)


def capture(reply, source):
    if source.startswith("header "):
        return reply.headers[source.removeprefix("header ")]
    return pick(reply.json, source)


def pick(value, path):
    for part in path.split("."):
        value = value[int(part)] if isinstance(value, list) else value[part]
    return json.loads(json.dumps(value))
