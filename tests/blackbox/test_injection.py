"""Hostile text in every place that takes text.

By the API: every string member of every request body of the contract, members' names, path and query parameters, headers.
By the command line: its arguments and enclii.yaml. Whatever is not refused with the member's path must come back as it was
sent, and be nothing but text on its way: no command runs, no file appears, the database and HAProxy's configuration stay
whole, no reply gains a header, no terminal gets a control sequence."""

import copy
import json
import os
import pty
import re
import secrets
import select
import sqlite3
import subprocess
import time
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest
import yaml
from harness import hostile
from harness.app import App
from harness.cli import Cli
from harness.process import BUILD, SANITIZER_REPORT

METHODS = ("get", "post", "put", "patch", "delete")


@pytest.fixture(scope="module")
def mark():
    """The file that every command of the corpus would make; its name is found nowhere but in data."""
    path = Path("/tmp") / f"sy-mark-{secrets.token_hex(6)}"
    yield path
    assert not path.exists(), "a command of the corpus was executed"


def look_for_mark(mark, *folders):
    """Nothing of this name is in the places that a traversal or a command would reach."""
    for folder in ("/", "/tmp", "/etc", "/var/tmp", "/var/lib", "/root", str(Path.home()), os.getcwd()):
        try:
            assert mark.name not in " ".join(os.listdir(folder)), f"{mark.name} is in {folder}"
        except (PermissionError, FileNotFoundError):
            pass
    for folder in folders:
        found = [path for path in Path(folder).rglob("*") if mark.name in path.name]
        assert not found, found


# --- what a contract takes ------------------------------------------------------------------------------------------------


def resolve(document, schema):
    while "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return schema


def places(document, schema, path=(), depth=0):
    """Every path within a body at which the contract takes a string: (path, whether it is the name of a member). A part of
    a path is a member's name, 0 for an element, or None for a member whose name is free."""
    schema = resolve(document, schema)
    if depth > 6:
        return
    for choice in (*schema.get("anyOf", ()), *schema.get("allOf", ())):
        yield from places(document, choice, path, depth + 1)
    if schema.get("type") == "string" or (not schema.keys() & {"type", "anyOf", "allOf", "const"} and path):
        yield path, False
    if schema.get("type") == "array":
        yield from places(document, schema["items"], (*path, 0), depth + 1)
    if schema.get("type") == "object":
        for name, member in schema.get("properties", {}).items():
            yield from places(document, member, (*path, name), depth + 1)
        if isinstance(schema.get("additionalProperties"), dict):
            yield (*path, None), True
            yield from places(document, schema["additionalProperties"], (*path, None), depth + 1)


def put_at(body, path, value, is_name, free="web"):
    """A copy of `body` with `value` at `path`."""
    body = copy.deepcopy(body)
    if not path:
        return value
    here = body
    for part, following in zip(path, path[1:] + (...,), strict=True):
        is_last = following is ...
        if part == 0:
            child = here[0] if here else ([] if following == 0 else {})
            here[:] = [value if is_last else child]
            here = here[0]
            continue
        name = (value if is_last and is_name else free) if part is None else part
        if is_last:
            here[name] = value if not is_name else here.get(free, "x")
            return body
        if not isinstance(here.get(name), list if following == 0 else dict):
            here[name] = [] if following == 0 else {}
        here = here[name]
    return body


def value_at(reply, path, value, is_name, free="web"):
    """What the reply has there; `...` when it says nothing about this member."""
    here = reply
    for number, part in enumerate(path):
        is_last = number == len(path) - 1
        if part == 0:
            if not isinstance(here, list) or not here:
                return ...
            here = here[0]
        else:
            name = (value if is_last and is_name else free) if part is None else part
            if not isinstance(here, dict) or name not in here:
                return ...
            here = here[name]
            if is_last and is_name:
                return value
    return here


def operations(document):
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if method in METHODS:
                yield method.upper(), path, operation


# --- the world -------------------------------------------------------------------------------------------------------------


class World:
    def __init__(self, daemon, slug):
        self.api = daemon.client
        self.number = 0
        self.slug = slug
        self.api.post("/v1/projects", {"name": "Target", "slug": slug}).expect(201)
        service = f"/v1/projects/{slug}/services"
        self.service = self.api.post(service, {"name": "web"}).expect(201).json["id"]
        variable = {"key": "KEPT", "value": "kept"}
        self.variable = self.api.post(f"/v1/services/{self.service}/env-vars", variable).expect(201).json["id"]

    def word(self, stem):
        self.number += 1
        return f"{stem}{self.number}x{secrets.token_hex(2)}"

    def target(self, path):
        values = {"slug": self.slug, "id": self.service, "name": "preview", "var_id": self.variable}
        return re.sub(r"\{(\w+)\}", lambda found: values.get(found.group(1), "01900000-0000-7000-8000-000000000000"), path)

    def body(self, name):
        """The least that is right."""
        bodies = {
            "createProject": {"name": "P", "slug": self.word("p")},
            "createEnvironment": {"name": self.word("e")},
            "createService": {"name": self.word("s")},
            "createVariable": {"key": self.word("V"), "value": "v"},
            "putVariables": {"variables": [{"key": self.word("V"), "value": "v"}]},
            "updateVariable": {"value": "v"},
            "createDomain": {"domain": self.word("d") + ".example.org"},
            "createToken": {"name": self.word("t"), "scopes": ["read"]},
            "createDeployment": {"release_id": "v1", "environment_name": "production"},
            "scaleService": {"replicas": 1},
            "putSpec": {"project": self.slug, "services": {"web": {}}},
        }
        return bodies.get(name, {})


@pytest.fixture
def world(daemon, run):
    return World(daemon, run)


def judge(reply, label):
    """What holds for every answer to hostile text; None when it is fine."""
    if reply.status >= 500:
        return f"{label}: {reply}"
    if any("Injected" in name for name in reply.headers) or b"X-Injected: 1\r\n" in str(reply.headers).encode():
        return f"{label}: a header came out of it: {reply.headers}"
    if reply.status == 204 or not reply.body:
        return None
    try:
        told = reply.json
    except ValueError:
        return f"{label}: the reply is no JSON: {reply}"
    if reply.status >= 400 and (told.get("code") is None or told.get("status") != reply.status):
        return f"{label}: no problem details: {reply}"
    if reply.status == 400 and told["code"] == "INVALID_INPUT" and not all(e.get("path") for e in told["errors"]):
        return f"{label}: refused without a path: {reply}"
    return None


def whole_database(daemon):
    """Integrity, and the tables there are."""
    if daemon.store_url.startswith("sqlite:"):
        connection = sqlite3.connect(daemon.store_url.removeprefix("sqlite:"), timeout=10)
        try:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
            return {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        finally:
            connection.close()
    url = urlsplit(daemon.store_url)
    command = ["psql", "-h", "127.0.0.1", "-p", str(url.port), "-U", "postgres", "-d", url.path[1:], "-qAt", "-c",
               "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"]  # fmt: skip
    return set(subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout.split())


# --- by the API ------------------------------------------------------------------------------------------------------------


@pytest.mark.api
def test_every_string_of_every_body(daemon, world, mark):
    document = daemon.client.get("/v1/openapi.json").expect(200).json
    corpus = hostile.corpus(str(mark))
    tables = whole_database(daemon)
    wrong, kept, refused, where = [], 0, 0, 0
    for method, path, operation in operations(document):
        content = operation.get("requestBody", {}).get("content", {})
        if "application/json" not in content:
            continue
        name = operation["operationId"]
        for place, is_name in set(places(document, content["application/json"]["schema"])):
            where += 1
            for title, text in corpus.items():
                label = f"{name} {'.'.join(map(str, place))}{' (name)' if is_name else ''} {title}"
                body = put_at(world.body(name), place, text, is_name)
                reply = world.api.call(method, world.target(path), body)
                complaint = judge(reply, label)
                # A release that is there already answers for the same inputs, with what was noted when it was made.
                is_reused = name == "createRelease" and reply.status == 200
                if complaint is None and reply.status < 300 and name != "putSpec" and not is_reused:
                    kept += 1
                    found = value_at(reply.json, place, text, is_name)
                    # A bare string may stand for an object with one member: health: /healthz.
                    is_same = found is ... or found == text or (isinstance(found, dict) and text in found.values())
                    complaint = None if is_same else f"{label}: changed to {found!r}"
                refused += reply.status >= 400
                wrong += [complaint] if complaint else []
            for title, raw in hostile.raw_json().items():
                body = hostile.encode(put_at(world.body(name), place, "RAW", is_name), raw)
                reply = world.api.call(method, world.target(path), body, {"Content-Type": "application/json"})
                complaint = judge(reply, f"{name} {place} {title}")
                if complaint is None and reply.status != 400:
                    complaint = f"{name} {place} {title}: what is no text was taken: {reply}"
                wrong += [complaint] if complaint else []
    assert not wrong, f"{len(wrong)} complaints:\n" + "\n".join(complaint[:400] for complaint in wrong[:25])
    assert whole_database(daemon) == tables
    daemon.client.get(f"/v1/projects/{world.slug}").expect(200)
    look_for_mark(mark, daemon.folder)
    daemon.check_reports()
    print(f"\ninjection: {where} places × {len(corpus) + len(hostile.raw_json())} texts, {kept} kept, {refused} refused")
    assert where > 60 and kept > 200 and refused > 1500


@pytest.mark.api
def test_every_parameter_and_header(daemon, world, mark):
    document = daemon.client.get("/v1/openapi.json").expect(200).json
    corpus = {title: text for title, text in hostile.corpus(str(mark)).items() if title != "long"}
    tables = whole_database(daemon)
    wrong, count = [], 0

    def look(method, target, label, headers=None, body=None):
        nonlocal count
        count += 1
        reply = world.api.call(method, target, body, headers)
        if reply.status != 101 and reply.headers.get_content_type() != "text/event-stream":
            wrong.extend(filter(None, [judge(reply, label)]))

    for method, path, operation in operations(document):
        name = operation["operationId"]
        body = world.body(name) if "application/json" in operation.get("requestBody", {}).get("content", {}) else None
        for title, text in corpus.items():
            encoded = quote(text, safe="")
            for parameter in re.findall(r"\{\w+\}", path):
                others = world.target(path.replace(parameter, "\0", 1)).replace("\0", encoded)
                look(method, others, f"{name} {parameter} {title}", body=body)
            for parameter in operation["parameters"]:
                if parameter["in"] == "query" and parameter["schema"].get("type", "string") == "string":
                    if name in ("streamEvents", "streamLogs"):
                        continue
                    look(method, f"{world.target(path)}?{parameter['name']}={encoded}", f"{name} ?{title}", body=body)
    for bytes in (b"%c0%af", b"%ed%a0%80", b"%ff", b"%00", b"%", b"%4", b"%zz", b"%f4%90%80%80"):
        for path in ("/v1/projects/{}", "/v1/projects?cursor={}", "/v1/services/{}/env-vars", "/{}", "/v1/{}"):
            target = path.replace("{}", bytes.decode())
            reply = world.api.get(target)
            count += 1
            if not 400 <= reply.status < 500:
                wrong.append(f"{target}: {reply}")
    for title, text in corpus.items():
        value = re.sub(r"[\r\n\0]", "", text).encode().decode("latin-1")
        for header in ("Idempotency-Key", "X-Request-Id", "If-Match", "Last-Event-ID", "Accept", "traceparent", "User-Agent"):
            look("GET", f"/v1/projects/{world.slug}", f"{header} {title}", {header: value})
            if value.isprintable():  # others are refused at the head, before the body can be sent
                look("POST", f"/v1/projects/{world.slug}/environments", f"{header} {title}",
                     {header: value}, {"name": world.word("e")})  # fmt: skip
    assert not wrong, f"{len(wrong)} complaints:\n" + "\n".join(complaint[:400] for complaint in wrong[:25])
    assert whole_database(daemon) == tables
    # Whatever was sent, a line of the log is one JSON value, and none was forged.
    events = [record["event"] for record in daemon.records()]
    assert "forged" not in events and len(events) > 500
    assert all(line.startswith("{") for line in daemon.stderr().splitlines())
    look_for_mark(mark, daemon.folder)
    daemon.check_reports()
    print(f"\ninjection: {count} requests with hostile parameters and headers")


@pytest.mark.api
def test_names_look_like_names(daemon, world, mark):
    """No name that is shown, used in a path, a host name, a container's or HAProxy's configuration holds anything but
    letters, digits and hyphens, whatever was asked for above."""
    label = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")
    for project in daemon.client.get("/v1/projects").expect(200).json["projects"]:
        assert label.fullmatch(project["slug"]), project
        for kind in ("environments", "services"):
            for item in daemon.client.get(f"/v1/projects/{project['slug']}/{kind}").expect(200).json[kind]:
                assert label.fullmatch(item["name"]), item
    for token in daemon.client.get("/v1/user/tokens").expect(200).json["tokens"]:
        assert label.fullmatch(token["name"]), token


# --- by the command line ------------------------------------------------------------------------------------------------------

CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x80-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def on_a_terminal(cli, *arguments, seconds=60):
    """(exit code, what the terminal shows)."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(cli.folder)
        os.execve(str(BUILD / "enclii"), [b"enclii", *(os.fsencode(a) for a in arguments)], cli.environment())
    shown, end = b"", time.monotonic() + seconds
    try:
        while time.monotonic() < end:
            if select.select([terminal], [], [], 1)[0]:
                try:
                    piece = os.read(terminal, 65536)
                except OSError:
                    break
                if not piece:
                    break
                shown += piece
    finally:
        os.close(terminal)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return code, shown.decode(errors="replace")


def complain(label, code, shown):
    if code < 0 or SANITIZER_REPORT.search(shown):
        return f"{label}: exit {code}\n{shown[-1500:]}"
    found = CONTROL.search(shown)
    return f"{label}: {found.group()!r} reached the terminal: {shown!r:.300}" if found else None


# What differs in kind; the command line starts a process for each.
FOR_COMMANDS = (
    "shell-substitution", "option-git", "path-up", "sql-drop", "crlf", "terminal-title", "terminal-c1", "bidi", "format",
    "controls",
)  # fmt: skip


@pytest.mark.api
def test_arguments_of_commands(daemon, cli, world, mark):
    corpus = hostile.corpus(str(mark))
    cli = cli.having(TERM="xterm", ENCLII_PROJECT=world.slug)
    commands = (
        ("projects", "create", "{}"), ("projects", "show", "{}"), ("environments", "create", "{}"),
        ("domains", "add", "-s", "web", "{}"), ("tokens", "create", "{}", "--scope", "{}"), ("env", "set", "{}"),
        ("env", "set", "X={}", "--no-deploy", "-s", "web"), ("env", "unset", "{}"), ("scale", "{}"), ("rollback", "{}"),
        ("status", "-e", "{}"), ("logs", "{}", "--grep", "{}"), ("deploy", "{}"), ("api", "GET", "{}"), ("help", "{}"),
        ("{}",), ("projects", "list", "--{}"), ("projects", "list", "-o", "{}"), ("context", "use", "{}"),
        ("env", "import", "{}"),
    )  # fmt: skip
    wrong, count = [], 0
    for number, command in enumerate(commands):
        for title in FOR_COMMANDS[number % 2 :: 2] if number % 3 else FOR_COMMANDS:
            text = corpus[title].replace("\0", "")
            code, shown = on_a_terminal(cli, *(part.replace("{}", text) for part in command))
            count += 1
            wrong.extend(filter(None, [complain(f"{' '.join(command)} {title}", code, shown)]))
    # What was kept, shown again.
    for command in (("env", "list", "-s", "web"), ("events",), ("projects",), ("api", "GET", "/v1/activity")):
        wrong.extend(filter(None, [complain(" ".join(command), *on_a_terminal(cli, *command))]))
    assert not wrong, f"{len(wrong)} of {count}:\n" + "\n".join(wrong[:15])
    look_for_mark(mark, daemon.folder, cli.home)
    print(f"\ninjection: {count} commands on a terminal")


SPEC_PLACES = (
    ("project",), ("services", None), ("services", "web", "image"), ("services", "web", "build"),
    ("services", "web", "build", "context"), ("services", "web", "build", "dockerfile"),
    ("services", "web", "build", "target"), ("services", "web", "build", "args", "X"), ("services", "web", "command"),
    ("services", "web", "health"), ("services", "web", "health", "path"), ("services", "web", "env", "X"),
    ("services", "web", "env", None), ("services", "web", "secrets"), ("services", "web", "domains"),
    ("services", "web", "volumes", "data"), ("services", "web", "release"), ("services", "web", "stop", "signal"),
    ("environments", "production", "web", "env", "X"), ("environments", None), (None,),
)  # fmt: skip


@pytest.mark.api
def test_every_place_of_enclii_yaml(daemon, cli, world, mark, tmp_path):
    corpus = hostile.corpus(str(mark))
    folder = tmp_path / "app"
    folder.mkdir()
    (folder / "Dockerfile").write_text("FROM scratch\n")
    cli = cli.at(folder).having(TERM="xterm")
    wrong, count = [], 0
    for number, place in enumerate(SPEC_PLACES):
        for title in FOR_COMMANDS[number % 2 :: 2]:
            spec = {"project": world.slug, "services": {"web": {"build": "."}}}
            here = spec
            for part in place[:-1]:
                if not isinstance(here.get(part), dict):
                    here[part] = {}
                here = here[part]
            text = corpus[title]
            if place[-1] is None:
                here[text] = {}
            else:
                here[place[-1]] = [text] if place[-1] in ("command", "secrets", "domains", "release") else text
            (folder / "enclii.yaml").write_text(yaml.safe_dump(spec, allow_unicode=number % 2 == 0))
            code, shown = on_a_terminal(cli, "up", "--dry-run")
            count += 1
            wrong.extend(filter(None, [complain(f"enclii.yaml {place} {title}", code, shown)]))
            if place == (None,) and code == 0:
                wrong.append(f"{place} {title}: an unknown member was taken")
    assert not wrong, f"{len(wrong)} of {count}:\n" + "\n".join(wrong[:15])
    look_for_mark(mark, daemon.folder, folder)
    daemon.check_reports()
    print(f"\ninjection: {count} specifications on a terminal")


# --- all the way to a container, the edge and the log -------------------------------------------------------------------------


@pytest.mark.engine
def test_hostile_values_reach_the_service_verbatim_and_nothing_else(engine_daemon, haproxy, tmp_path, run, mark):
    corpus = {t: v for t, v in hostile.corpus(str(mark)).items() if t != "long" and "\0" not in v}
    app = App(engine_daemon, Cli(f"unix:{engine_daemon.socket}", tmp_path), tmp_path / "app", run)
    env = {f"E_{title.replace('-', '_')}": text for title, text in corpus.items()}
    health = {"path": "/healthz?a=$(touch)&b='%5b%22{}", "interval": "1s", "grace": "20s"}
    arguments = {name: value for name, value in env.items() if "\n" not in value}
    spec = {"env": env, "command": list(corpus.values()), "build": {"context": ".", "args": arguments}}
    app.spec(web=spec)
    plan = app.cli("up", "--dry-run")
    if plan.code != 0:
        # What a specification may not hold is named; the rest must go all the way.
        bad = {name for name in env if re.search(rf"\b{name}\b", plan.stderr)}
        assert bad and len(bad) < len(env) / 2, str(plan)
        spec = {**spec, "env": {n: v for n, v in env.items() if n not in bad}}
        app.spec(web=spec)
    app.cli("up", "-e", "production", seconds=300).expect(0)
    variables = [{"key": name.replace("E_", "V_"), "value": value} for name, value in env.items()]
    service = app.service()["id"]
    reply = engine_daemon.client.post(f"/v1/services/{service}/env-vars/bulk", {"variables": variables}).expect(200)
    for made in reply.json["environment_variables"]:
        assert made["value"] == env[made["key"].replace("V_", "E_")], made["key"]
    app.cli("up", "-e", "production", seconds=300).expect(0)
    sent = {**spec["env"], **{v["key"]: v["value"] for v in variables}}
    for name, value in sent.items():
        assert app.ask(f"/env/{name}").expect(200).body == value.encode(), name
        app.ask(f"/log-env/{name}").expect(200)
    app.ask("/log/the-last-line").expect(200)
    cli = app.cli.having(TERM="xterm")
    end = time.monotonic() + 30
    shown = ""
    while "the-last-line" not in shown and time.monotonic() < end:
        code, shown = on_a_terminal(cli, "logs", "web", "-e", "production", "-n", "1000")
    assert "the-last-line" in shown
    complaints = [complain("logs", code, shown), complain("env list", *on_a_terminal(cli, "env", "list", "-e", "production"))]
    assert not any(complaints), complaints
    configuration = engine_daemon.data / "edge" / "haproxy.cfg"
    done = subprocess.run([haproxy, "-c", "-f", str(configuration)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "evil" not in configuration.read_text() and mark.name not in configuration.read_text()
    look_for_mark(mark, engine_daemon.folder, app.folder)
    engine_daemon.check_reports()
    print(f"\ninjection: {len(sent)} values all the way to a container")


# --- the test itself ----------------------------------------------------------------------------------------------------------


def test_places_and_values_are_found_where_they_were_put():
    document = {"components": {"schemas": {"A": {"type": "object", "properties": {
        "name": {"type": "string"}, "list": {"type": "array", "items": {"$ref": "#/components/schemas/B"}},
        "map": {"anyOf": [{"type": "object", "additionalProperties": {"type": "string"}}, {"type": "null"}]}}},
        "B": {"type": "object", "properties": {"x": {"type": "string"}, "n": {"type": "integer"}}}}}}  # fmt: skip
    found = set(places(document, {"$ref": "#/components/schemas/A"}))
    assert found == {(("name",), False), (("list", 0, "x"), False), (("map", None), True), (("map", None), False)}
    for path, is_name in found:
        body = put_at({"name": "n"}, path, "EVIL", is_name)
        assert "EVIL" in json.dumps(body), path
        assert value_at(body, path, "EVIL", is_name) == "EVIL", (path, body)
    assert value_at({"other": 1}, ("name",), "EVIL", False) is ...
    assert complain("x", 0, "a\x1b[2J") and complain("x", -11, "a") and not complain("x", 1, "plain\r\n\ttext")
