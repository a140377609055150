"""kill -9 at any moment and at named ones: what was acknowledged is there once and as it was sent, what was refused is not there,
and a request that is repeated with its Idempotency-Key is never done twice."""

import hashlib
import http.client
import io
import json
import random
import secrets
import statistics
import subprocess
import tarfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from harness import crash
from harness.app import App
from harness.cli import Cli
from harness.daemon import Daemon
from harness.history import ACKNOWLEDGED, REFUSED, UNKNOWN, History, Operation, send, violations
from harness.process import BUILD, ROOT, wait_until
from harness.tables import Tables

SHORT, LONG = 10, 1000
WRITERS = 4
GONE = (OSError, http.client.HTTPException)
needs_points = pytest.mark.skipif(not crash.are_built_in(), reason=crash.WHY_NOT)


@pytest.fixture
def killed(store_url):
    """A daemon that will be killed; the folder goes at the end."""
    daemon = Daemon(store_url())
    yield daemon
    crash.disarm(daemon)
    if daemon.process is not None and daemon.process.poll() is not None:
        daemon.start()  # close() takes an end that nobody asked for as a failure
    daemon.close()


# --- many writers, killed ---------------------------------------------------------------------------------------------


class Place:
    """What one cycle writes into: a service, and a release of it as a builder leaves it."""

    def __init__(self, daemon, prefix):
        self.slug = f"{prefix}base"
        api = daemon.client
        api.post("/v1/projects", {"name": "Base", "slug": self.slug}).expect(201)
        body = {"name": "web", "port": 8080, "git_repo": "https://git.example.test/x.git"}
        self.service = api.post(f"/v1/projects/{self.slug}/services", body).expect(201).json["id"]
        self.release = build_by_hand(daemon, self.service)


def build_by_hand(daemon, service):
    """A release that is ready, without a builder."""
    release = daemon.client.post(f"/v1/services/{service}/build", {"git_sha": secrets.token_hex(20)}).expect(201).json["id"]
    Tables(daemon.store_url).rows(
        "UPDATE releases SET status = 'ready', image_uri = 'enclii/x:1',"
        f" image_digest = 'sha256:{secrets.token_hex(32)}' WHERE id = '{release}'"
    )
    return release


class Writer(threading.Thread):
    """Writes things of every kind, one after the other, until the daemon is gone."""

    def __init__(self, client, history, place, prefix):
        super().__init__()
        self.client = client
        self.history = history
        self.place = place
        self.prefix = prefix
        self.complaint = None

    def run(self):
        makers = (self.project, self.variable, self.deployment, self.token, self.taken_project, self.bad_variable)
        for number in range(100_000):
            operation = self.history.invoke(makers[number % len(makers)](f"{self.prefix}n{number}"))
            try:
                send(self.client, operation)
            except GONE:
                return

    def project(self, word):
        body = {"name": word, "slug": word, "description": f"about {word}"}
        return Operation("project", word, "POST", "/v1/projects", body, f"about {word}", key=f"key-{word}")

    def taken_project(self, word):
        body = {"name": word, "slug": self.place.slug, "description": "must not be"}
        return Operation("project", word, "POST", "/v1/projects", body, "must not be", key=f"key-{word}")

    def variable(self, word):
        body = {"key": word.upper(), "value": f"value of {word}"}
        path = f"/v1/services/{self.place.service}/env-vars"
        return Operation("variable", word, "POST", path, body, f"value of {word}", key=f"key-{word}")

    def bad_variable(self, word):
        path = f"/v1/services/{self.place.service}/env-vars"
        return Operation("variable", word, "POST", path, {"key": f"9 {word}", "value": "x"}, "x", key=f"key-{word}")

    def deployment(self, word):
        body = {"release_id": self.place.release, "environment_name": "production", "reason": word}
        path = f"/v1/services/{self.place.service}/deploy"
        return Operation("deployment", word, "POST", path, body, self.place.release, key=f"key-{word}")

    def token(self, word):
        """Takes no key: its reply holds a secret, which is stored nowhere."""
        return Operation("token", word, "POST", "/v1/user/tokens", {"name": word, "scopes": ["read"]}, '["read"]')


def everything(daemon, prefix, place):
    """(kind, word, id, content) of all that the cycle can have written."""
    rows = Tables(daemon.store_url).rows(
        f"SELECT 'project', name, id, description FROM projects WHERE name LIKE '{prefix}%'"
        f" UNION ALL SELECT 'deployment', reason, id, release_id FROM deployments WHERE reason LIKE '{prefix}%'"
        f" UNION ALL SELECT 'token', name, id, scopes FROM tokens WHERE name LIKE '{prefix}%'"
    )
    cursor = ""
    while cursor is not None:
        path = f"/v1/services/{place.service}/env-vars?limit=200" + (f"&cursor={cursor}" if cursor else "")
        page = daemon.client.get(path).expect(200).json
        rows += [("variable", v["key"].lower(), v["id"], v["value"]) for v in page["environment_variables"]]
        cursor = page.get("next_cursor")
    return rows


class Cycle:
    """One life of the daemon: writers, a death, a restart, the comparison, the repetitions, the comparison again."""

    def __init__(self, daemon, number, chance):
        self.daemon = daemon
        self.prefix = f"c{number}x"
        self.chance = chance
        self.history = History()
        self.place = None

    def run(self):
        """Seconds from the restart to ready."""
        self.place = Place(self.daemon, self.prefix)
        point = self.chance.choice([None, *POINTS_UNDER_LOAD]) if crash.are_built_in() else None
        if point:
            self.daemon.stop()
            crash.arm(self.daemon, point, self.chance.randrange(12, 60))
            self.daemon.start()
        writers = [Writer(self.daemon.client, self.history, self.place, f"{self.prefix}w{n}") for n in range(WRITERS)]
        for writer in writers:
            writer.start()
        if point:
            crash.wait_for_death(self.daemon)
            crash.disarm(self.daemon)
        else:
            # The moment is the experiment: it is not waited for anything.
            time.sleep(self.chance.uniform(0.02, 0.4))
            self.daemon.kill()
        for writer in writers:
            writer.join()
        seconds = crash.start_timed(self.daemon)
        self.compare(f"after {point or 'kill -9'}")
        self.repeat()
        self.compare(f"after {point or 'kill -9'} and the same requests again")
        return seconds

    def compare(self, when):
        found = violations(self.history.operations, everything(self.daemon, self.prefix, self.place))
        assert not found, f"{when}: " + "\n".join(found[:10])

    def repeat(self):
        """Whoever got no answer asks again with the same key; and some who had one."""
        again = [operation for operation in self.history.by(UNKNOWN) if operation.key]
        answered = [operation for operation in self.history.by(ACKNOWLEDGED) + self.history.by(REFUSED) if operation.key]
        again += self.chance.sample(answered, min(8, len(answered)))
        for operation in again:
            before = operation.outcome
            reply = send(self.daemon.client, operation)
            assert operation.outcome != UNKNOWN, f"a request repeated with its key: {reply}"
            assert before == UNKNOWN or operation.outcome == before, f"was {before}, then {reply}"


POINTS_UNDER_LOAD = (
    "store.before_commit", "store.after_commit", "request.before_key", "request.before_commit", "request.after_commit",
)  # fmt: skip


@pytest.mark.api
def test_nothing_acknowledged_is_lost_and_nothing_is_done_twice(killed, is_long):
    seed = random.SystemRandom().randrange(1 << 32)
    chance = random.Random(seed)
    killed.start()
    seconds = []
    acknowledged = unknown = 0
    for number in range(LONG if is_long else SHORT):
        cycle = Cycle(killed, number, chance)
        try:
            seconds.append(cycle.run())
        except AssertionError as complaint:
            raise AssertionError(f"seed {seed}, cycle {number}: {complaint}") from complaint
        acknowledged += len(cycle.history.by(ACKNOWLEDGED))
        unknown += len([operation for operation in cycle.history.operations if not operation.answers])
    assert acknowledged > 0, "nothing was written: the test tested nothing"
    print(
        f"{len(seconds)} crashes, {acknowledged} acknowledged writes, seed {seed}; restart to ready: median"
        f" {statistics.median(seconds):.3f} s, slowest {max(seconds):.3f} s"
    )


@pytest.mark.api
def test_the_checker_notices():
    """A checker that finds nothing is worth nothing."""

    def operation(word, outcome, answers=()):
        made = Operation("project", word, "POST", "/", {}, "content", outcome=outcome, answers=list(answers))
        return made

    fine = [("project", "a", "1", "content")]
    assert not violations([operation("a", ACKNOWLEDGED, ["1"])], fine)
    assert not violations([operation("a", UNKNOWN)], fine) and not violations([operation("a", UNKNOWN)], [])
    for operations, rows in (
        ([operation("a", ACKNOWLEDGED, ["1"])], []),
        ([operation("a", ACKNOWLEDGED, ["1"])], fine * 2),
        ([operation("a", ACKNOWLEDGED, ["2"])], fine),
        ([operation("a", ACKNOWLEDGED, ["1", "2"])], fine),
        ([operation("a", ACKNOWLEDGED, ["1"])], [("project", "a", "1", "other")]),
        ([operation("a", REFUSED)], fine),
        ([operation("a", UNKNOWN)], fine * 2),
        ([], fine),
    ):
        assert violations(operations, rows), f"{operations} {rows}"


@pytest.mark.api
def test_others_who_look_into_the_database_take_nothing_away(killed):
    """Closing a file drops all locks that a process has on it; who then believes to be the last one deletes the WAL."""
    tables = Tables(killed.start().store_url)
    for number in range(3):
        killed.client.post("/v1/projects", {"name": "Kept", "slug": f"kept-{number}"}).expect(201)
        assert tables.count("SELECT count(*) FROM projects") == number + 1
    killed.kill()
    killed.start()
    assert tables.count("SELECT count(*) FROM projects") == 3


# --- a key and its effect are one ---------------------------------------------------------------------------------------


class Scene:
    """One thing of every kind, so that every route that takes a key can be asked."""

    def __init__(self, daemon):
        daemon.start()
        api = daemon.client
        self.slug = "s" + secrets.token_hex(3)
        api.post("/v1/projects", {"name": "Scene", "slug": self.slug}).expect(201)
        body = {"name": "web", "port": 8080, "git_repo": "https://git.example.test/x.git"}
        self.service = api.post(f"/v1/projects/{self.slug}/services", body).expect(201).json["id"]
        self.release = build_by_hand(daemon, self.service)
        self.deploy = {"release_id": self.release, "environment_name": "production"}
        self.deployment = api.post(f"/v1/services/{self.service}/deploy", self.deploy).expect(201).json["id"]
        Tables(daemon.store_url).rows(f"UPDATE deployments SET was_healthy = 1 WHERE id = '{self.deployment}'")

    def requests(self):
        """operationId → (path, body, table of its effect)."""
        service, slug = f"/v1/services/{self.service}", self.slug
        return {
            "createProject": ("/v1/projects", {"name": "Once", "slug": f"{slug}-once"}, "projects"),
            "createEnvironment": (f"/v1/projects/{slug}/environments", {"name": "once"}, "environments"),
            "createService": (f"/v1/projects/{slug}/services", {"name": "once", "port": 80}, "services"),
            "createVariable": (f"{service}/env-vars", {"key": "ONCE", "value": "1"}, "variables"),
            "createDomain": (f"{service}/domains", {"domain": f"{slug}.example.test"}, "domains"),
            "createRelease": (f"{service}/build", {"git_branch": "main"}, "releases"),
            "createDeployment": (f"{service}/deploy", self.deploy, "deployments"),
            "scaleService": (f"{service}/scale", {"environment_name": "production", "replicas": 2}, "deployments"),
            "restartService": (f"{service}/restart", {"environment_name": "production"}, "deployments"),
            "rollbackDeployment": (f"/v1/deployments/{self.deployment}/rollback", {"to": self.deployment}, "deployments"),
        }


def routes_with_key(daemon):
    """operationIds, from the program's own contract."""
    contract = daemon.client.get("/v1/openapi.json").expect(200).json
    return {
        operation["operationId"]
        for methods in contract["paths"].values()
        for operation in methods.values()
        if any(parameter.get("name") == "Idempotency-Key" for parameter in operation.get("parameters", []))
    }


@pytest.mark.api
@needs_points
@pytest.mark.parametrize(("moment", "is_done"), [("before_key", 0), ("before_commit", 0), ("after_commit", 1)])
def test_every_route_keeps_its_key_with_its_effect(killed, moment, is_done, is_long):
    scene = Scene(killed)
    tables = Tables(killed.store_url)
    requests = scene.requests()
    assert set(requests) == routes_with_key(killed)
    if not is_long and moment != "after_commit":
        requests = {name: requests[name] for name in ("createProject", "createDeployment")}
    for name, (path, body, table) in requests.items():
        if crash.VARIABLE not in killed.variables:
            killed.stop()
            crash.arm(killed, f"request.{moment}")
            killed.start()
        before = tables.count(f"SELECT count(*) FROM {table}")
        key = {"Idempotency-Key": f"key-{name}"}
        with pytest.raises(GONE):
            killed.client.post(path, body, key)
        crash.wait_for_death(killed)
        if not is_done:
            crash.disarm(killed)  # else what is replayed does not come by there
        killed.start()
        assert tables.count(f"SELECT count(*) FROM {table}") == before + is_done, name
        first = killed.client.post(path, body, key)
        assert first.status in (200, 201), f"{name}: {first}"
        assert first.headers["Idempotency-Replayed"] == ("true" if is_done else None), f"{name}: {first}"
        again = killed.client.post(path, body, key)
        assert (again.status, again.json["id"]) == (first.status, first.json["id"]), f"{name}: {again}"
        assert again.headers["Idempotency-Replayed"] == "true", f"{name}: {again}"
        assert tables.count(f"SELECT count(*) FROM {table}") == before + 1, f"{name} was done twice"


@pytest.mark.api
def test_key_of_yesterday_is_free_again(daemon, run):
    key = {"Idempotency-Key": f"key-{run}"}
    tables = Tables(daemon.store_url)
    first = daemon.client.post("/v1/projects", {"name": "Old", "slug": f"{run}-old"}, key).expect(201).json
    tables.rows("UPDATE idempotency SET created_at = created_at - 90000000000")
    second = daemon.client.post("/v1/projects", {"name": "New", "slug": f"{run}-new"}, key).expect(201).json
    assert first["id"] != second["id"]
    again = daemon.client.post("/v1/projects", {"name": "New", "slug": f"{run}-new"}, key).expect(201)
    assert again.json["id"] == second["id"] and again.headers["Idempotency-Replayed"] == "true"


@pytest.mark.api
def test_two_servers_of_one_database_do_it_once(store, store_url, switchyard, run):
    if store == "sqlite":
        pytest.skip("an SQLite database has one server")
    url = store_url()
    first = switchyard(url).start()
    second = switchyard(url)
    second.data.mkdir(mode=0o700)
    (second.data / "master.key").write_bytes((first.data / "master.key").read_bytes())
    (second.data / "master.key").chmod(0o600)
    second.start()
    service = f"/v1/projects/{run}"
    first.client.post("/v1/projects", {"name": "Two", "slug": run}).expect(201)
    made = first.client.post(f"{service}/services", {"name": "web", "port": 80}).expect(201).json["id"]

    # Builds, because nothing but the key keeps two of them apart.
    def build(number):
        client = (first, second)[number % 2].client
        return client.post(f"/v1/services/{made}/build", {"git_branch": "main"}, {"Idempotency-Key": "once"})

    first.client.patch(f"/v1/services/{made}", {"git_repo": "https://git.example.test/x.git"}).expect(200)
    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(build, range(16)))
    assert {reply.status for reply in replies} <= {201, 409}, [str(reply) for reply in replies]
    assert len({reply.json["id"] for reply in replies if reply.status == 201}) == 1
    assert Tables(url).count("SELECT count(*) FROM releases") == 1


# --- named moments --------------------------------------------------------------------------------------------------------

AT_START = (
    "migration.before_version", "migration.before_commit", "migration.after_commit", "file.before_rename", "file.after_rename",
    "store.before_commit", "store.after_commit",
)  # fmt: skip
AT_UPLOAD = ("source.before_rename", "source.after_rename")
AT_DEPLOY = ("deployment.before_finish", "deployment.after_finish", "log.before_seal", "log.after_seal")


@pytest.mark.api
def test_every_crash_point_is_tried():
    tried = {*AT_START, *AT_UPLOAD, *AT_DEPLOY, *POINTS_UNDER_LOAD}
    assert crash.names() == tried


@pytest.mark.api
@needs_points
@pytest.mark.parametrize("point", AT_START)
def test_start_killed_at(killed, point):
    crash.arm(killed, point)
    killed.spawn()
    crash.wait_for_death(killed)
    crash.disarm(killed)
    killed.start()
    killed.client.post("/v1/projects", {"name": "After", "slug": "after"}).expect(201)
    done = subprocess.run(
        [str(BUILD / "switchyard"), "migrate", "status", "--data-dir", str(killed.data), "--store", killed.store_url],
        capture_output=True, text=True,
    )  # fmt: skip
    assert "dirty" not in done.stdout and done.returncode == 0, done.stdout + done.stderr


@pytest.mark.api
@needs_points
@pytest.mark.parametrize("point", AT_UPLOAD)
def test_upload_killed_at(killed, point, tmp_path):
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        entry = tarfile.TarInfo("hello")
        entry.size = 100_000
        tar.addfile(entry, io.BytesIO(b"x" * entry.size))
    body = archive.getvalue()
    scene = Scene(killed)
    path = f"/v1/services/{scene.service}/sources/{hashlib.sha256(body).hexdigest()}"
    killed.stop()
    crash.arm(killed, point)
    killed.start()
    with pytest.raises(GONE):
        killed.client.put(path, body)
    crash.wait_for_death(killed)
    crash.disarm(killed)
    killed.start()
    killed.client.get(path).expect_problem(404, "NOT_FOUND")
    assert not list((killed.data / "sources").glob("incoming/*")), "half an upload stays for ever"
    killed.client.put(path, body).expect(200)
    killed.client.get(path).expect(200)
    assert Tables(killed.store_url).count("SELECT count(*) FROM sources") == 1
    files = [file for file in (killed.data / "sources").rglob("*") if file.is_file()]
    assert [file.read_bytes() == body for file in files] == [True]


@pytest.mark.engine
@needs_points
def test_deploy_killed_at_named_moments_converges(store_url, engine, haproxy, tmp_path, run):
    daemon = Daemon(store_url(), engine=engine, roles="api,reconcile,build")
    try:
        daemon.start()
        app = App(daemon, Cli(f"unix:{daemon.socket}", tmp_path), tmp_path / "app", run)
        app.cli("up").expect(0)
        for number, point in enumerate(AT_DEPLOY):
            _deploy_killed_at(app, point, f"env{number}")
    finally:
        crash.disarm(daemon)
        if daemon.process.poll() is not None:
            daemon.start()
        daemon.close()


def _deploy_killed_at(app, point, environment):
    """A new environment each time: its log begins anew, too."""
    daemon = app.daemon
    daemon.client.post(f"/v1/projects/{app.project}/environments", {"name": environment}).expect(201)
    body = {"release_id": app.releases()[0]["id"], "environment_name": environment}
    daemon.stop()
    crash.arm(daemon, point)
    daemon.start()
    made = daemon.client.post(f"/v1/services/{app.service()['id']}/deploy", body).expect(201).json["id"]
    crash.wait_for_death(daemon)
    crash.disarm(daemon)
    daemon.start()

    def is_running():
        return daemon.client.get(f"/v1/deployments/{made}").expect(200).json["status"] == "running"

    wait_until(is_running, 60, f"the deployment goes on after {point}")
    assert app.version(environment) == "one"
    events = daemon.client.get(f"/v1/deployments/{made}/events").expect(200).json["events"]
    assert [event["type"] for event in events].count("deployment.running") == 1, json.dumps(events)
    service = app.service()["id"]
    wait_until(
        lambda: "listens" in daemon.client.get(f"/v1/services/{service}/logs?environment={environment}").body.decode(),
        30, f"the log is whole after {point}",
    )  # fmt: skip


# --- what is installed has none of this -----------------------------------------------------------------------------------------


@pytest.mark.api
def test_crash_points_are_compiled_out_unless_asked_for(tmp_path):
    """Every source that names a point, compiled as for an installation, knows nothing of it."""
    options = (ROOT / "meson_options.txt").read_text()
    assert "option('crash_points', type: 'boolean', value: false" in options
    source = tmp_path / "point.c"
    source.write_text('#include "base/crash_point.h"\nvoid f(void);\nvoid f(void) { crash_point("a.b"); }\n')
    for flags, is_there in (([], False), (["-DENCLII_CRASH_POINTS"], True)):
        command = ["gcc", "-I", str(ROOT / "src"), "-O2", *flags, "-c", "-o", str(tmp_path / "o"), str(source)]
        subprocess.run(command, check=True)
        assert (crash.SYMBOL in (tmp_path / "o").read_bytes()) == is_there


@pytest.mark.api
def test_normal_build_has_no_crash_points():
    program = ROOT / "build" / "switchyard"
    if not program.exists():
        pytest.skip("build/switchyard does not exist (make)")
    bytes_ = program.read_bytes()
    assert crash.SYMBOL not in bytes_ and crash.VARIABLE.encode() not in bytes_
