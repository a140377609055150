"""Who may do what: every route of the contract × every kind of caller × every way to hand a credential over.

What is expected is computed from three things: the permission that `switchyard openapi` names for a route, the table
below, and the rules of docs/explanation/security-model.md:

    no valid credential                                     401
    a scope that does not contain the permission's          403
    a permission of the whole installation, and a token
    that is bound to a project                              403
    an object of another project                            404, the same as for one that does not exist
    otherwise                                               what the route promises

A cell is one request. Those that must be refused come first, and nothing in the database may have changed after them."""

import base64
import hashlib
import http.client
import itertools
import json
import os
import re
import secrets
import sqlite3
import subprocess
import sys
from urllib.parse import urlsplit

import pytest
from harness.client import UnixConnection
from harness.daemon import Daemon
from harness.process import BUILD

pytestmark = pytest.mark.api

# Permission: (the least scope that grants it, whether it concerns the installation rather than one project). Written
# down a second time on purpose: who changes src/auth/permission.c is asked here whether that was meant.
PERMISSIONS = {
    "project.read": ("read", False), "project.create": ("deploy", True), "project.update": ("deploy", False),
    "project.delete": ("admin", False), "environment.read": ("read", False), "environment.write": ("deploy", False),
    "environment.delete": ("admin", False), "service.read": ("read", False), "service.write": ("deploy", False),
    "service.delete": ("admin", False), "source.write": ("deploy", False), "release.read": ("read", False),
    "release.create": ("deploy", False), "deployment.read": ("read", False), "deployment.create": ("deploy", False),
    "log.read": ("read", False), "event.read": ("read", False), "variable.read": ("read", False),
    "variable.write": ("deploy", False), "variable.reveal": ("admin", False), "domain.read": ("read", False),
    "domain.write": ("deploy", False), "token.read": ("admin", True), "token.write": ("admin", True),
    "system.read": ("read", True), "system.write": ("admin", True),
}  # fmt: skip
SCOPES = ("read", "deploy", "admin")
METHODS = ("get", "post", "put", "patch", "delete")
ABSENT = "01900000-0000-7000-8000-000000000000"
NOBODY_UID = 65534
UPGRADE = {
    "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}  # fmt: skip

# What an admitted caller gets where it is not the route's first documented status.
OTHERWISE = {
    "cancelRelease": {409},  # it is not being built
    "rollbackDeployment": {409},  # there is nothing to go back to
    "verifyDomain": {409},  # it does not resolve
    "cancelDeployment": {200, 409},
    "getHealth": {200, 503},
    "getReady": {200, 503},
    "runGc": {200, 503},  # there is no engine here
}


def operations(document):
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if method in METHODS:
                yield method.upper(), path, operation


@pytest.fixture(scope="module")
def document():
    done = subprocess.run([str(BUILD / "switchyard"), "openapi"], capture_output=True, check=True, timeout=60)
    return json.loads(done.stdout)


# --- the world that is asked about ----------------------------------------------------------------------------------


class World:
    """Two projects with one of everything, and the tokens. The release is made ready, and one token's time is put into
    the past, in the database of a stopped server: a builder and a day's waiting would show nothing more."""

    def __init__(self, daemon):
        self.daemon = daemon
        self.api = daemon.client
        self.number = itertools.count()
        self.mine = self.new_project("mine")
        self.theirs = self.new_project("theirs")
        self.tokens = {scope: self.token(scope) for scope in SCOPES}
        for project in (self.mine, self.theirs):
            for scope in SCOPES:
                self.tokens[f"{project['kind']}-{scope}"] = self.token(scope, project["slug"])
        self.tokens["revoked"] = self.token("admin", revoke=True)
        self.tokens["expired"] = self.token("admin", expires_in_days=1)
        self.tokens["wrong"] = "enclii_" + secrets.token_hex(32)
        self.addresses = itertools.count(1)

    def word(self, stem="x"):
        return f"{stem}{next(self.number)}{secrets.token_hex(2)}"

    def token(self, scope, project=None, revoke=False, **more):
        body = {"name": self.word("t"), "scopes": [scope], **more, **({"project": project} if project else {})}
        made = self.api.post("/v1/user/tokens", body).expect(201).json
        # It is in the cache of verified tokens when it ends.
        self.daemon.over_tcp(made["token"]).get("/v1/projects").expect(200)
        if revoke:
            self.api.delete(f"/v1/user/tokens/{made['id']}").expect(200)
        return made["token"]

    def new_project(self, kind):
        slug = self.word(kind)
        self.api.post("/v1/projects", {"name": slug, "slug": slug}).expect(201)
        service = self.api.post(f"/v1/projects/{slug}/services", {"name": "web", "port": 8080}).expect(201).json
        archive = f"archive of {slug}".encode()
        digest = hashlib.sha256(archive).hexdigest()
        self.api.put(f"/v1/services/{service['id']}/sources/{digest}", archive).expect(200)
        project = {"kind": kind, "slug": slug, "service": service["id"], "archive": archive, "sha256": digest}
        release = self.api.post(f"/v1/services/{service['id']}/build", {"source": digest}).expect(201).json
        project["release"] = release["id"]
        project["variable"] = self.new_variable(project)
        project["domain"] = self.new_domain(project)
        project["environment"] = "preview"
        return project

    def settle(self):
        """After the database was changed: the deployments."""
        for project in (self.mine, self.theirs):
            body = {"release_id": project["release"], "environment_name": "production"}
            deployment = self.api.post(f"/v1/services/{project['service']}/deploy", body).expect(201).json
            project["deployment"] = deployment["id"]

    def new_variable(self, project):
        body = {"key": self.word("V"), "value": "hidden", "is_secret": True}
        return self.api.post(f"/v1/services/{project['service']}/env-vars", body).expect(201).json["id"]

    def new_domain(self, project):
        body = {"domain": self.word("d") + ".example.org", "environment": "production"}
        return self.api.post(f"/v1/services/{project['service']}/domains", body).expect(201).json["id"]

    def new_environment(self, project):
        name = self.word("e")
        self.api.post(f"/v1/projects/{project['slug']}/environments", {"name": name}).expect(201)
        return name

    def new_token(self):
        body = {"name": self.word("t"), "scopes": ["read"]}
        return self.api.post("/v1/user/tokens", body).expect(201).json["id"]


@pytest.fixture(scope="module")
def world(store, store_url):
    url = store_url()
    daemon = Daemon(url)
    daemon.start()
    try:
        world = World(daemon)
        daemon.stop()
        execute(daemon, "UPDATE tokens SET expires_at = 1 WHERE expires_at IS NOT NULL")
        execute(daemon, "UPDATE releases SET status = 'ready', image_uri = 'example.org/a', image_digest = "
                        f"'sha256:{'0' * 64}'")  # fmt: skip
        daemon.start()
        world.settle()
        yield world
    finally:
        daemon.close()


def execute(daemon, text):
    """One statement beside the server's back; the rows it gives."""
    if daemon.store_url.startswith("sqlite:"):
        connection = sqlite3.connect(daemon.store_url.removeprefix("sqlite:"), timeout=10)
        try:
            with connection:
                return connection.execute(text).fetchall()
        finally:
            connection.close()
    url = urlsplit(daemon.store_url)
    command = ["psql", "-h", "127.0.0.1", "-p", str(url.port), "-U", "postgres", "-d", url.path[1:], "-qAt", "-c", text]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout.splitlines()


def everything(daemon):
    """All rows, but for when a token was last used."""
    if daemon.store_url.startswith("sqlite:"):
        names = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    else:
        names = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
    tables = sorted(row if isinstance(row, str) else row[0] for row in execute(daemon, names))
    assert len(tables) > 12, tables
    columns = {"tokens": "id, name, hash, scopes, project_id, expires_at, revoked_at"}
    return {table: sorted(map(str, execute(daemon, f"SELECT {columns.get(table, '*')} FROM {table}"))) for table in tables}


# --- requests that are right in everything but who asks --------------------------------------------------------------


def substance(world, method, operation, project, is_admitted):
    """(path parameters, query, body, headers). An admitted change is done to something new, so that what the other
    cells ask for stays."""
    name = operation["operationId"]
    fresh = is_admitted
    path = {
        "slug": project["slug"], "id": project["service"], "release_id": project["release"],
        "sha256": project["sha256"], "token_id": ABSENT,
        "name": world.new_environment(project) if fresh and name == "deleteEnvironment" else project["environment"],
        "var_id": world.new_variable(project) if fresh and name == "deleteVariable" else project["variable"],
        "domain_id": world.new_domain(project) if fresh and name == "deleteDomain" else project["domain"],
    }  # fmt: skip
    if name in ("getToken", "deleteToken") and fresh:
        path["token_id"] = world.new_token()
    if name == "restoreProject" and fresh:
        world.api.delete(f"/v1/projects/{project['slug']}?force=true").expect(200)
    if "/releases/{id}" in operation["path"]:
        path["id"] = project["release"]
    if "/deployments/{id}" in operation["path"]:
        path["id"] = project["deployment"]
    bodies = {
        "createProject": lambda: {"name": "P", "slug": world.word("p")},
        "updateProject": lambda: {"description": world.word()},
        "putSpec": lambda: {"project": project["slug"], "services": {"web": {"image": "a@sha256:" + "0" * 64}}},
        "createEnvironment": lambda: {"name": world.word("e")},
        "updateEnvironment": dict,
        "createService": lambda: {"name": world.word("s")},
        "updateService": lambda: {"replicas": 1},
        "scaleService": lambda: {"replicas": 1},
        "restartService": dict,
        "putSource": lambda: project["archive"],
        "createRelease": lambda: {"source": project["sha256"]},
        "createDeployment": lambda: {"release_id": project["release"], "environment_name": "production"},
        "rollbackDeployment": dict,
        "createVariable": lambda: {"key": world.word("V"), "value": "v"},
        "putVariables": lambda: {"variables": [{"key": world.word("V"), "value": "v"}]},
        "updateVariable": lambda: {"value": world.word()},
        "createDomain": lambda: {"domain": world.word("d") + ".example.org"},
        "createToken": lambda: {"name": world.word("t"), "scopes": ["read"]},
    }
    if "requestBody" in operation:
        assert name in bodies, f"{name} takes a body, and this test knows none for it"
    is_plan = any(parameter["name"] == "dry_run" for parameter in operation["parameters"])
    body = bodies[name]() if name in bodies else None
    return path, "?dry_run=true" if is_plan else "", body, UPGRADE if name == "streamLogs" else {}


class Way:
    """How a credential is handed over. `gives` says who the caller is then: the caller of the cell, nobody, or root."""

    def __init__(self, name, gives="caller", headers=None, query=None, socket=False, prefix=""):
        self.name, self.gives, self.socket, self.prefix = name, gives, socket, prefix
        self.headers = headers or (lambda token: {})
        self.query = query or (lambda token: "")


def basic(user, password):
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


WAYS = (
    Way("bearer", headers=lambda token: {"Authorization": f"Bearer {token}"}),
    Way("bearer in lower case", headers=lambda token: {"authorization": f"bearer {token}"}),
    Way("bearer below /api", headers=lambda token: {"Authorization": f"Bearer {token}"}, prefix="/api"),
    Way("?token=", "nobody", query=lambda token: f"token={token}"),
    Way("?access_token=", "nobody", query=lambda token: f"access_token={token}"),
    Way("basic, as user", "nobody", headers=lambda token: {"Authorization": basic(token, "")}),
    Way("basic, as password", "nobody", headers=lambda token: {"Authorization": basic("token", token)}),
    Way("without a scheme", "nobody", headers=lambda token: {"Authorization": token}),
    Way("cookie", "nobody", headers=lambda token: {"Cookie": f"token={token}; Authorization=Bearer {token}"}),
    Way("X-API-Key", "nobody", headers=lambda token: {"X-API-Key": token, "X-Auth-Token": token}),
    Way("forwarded by a proxy", "nobody", headers=lambda token: {"Proxy-Authorization": f"Bearer {token}",
                                                                  "X-Forwarded-User": "root", "X-Remote-User": "root"}),
    Way("a second header", "refused", headers=lambda token: [("Authorization", f"Bearer {token}"),
                                                             ("Authorization", "Bearer enclii_" + "0" * 64)]),
    Way("bearer on root's socket", headers=lambda token: {"Authorization": f"Bearer {token}"}, socket=True),
    Way("root's socket", "root", socket=True),
)  # fmt: skip

MALFORMED = (
    "", "enclii_", "enclii_" + "0" * 63, "enclii_" + "0" * 65, "enclii_" + "A" * 64, "ENCLII_" + "0" * 64,
    "enclii_" + "g" * 64, "0" * 64, "null", "undefined", "enclii_" + "0" * 63 + "\xe9", "enclii_" + "%30" * 32,
    "enclii_" + "0" * 64 + " enclii_" + "0" * 64, "enclii_" + "0" * 64 + ",", "'OR'1'='1", "enclii_" + "0" * 4000,
    "eyJhbGciOiJub25lIn0.eyJzdWIiOiJyb290In0.",
)  # fmt: skip

CALLERS = (
    "nobody", "malformed", "wrong", "revoked", "expired", *SCOPES, *(f"mine-{s}" for s in SCOPES),
    *(f"theirs-{s}" for s in SCOPES),
)  # fmt: skip


class Answer:
    def __init__(self, status, body, headers, request):
        self.status, self.body, self.headers, self.request = status, body, headers, request

    def __str__(self):
        return f"{self.request} → {self.status} {self.body[:200]!r}"


def ask(world, way, method, target, body, headers):
    """One request on one connection. Failed sign-ins are counted per address: each comes from another one of loopback's."""
    if way.socket:
        connection = UnixConnection(str(world.daemon.socket), 30)
    else:
        number = next(world.addresses)
        address = f"127.{1 + number // 60000 % 200}.{1 + number // 250 % 240}.{1 + number % 250}"
        host = world.daemon.over_tcp().endpoint.removeprefix("http://")
        connection = http.client.HTTPConnection(host, timeout=30, source_address=(address, 0))
    try:
        data = json.dumps(body).encode() if isinstance(body, dict) else body
        connection.putrequest(method, target, skip_accept_encoding=True)
        for name, value in headers:
            connection.putheader(name, value.encode("latin-1"))
        if isinstance(body, dict):
            connection.putheader("Content-Type", "application/json")
        if data is not None:
            connection.putheader("Content-Length", str(len(data)))
        connection.endheaders(data)
        reply = connection.getresponse()
        is_stream = reply.headers.get_content_type() == "text/event-stream" or reply.status == 101
        return Answer(reply.status, b"" if is_stream else reply.read(), reply.headers, f"{method} {target}")
    finally:
        connection.close()


# --- cells ---------------------------------------------------------------------------------------------------------


def expected(operation, way, caller, emitted):
    """A status, or "admitted"."""
    if way.gives == "refused":
        return 400
    if operation.get("security") == []:
        return "admitted" if not way.query("t") else 400
    who = {"caller": caller, "nobody": "nobody", "root": "admin"}[way.gives]
    if way.socket and way.gives == "caller" and caller == "nobody":
        who = "admin"  # no header: the peer is root
    if who in ("nobody", "malformed", "wrong", "revoked", "expired"):
        return 401
    scope, is_global = emitted[operation["x-permission"]]
    bound, _, own = who.rpartition("-")
    if SCOPES.index(own) < SCOPES.index(scope) or (bound and is_global):
        return 403
    is_of_project = "{" in operation["path"] and not is_global
    return 404 if bound == "theirs" and is_of_project else "admitted"


# Failed sign-ins of an address are limited, and the socket is one address: there the bad credentials try these only.
ON_THE_SOCKET = ("createProject", "listProjects", "putSpec", "deleteService", "revealVariable")


def cells(document):
    """(method, operation, way, caller)."""
    for method, path, operation in operations(document):
        operation["path"] = path
        for way in WAYS:
            callers = ("admin",) if way.gives != "caller" else CALLERS
            for caller in callers:
                is_bad = caller in ("malformed", "wrong", "revoked", "expired")
                if way.socket and is_bad and operation["operationId"] not in ON_THE_SOCKET:
                    continue
                yield method, operation, way, caller
                if method == "GET" and way.name == "bearer":
                    yield "HEAD", operation, way, caller


def run_cell(world, method, operation, way, caller, want, number):
    name = operation["operationId"]
    path, query, body, more = substance(world, method, operation, world.mine, want == "admitted")
    target = way.prefix + re.sub(r"\{(\w+)\}", lambda found: path[found.group(1)], operation["path"]) + query
    if way.prefix and not operation["path"].startswith("/v1"):
        return None
    token = MALFORMED[number % len(MALFORMED)] if caller == "malformed" else world.tokens.get(caller, "")
    headers = list(more.items())
    if caller != "nobody" and way.gives != "root":
        given = way.headers(token)
        headers += given.items() if isinstance(given, dict) else given
        if extra := way.query(token):
            target += ("&" if "?" in target else "?") + extra
    if name == "streamLogs" and method == "HEAD":
        headers = [pair for pair in headers if pair[0] not in UPGRADE]
    answer = ask(world, way, method, target, body, headers)
    label = f"{caller} by {way.name}: {answer}"
    if token and len(token) > 20 and token.encode() in answer.body and name != "createToken":
        return f"{label}: the reply repeats the token"
    if want != "admitted":
        if answer.status != want:
            return f"{label}, expected {want}"
        if method == "HEAD":
            return None if not answer.body else f"{label}: HEAD with a body"
        problem = json.loads(answer.body)
        return None if problem.get("code") and problem["status"] == want else f"{label}: no problem details"
    promised = OTHERWISE.get(name) or {int(next(s for s in operation["responses"] if s != "default"))}
    promised |= {int(s) for s in operation["responses"] if s != "default"}
    if name == "streamLogs" and method == "HEAD":
        promised = {400}
    return None if answer.status in promised else f"{label}, expected one of {sorted(promised)}"


def test_contract_names_the_scope_of_every_permission(document):
    """The emission, and through it the server's own table, says what this file says."""
    seen = {}
    for method, path, operation in operations(document):
        if operation.get("security") == []:
            assert "x-permission" not in operation and "x-scope" not in operation, f"{method} {path}"
            continue
        fact = (operation["x-scope"], operation["x-installation-wide"])
        assert seen.setdefault(operation["x-permission"], fact) == fact, f"{method} {path}"
    assert seen == {name: fact for name, fact in PERMISSIONS.items() if name in seen}
    assert set(seen) == set(PERMISSIONS), f"no route asks for {set(PERMISSIONS) - set(seen)}"


def test_public_routes_are_these(document):
    """A route that becomes public is named here, by hand."""
    public = {operation["operationId"] for _, _, operation in operations(document) if operation.get("security") == []}
    assert public == {"getHealth", "getLive", "getReady", "getMetrics", "getOpenapi", "getVersion", "getBuildStatus"}


def test_every_route_answers_every_caller_as_the_table_says(document, world):
    planned = [(cell, expected(cell[1], cell[2], cell[3], PERMISSIONS)) for cell in cells(document)]
    refused = [pair for pair in planned if pair[1] != "admitted"]
    # Restoring comes last: what was deleted is not running any more.
    admitted = sorted(
        (pair for pair in planned if pair[1] == "admitted"), key=lambda pair: pair[0][1]["operationId"] == "restoreProject"
    )
    before = everything(world.daemon)
    surprises = [run_cell(world, *cell, want, number) for number, (cell, want) in enumerate(refused)]
    after = everything(world.daemon)
    changed = {table: set(after[table]) ^ set(before[table]) for table in before if after[table] != before[table]}
    surprises += [run_cell(world, *cell, want, number) for number, (cell, want) in enumerate(admitted)]
    surprises = [surprise for surprise in surprises if surprise]
    print(f"\naccess matrix: {len(planned)} cells ({len(refused)} refused, {len(admitted)} admitted), "
          f"{len(surprises)} surprises")  # fmt: skip
    assert not surprises, f"{len(surprises)} surprises:\n" + "\n".join(surprises[:20])
    assert not changed, f"refused requests changed {changed}"
    assert len(planned) > 2000 and len(admitted) > 300


def test_every_malformed_token_is_refused(world):
    for token in MALFORMED:
        answer = ask(world, WAYS[0], "GET", "/v1/projects", None, [("Authorization", f"Bearer {token}")])
        assert answer.status == 401, f"{token!r}: {answer}"


def test_foreign_is_the_same_as_absent(document, world):
    """A token of another project cannot tell what is there from what is not."""
    token = world.tokens["theirs-admin"]
    nothing = {
        "slug": "no-such-project", "service": ABSENT, "release": ABSENT, "deployment": ABSENT, "variable": ABSENT,
        "domain": ABSENT, "environment": "preview", "sha256": world.mine["sha256"], "archive": world.mine["archive"],
    }  # fmt: skip
    count = 0
    for method, path, operation in operations(document):
        if operation.get("security") == [] or "{" not in path or PERMISSIONS[operation["x-permission"]][1]:
            continue
        operation["path"] = path
        said = []
        for project in (world.mine, nothing):
            parameters, query, body, more = substance(world, method, operation, project, False)
            target = re.sub(r"\{(\w+)\}", lambda found: parameters[found.group(1)], path) + query
            headers = [("Authorization", f"Bearer {token}"), *more.items()]
            answer = ask(world, WAYS[0], method, target, body, headers)
            assert answer.status == 404, str(answer)
            problem = json.loads(answer.body)
            text = problem["detail"]
            for word in parameters.values():
                text = text.replace(word, "…")
            said.append((problem["code"], text, problem["hint"]))
        assert said[0] == said[1], f"{method} {path}: {said}"
        count += 1
    assert count > 35


def test_lists_show_a_bound_token_its_own_project_only(world):
    client = world.daemon.over_tcp(world.tokens["theirs-admin"])
    mine = [world.mine["slug"], world.mine["service"], world.mine["release"], world.mine["deployment"]]
    for path in ("/v1/projects", "/v1/activity", f"/v1/activity?service={world.mine['service']}",
                 f"/v1/activity?deployment={world.mine['deployment']}"):  # fmt: skip
        reply = client.get(path).expect(200)
        for word in mine:
            assert word.encode() not in reply.body, f"{path} shows {word}"
    assert world.theirs["slug"].encode() in client.get("/v1/projects").body
    client.get(f"/v1/activity?project={world.mine['slug']}").expect(404)
    client.get(f"/v1/events?project={world.mine['slug']}").expect(404)
    # The stream from its beginning: the first of its own events come, and none of the other's before them.
    number = 0
    for _, _, data in client.events("/v1/events", {"Last-Event-ID": "0"}):
        assert not any(word in data for word in mine), data
        number += 1
        if number == 4:
            break


# --- replays belong to one credential and one target -------------------------------------------------------------------


def test_replay_is_not_given_to_another_token_of_the_same_name(world):
    """Names of tokens are not unique: what is kept under a key belongs to the token, not to its name."""
    name = world.word("t")
    key = {"Idempotency-Key": secrets.token_hex(8)}
    clients = []
    for project in (world.mine, world.theirs):
        body = {"name": name, "scopes": ["deploy"], "project": project["slug"]}
        clients.append(world.daemon.over_tcp(world.api.post("/v1/user/tokens", body).expect(201).json["token"]))
    path, body = f"/v1/projects/{world.mine['slug']}/environments", {"name": world.word("e")}
    clients[0].post(path, body, key).expect(201)
    clients[1].post(path, body, key).expect(404)


def test_key_with_another_path_is_another_request(world):
    key, body = {"Idempotency-Key": secrets.token_hex(8)}, {"name": world.word("e")}
    world.api.post(f"/v1/projects/{world.mine['slug']}/environments", body, key).expect(201)
    other = world.api.post(f"/v1/projects/{world.theirs['slug']}/environments", body, key)
    other.expect_problem(409, "IDEMPOTENCY_MISMATCH")


# --- the unix socket -----------------------------------------------------------------------------------------------------

PEER = """
import http.client, json, os, socket, sys
path, uid, gid, paths = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), json.loads(sys.argv[4])
os.setgroups([]); os.setresgid(gid, gid, gid); os.setresuid(uid, uid, uid)
found = []
for method, target in paths:
    connection = http.client.HTTPConnection("localhost", timeout=30)
    connection.sock = socket.socket(socket.AF_UNIX)
    try:
        connection.sock.connect(path)
        connection.request(method, target)
        reply = connection.getresponse()
        found.append(reply.status)
    except PermissionError:
        found.append("EACCES")
    connection.close()
print(json.dumps(found))
"""


def as_peer(daemon, uid, gid, requests):
    """Statuses that another user of this machine gets on the socket."""
    # -I and the system's interpreter: another user may not be able to read ours.
    python = next(p for p in ("/usr/bin/python3", sys.executable) if os.path.exists(p))
    done = subprocess.run(
        [python, "-I", "-c", PEER, str(daemon.socket), str(uid), str(gid), json.dumps(requests)],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.skipif(os.geteuid() != 0, reason="becoming another user needs root")
def test_other_users_of_the_machine_do_not_reach_the_socket(document, world):
    """The file's mode keeps them out. Should somebody loosen it, the peer's identity still does."""
    requests = []
    for method, path, operation in operations(document):
        if operation.get("security") != []:
            requests.append((method, re.sub(r"\{\w+\}", ABSENT, path)))
    folder, socket_path = world.daemon.folder, world.daemon.socket
    modes = [(path, path.stat().st_mode & 0o7777) for path in (folder, socket_path)]
    assert modes[1][1] & 0o007 == 0, f"the socket's mode is {modes[1][1]:o}"
    try:
        folder.chmod(0o755)
        assert set(as_peer(world.daemon, NOBODY_UID, NOBODY_UID, requests)) == {"EACCES"}
        socket_path.chmod(0o666)
        assert set(as_peer(world.daemon, NOBODY_UID, NOBODY_UID, requests)) == {401}
    finally:
        for path, mode in modes:
            path.chmod(mode)
    print(f"\nunix socket: {2 * len(requests)} cells")


@pytest.mark.skipif(os.geteuid() != 0, reason="becoming another user needs root")
def test_members_of_the_group_are_administrators(switchyard):
    daemon = switchyard(options=["--socket-group", "nogroup"])
    daemon.start()
    daemon.folder.chmod(0o755)
    requests = [("GET", "/v1/projects"), ("GET", "/v1/user/tokens"), ("GET", "/v1/system")]
    assert as_peer(daemon, NOBODY_UID, NOBODY_UID, requests) == [200, 200, 200]
    assert as_peer(daemon, 1, 1, requests) == ["EACCES"] * 3
