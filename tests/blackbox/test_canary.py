"""A secret is found nowhere but in the processes it is for.

Secrets are put in by every way there is, then the service is deployed, fails to start, fails its release command, prints
them, is built again, rolled back and removed. All values hold one random word. Afterwards it is looked for, also in base64
and hex, in everything that is kept or shown, and in the arguments and environments of all processes meanwhile.

Not looked through, because that is how a container is given its environment and keeps its output: the container engine's
own description of the container (`docker inspect`), its own log files, and the processes of the service itself.

The search can fail: a value that is no secret goes the same ways, and must be found in the places where it belongs."""

import base64
import io
import json
import os
import pty
import secrets
import select
import subprocess
import sys
import tarfile
import threading
import time
from pathlib import Path

import pytest
from harness.app import App
from harness.cli import Cli
from harness.engine import Engine
from harness.process import BUILD, wait_until

pytestmark = pytest.mark.engine


class Needle:
    """A word and what may have become of it."""

    def __init__(self):
        self.word = "cnry" + secrets.token_hex(8)
        raw = self.word.encode()
        self.forms = {raw, raw.upper(), raw[::-1], raw.hex().encode(), raw.hex().upper().encode()}
        for shift in range(3):
            whole = base64.b64encode(b"\0" * shift + raw)
            # Without what the neighbours have a part in.
            self.forms.add(whole[(shift * 8 + 5) // 6 : len(raw) * 8 // 6 - 1])

    def value(self, way, times=1):
        return f"{self.word}-{way}" * times

    def is_in(self, data):
        return any(form in data for form in self.forms)


class Watcher(threading.Thread):
    """Looks at the arguments and environments of all processes until it is stopped. Those within a container are left
    out: the service's own environment is what the secret is for."""

    def __init__(self, *needles):
        super().__init__()
        self.needles = needles
        self.stopped = threading.Event()
        self.found = {needle: [] for needle in needles}
        self.seen = set()

    def run(self):
        while not self.stopped.wait(0.01):
            for entry in os.listdir("/proc"):
                if entry.isdigit() and int(entry) != os.getpid():
                    self.look_at(entry)

    def look_at(self, pid):
        try:
            arguments = Path(f"/proc/{pid}/cmdline").read_bytes()
            key = (pid, arguments)
            if key in self.seen:
                return
            data = arguments + b"\0" + Path(f"/proc/{pid}/environ").read_bytes()
            if "docker" in Path(f"/proc/{pid}/cgroup").read_text() or b"runc\0init" in arguments:
                return
        except OSError:
            return
        self.seen.add(key)
        for needle in self.needles:
            if needle.is_in(data):
                self.found[needle].append(arguments.replace(b"\0", b" ")[:200].decode(errors="replace"))

    def must_see(self, needle):
        """A process that has it on its command line by intent and lives until it was seen."""
        command = [sys.executable, "-c", "import time; time.sleep(60)", needle.value("argument")]
        process = subprocess.Popen(command)
        try:
            wait_until(lambda: self.found[needle], 30, "the watcher sees arguments")
        finally:
            process.kill()
            process.wait()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stopped.set()
        self.join()


class Told:
    """Everything the command line and the API say."""

    def __init__(self):
        self.texts = []  # (what was asked, bytes)

    def cli(self, cli):
        def call(*arguments, exit=(0,), **more):
            done = cli(*arguments, **more)
            self.texts.append((done.command, (done.stdout + done.stderr).encode()))
            assert done.code in exit, str(done)
            return done

        return call

    def api(self, client):
        def call(method, path, body=None, status=None, headers=None):
            reply = client.call(method, path, body, headers)
            self.texts.append((reply.request, reply.body + str(reply.headers).encode()))
            assert status is None or reply.status == status, str(reply)
            return reply

        return call


def type_at_terminal(cli, arguments, text):
    """Runs enclii on a terminal and types `text` when it asks; what the terminal shows."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(cli.folder)
        os.execve(str(BUILD / "enclii"), ["enclii", *arguments], cli.environment())
    shown, typed, end = b"", False, time.monotonic() + 120
    try:
        while time.monotonic() < end:
            if not select.select([terminal], [], [], 1)[0]:
                continue
            try:
                piece = os.read(terminal, 65536)
            except OSError:
                break
            if not piece:
                break
            shown += piece
            if not typed and b":" in shown:
                os.write(terminal, text.encode() + b"\n")
                typed = True
    finally:
        os.close(terminal)
        _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0 and typed, shown
    return shown


@pytest.fixture
def app(engine_daemon, tmp_path, run):
    home = tmp_path / "home"
    home.mkdir()
    cli = Cli(f"unix:{engine_daemon.socket}", home)
    app = App(engine_daemon, cli, tmp_path / "app", run)
    app.home = home
    return app


def put_in(app, told, secret, plain):
    """By every way; the keys that hold secrets."""
    cli, api = told.cli(app.cli), told.api(app.daemon.client)
    service = app.service()["id"]
    place = f"/v1/services/{service}/env-vars"
    environments = api("GET", f"/v1/projects/{app.project}/environments").json["environments"]
    production = next(e["id"] for e in environments if e["name"] == "production")
    keys = ["CLI_SET", "TERMINAL", "IMPORTED", "PIPED", "CREATED", "BULK", "PUT", "LONG", "LINES"]

    cli("env", "set", "--secret", "CLI_SET", "-e", "production", "--no-deploy", input=secret.value("set"))
    shown = type_at_terminal(
        app.cli, ["env", "set", "--secret", "TERMINAL", "-e", "production", "--no-deploy"], secret.value("terminal")
    )
    told.texts.append(("enclii env set --secret on a terminal", shown))
    env_file = app.home / "import.env"
    env_file.write_text(f"IMPORTED={secret.value('import')}\n")
    cli("env", "import", "--secret", str(env_file), "--no-deploy", "-e", "production")
    env_file.unlink()
    cli("env", "import", "--secret", "-", "--no-deploy", input=f"PIPED='{secret.value('piped')}'\n")

    key = {"Idempotency-Key": secrets.token_hex(8)}
    body = {"key": "CREATED", "value": secret.value("created"), "is_secret": True, "environment_id": production}
    api("POST", place, body, 201, key)
    api("POST", place, body, 201, key)  # replayed
    api("POST", place, body, 409)
    variables = [
        {"key": "BULK", "value": secret.value("bulk"), "is_secret": True},
        {"key": "LONG", "value": secret.value("long", 40), "is_secret": True},
        {"key": "LINES", "value": "\n".join(secret.value(f"line{n}") for n in range(5)), "is_secret": True},
        {"key": "PUT", "value": "before", "is_secret": True},
        {"key": "PLAIN", "value": plain.value("plain"), "is_secret": False},
    ]
    made = api("POST", f"{place}/bulk", {"variables": variables}, 200).json["environment_variables"]
    id = next(variable["id"] for variable in made if variable["key"] == "PUT")
    api("PUT", f"{place}/{id}", {"value": secret.value("put")}, 200)
    api("GET", f"{place}/{id}", None, 200)

    # Refused ones must not be repeated by whoever refuses them, or by its log. The caller's own mistake may be.
    refused = app.daemon.client
    value = secret.value("refused")
    for text in (
        f'{{"key": "A", "value": "{value}" "x"}}', f'{{"key": "A", "value": "x", "{value}": 1}}', f'{{"value": "{value}"}}',
        f'{{"key": "{value}", "value": "{value}"}}', f'["{value}"]', f'"{value}"', f'{{"key": "A", "value": ["{value}"]}}',
        f'{{"key": "A", "value": "{value * 2000}", "is_secret": true}}',
    ):  # fmt: skip
        reply = refused.call("POST", place, text.encode(), {"Content-Type": "application/json"})
        assert reply.status == 400, str(reply)
    refused.get(f"/v1/projects?{value}=1").expect(400)
    refused.call("GET", "/v1/projects", None, {"Authorization": f"Bearer {value}"}).expect(401)
    return keys, service, production


def exercise(app, told, keys, secret):
    """Everything that happens to a service, and the secret printed wherever a program can print it."""
    cli = told.cli(app.cli)
    cli("up", "-e", "production", seconds=300)
    for key in keys:
        assert secret.word in app.text(f"/env/{key}"), f"{key} did not arrive"
        app.ask(f"/log-env/{key}").expect(200)
    for bytes in (16384, 65536, 131072, 1 << 20):
        app.ask(f"/log-padded/{bytes - 300}/LONG").expect(200)
    app.ask("/log-env/PLAIN").expect(200)
    app.ask("/log/after-all-secrets").expect(200)
    wait_until(lambda: "after-all-secrets" in cli("logs", "web", "-e", "production").stdout, 30, "the logs are there")

    health = {"path": "/healthz", "interval": "500ms", "grace": "4s"}
    app.spec(web={"health": health, "env": {"EXIT_AT_START": "3", "PRINT_AT_START": "CLI_SET"}})
    cli("up", "-e", "production", exit=(30,), seconds=300)
    app.set_version("two")
    app.spec(web={"health": {**health, "path": "/env/CLI_SET/"}})
    cli("up", "-e", "production", exit=(30,), seconds=300)
    app.set_version("three")
    app.spec(web={"release": ["print", "BULK", "3"]})
    done = cli("up", "-e", "production", exit=(30,), seconds=300)
    assert "BULK is" in done.stdout + done.stderr, f"the release command's words are missing, so nothing was tried: {done}"

    # A build prints what it is given: nothing.
    app.spec(web={"build": {"context": ".", "args": {"PLAIN_ARG": "x"}}})
    dockerfile = app.folder / "Dockerfile"
    before = dockerfile.read_text()
    printing = "".join(f'RUN ["/answer", "print", "{key}", "0"]\n' for key in keys)
    arguments = f"ENV NEVER_BUILT_BEFORE={app.project}\n" + "".join(f"ARG {key}\n" for key in keys)
    dockerfile.write_text(before.replace("ENTRYPOINT", arguments + printing + "ENTRYPOINT"))
    cli("up", "-e", "production", seconds=300)
    build_log = cli("logs", "--build", "web", exit=(0, 1, 10)).stdout
    # A build that names a secret in its own text gets it redacted.
    dockerfile.write_text(before + f"LABEL leak={secret.value('set')}\nCOPY no-such-file /x\n")
    app.cli("up", "-e", "production", seconds=300).expect(20)
    dockerfile.write_text(before)
    cli("rollback", "web", "-e", "production", seconds=300)
    cli("restart", "web", "-e", "production", seconds=300)
    return build_log


def ask_everything(app, told, service):
    cli, api = told.cli(app.cli), told.api(app.daemon.client)
    for words in (
        ("env", "list", "-e", "production"), ("env", "list", "-o", "json"), ("status", "-e", "production"), ("ps",),
        ("events",), ("deployments",), ("releases",), ("logs", "web", "-e", "production", "-n", "0"), ("doctor",),
        ("services", "-o", "yaml"), ("api", "GET", f"/v1/services/{service}/env-vars"), ("projects", "-v"),
    ):  # fmt: skip
        cli(*words, exit=(0, 1))
    for path in (
        f"/v1/services/{service}/env-vars", f"/v1/services/{service}", f"/v1/services/{service}/status", "/metrics",
        f"/v1/services/{service}/logs?limit=0", "/v1/activity?limit=200", "/v1/system", "/v1/system/doctor", "/health",
        f"/v1/projects/{app.project}/environments", "/v1/user/tokens",
    ):  # fmt: skip
        api("GET", path)
    for release in api("GET", f"/v1/services/{service}/releases").json["releases"]:
        api("GET", f"/v1/releases/{release['id']}", None, 200)
        api("GET", f"/v1/services/{service}/builds/{release['id']}/logs")
    for deployment in api("GET", f"/v1/services/{service}/deployments").json["deployments"]:
        for path in ("", "/events", "/logs?lines=0"):
            api("GET", f"/v1/deployments/{deployment['id']}{path}", None, 200)
    for number, event in enumerate(app.daemon.client.events("/v1/events", {"Last-Event-ID": "0"}, 3)):
        told.texts.append((f"event {event[0]}", repr(event).encode()))
        if number > 60:
            break


def files_with(folder, needle):
    found = []
    for path in Path(folder).rglob("*"):
        if path.is_file() and not path.is_symlink():
            try:
                data = path.read_bytes()
            except FileNotFoundError:
                continue
            if needle.is_in(data):
                found.append(str(path))
    return found


def image_parts(engine, image):
    """(name, bytes) of what `docker save` gives: layers unpacked, configuration and history."""
    reply = engine.client.get(f"/images/{image}/get").expect(200)
    with tarfile.open(fileobj=io.BytesIO(reply.body)) as archive:
        for member in archive:
            if member.isfile():
                yield f"{image}: {member.name}", archive.extractfile(member).read()


def test_secret_is_found_nowhere(app, engine, request, store):
    secret, plain = Needle(), Needle()
    told = Told()
    daemon = app.daemon
    app.cli("up", "-e", "production", "--no-wait").expect(0)
    with Watcher(secret, plain) as watcher:
        app.cli("env", "set", f"SHOWN={plain.value('shown')}", "--no-deploy", seconds=300).expect(0)
        watcher.must_see(plain)
        keys, service, production = put_in(app, told, secret, plain)
        build_log = exercise(app, told, keys, secret)
        ask_everything(app, told, service)
    engine = Engine(engine)
    releases = daemon.client.get(f"/v1/services/{service}/releases").expect(200).json["releases"]
    images = {release["image_uri"] for release in releases if release["status"] == "ready"}
    limits = Path(f"/proc/{daemon.process.pid}/limits").read_text()

    hits = [f"shown by {what}" for what, text in told.texts if secret.is_in(text)]
    hits += [f"process {what}" for what in watcher.found[secret]]
    hits += files_with(daemon.folder, secret) + files_with(app.home, secret)
    hits += [f"image {name}" for image in images for name, data in image_parts(engine, image) if secret.is_in(data)]
    if store == "postgresql":
        hits += files_with(request.getfixturevalue("postgresql").folder, secret)
    # The Dockerfile that named it was the user's own text, uploaded as it was: that upload, and nothing else.
    sources = [hit for hit in hits if "/sources/" in hit]
    hits = [hit for hit in hits if hit not in sources]
    assert not hits, f"{len(hits)} hits for {secret.word}:\n" + "\n".join(hits[:40])
    assert len(sources) <= 1, sources
    assert [key for key in keys if f"{key} is not set" in build_log] == keys, build_log[-4000:]
    core = next(line for line in limits.splitlines() if line.startswith("Max core file size"))
    assert core.split()[4] == "0", core
    print(f"\ncanary: {len(keys)} secrets by {len(keys)} ways, {len(told.texts)} answers, {len(watcher.seen)} processes, "
          f"{sum(1 for p in daemon.folder.rglob('*') if p.is_file())} files, {len(images)} images, 0 hits")  # fmt: skip

    # The same search finds what is no secret, wherever it belongs.
    assert images and len(told.texts) > 60
    assert any(plain.is_in(text) for what, text in told.texts if "logs" in what), "what a program prints is not shown"
    assert [path for path in files_with(daemon.data, plain) if "/logs/" in path]
    if store == "sqlite":
        assert files_with(daemon.folder, plain)


def test_needles_are_found_in_their_disguises():
    needle = Needle()
    for text in (needle.word, needle.value("x", 3), needle.word.upper(), needle.word.encode().hex()):
        assert needle.is_in(text.encode())
    for before in range(4):
        for after in range(4):
            assert needle.is_in(base64.b64encode(b"a" * before + needle.word.encode() + b"b" * after)), (before, after)
    assert not needle.is_in(json.dumps({"x": "cnry" + secrets.token_hex(8)}).encode())
