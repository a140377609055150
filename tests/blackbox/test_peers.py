"""Engine, database and HAProxy that hang, stutter, break off or die: it is said at once, what does not need them goes on as ever,
nothing is left behind, and everything goes on when they are back."""

import http.client
import os
import signal
import threading
import time
from pathlib import Path

import pytest
from harness.app import App
from harness.cli import Cli
from harness.daemon import Daemon
from harness.history import ACKNOWLEDGED, History, Operation, send, violations
from harness.load import Load
from harness.postgresql import PostgreSQL
from harness.process import processes_naming, wait_until
from harness.proxy import Proxy
from harness.tables import Tables
from harness.watch import ROOM, Watch, component, count_of

DEGRADED_SECONDS = 2
RECOVERY_SECONDS = 5
CACHED_P99_SECONDS = 0.1
CONNECT_SECONDS = 3  # for so long a caller may hang in a connect that began before the hang was known
RESTART_SECONDS = 5  # for so long a database that refuses connections is waited for: a restart costs nobody an error


@pytest.fixture
def away_seconds(is_long):
    return 60 if is_long else 3


class Outage:
    """Breaks a part, looks at what that does, mends it, and looks again. `needed`: lists of the API need it; `patience`: seconds for
    which requests wait for its return before they fail at once."""

    def __init__(self, daemon, part, needed=False, patience=0.0):
        self.daemon = daemon
        self.part = part
        self.needed = needed
        self.patience = patience

    def run(self, break_it, mend, seconds, meanwhile=lambda: None):
        before = count_of(self.daemon)
        with Watch(self.daemon) as watch:
            broken = time.monotonic()
            break_it()
            try:
                known = self._wait_for("degraded", DEGRADED_SECONDS)
                since = time.monotonic()
                meanwhile()
                watch.wait_for(seconds)
            finally:
                mended = time.monotonic()
                mend()
            back = self._wait_for("healthy", RECOVERY_SECONDS)
            self._wait_for_lists(RECOVERY_SECONDS)
        self._check(watch, broken, since, mended)
        self._check_counts(before)
        print(
            f"{self.part}: degraded after {known:.2f} s, back after {back:.2f} s;"
            f" p99 of /health {watch.p99('/health', broken) * 1000:.0f} ms, of lists {self._lists(watch, since, mended)}"
        )

    def _wait_for(self, status, goal):
        begin = time.monotonic()
        wait_until(
            lambda: component(self.daemon, self.part)["status"] == status, goal * ROOM,
            f"health says that {self.part} is {status}",
        )  # fmt: skip
        return time.monotonic() - begin

    def _wait_for_lists(self, goal):
        wait_until(lambda: self.daemon.client.get("/v1/projects").status == 200, goal * ROOM, "lists are served")

    def _check(self, watch, broken, since, mended):
        assert not watch.complaints, watch.complaints[:5]
        assert watch.statuses("/health", broken) == {200} and watch.statuses("/v1/version", broken) == {200}
        for path in ("/health", "/v1/version"):
            assert watch.p99(path, broken) <= CACHED_P99_SECONDS * ROOM, f"{path}: {watch.p99(path, broken):.3f} s"
        assert watch.statuses("/v1/projects", broken) <= ({200, 503} if self.needed else {200})
        longest = max(seconds for _, seconds, _ in watch.samples["/v1/projects"])
        assert longest <= (self.patience + CONNECT_SECONDS + 1.5) * ROOM, f"a list took {longest:.1f} s"
        # From when the outage is known, and patience is at its end, nobody waits for what cannot come.
        known = max(since, broken + self.patience + 1 if self.patience else 0)
        if known + 1 < mended:
            assert not self.needed or watch.statuses("/v1/projects", known, mended) == {503}
            late = watch.p99("/v1/projects", known, mended)
            assert late <= CACHED_P99_SECONDS * ROOM, f"/v1/projects: {late:.3f} s"

    def _lists(self, watch, since, until):
        taken = [seconds for begin, seconds, _ in watch.samples["/v1/projects"] if since <= begin <= until]
        return f"{watch.p99('/v1/projects', since, until) * 1000:.0f} ms" if taken else "none: they waited"

    def _check_counts(self, before):
        """Pools may have been filled; hundreds of requests have failed meanwhile, and none may have left anything."""
        wait_until(
            lambda: all(now <= was + 12 for now, was in zip(count_of(self.daemon), before)), 20,
            f"descriptors and threads are about {before} again",
        )  # fmt: skip


# --- the container engine -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def far_engine(engine):
    with Proxy(engine) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def far_daemon(far_engine, haproxy):
    daemon = Daemon(engine=far_engine.endpoint, roles="api,reconcile,build")
    try:
        daemon.start()
        yield daemon
    finally:
        far_engine.resume()
        daemon.close()


@pytest.fixture(scope="module")
def app(far_daemon, tmp_path_factory):
    folder = tmp_path_factory.mktemp("peers")
    app = App(far_daemon, Cli(f"unix:{far_daemon.socket}", folder), folder / "app", "peers")
    app.cli("up").expect(0)
    app.cli("deploy").expect(0)
    return app


def restart(app):
    """A deployment that needs no build; its id."""
    path = f"/v1/services/{app.service()['id']}/restart"
    return app.daemon.client.post(path, {"environment_name": "production"}).expect(201).json["id"]


def wait_for_running(app, deployment, seconds=60):
    def ended():
        found = app.daemon.client.get(f"/v1/deployments/{deployment}").json
        return found["status"] not in ("pending", "deploying") and found

    found = wait_until(ended, seconds, f"the deployment runs; {app.status('production')}")
    assert found["status"] == "running", found


@pytest.mark.engine
@pytest.mark.parametrize("how", ["hang", "refuse"])
def test_engine_away(app, far_engine, away_seconds, how):
    queued = []
    with Load(app.daemon.edge.endpoint, app.host()) as load:
        Outage(app.daemon, "engine").run(
            getattr(far_engine, how), far_engine.resume, away_seconds, lambda: queued.append(restart(app))
        )
        wait_for_running(app, queued[0])
        load.wait_for(20)
    assert not load.report.failures, load.report.failures[:5]


@pytest.mark.engine
def test_deploys_survive_an_engine_that_breaks_off(app, far_engine, is_long):
    """Cut in the middle of whatever is under way, many times, while a deployment is made."""
    for _ in range(20 if is_long else 2):
        queued = restart(app)
        for _ in range(10):
            far_engine.cut()
            seen = far_engine.n_connections
            wait_until(lambda: far_engine.n_connections > seen, 20, "it connects again")
        wait_for_running(app, queued)
    assert app.version() == "one"


@pytest.mark.engine
@pytest.mark.parametrize("how", ["delay", "trickle"])
def test_deploys_survive_a_slow_engine(app, far_engine, how):
    try:
        far_engine.delay(0.2) if how == "delay" else far_engine.trickle(400)
        wait_for_running(app, restart(app), 120)
    finally:
        far_engine.resume()


@pytest.mark.engine
def test_what_asks_the_engine_says_so_when_it_hangs(app, far_engine):
    far_engine.hang()
    try:
        begin = time.monotonic()
        assert "error" in app.daemon.client.get("/v1/system").expect(200).json["engine"]
        assert time.monotonic() - begin < 6 * ROOM
    finally:
        far_engine.resume()


# --- HAProxy ----------------------------------------------------------------------------------------------------------------


def edge_processes(daemon):
    return [pid for pid, arguments in processes_naming(str(daemon.data)) if "haproxy" in arguments[0]]


def signal_edge(daemon, number):
    pids = edge_processes(daemon)
    assert pids, "no haproxy runs in the data folder"
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass  # the worker ends with its master


@pytest.mark.engine
def test_haproxy_hangs(app, away_seconds):
    daemon = app.daemon
    queued = []
    Outage(daemon, "edge").run(
        lambda: signal_edge(daemon, signal.SIGSTOP), lambda: signal_edge(daemon, signal.SIGCONT), away_seconds,
        lambda: queued.append(restart(app)),
    )  # fmt: skip
    wait_for_running(app, queued[0])
    assert app.version() == "one"


@pytest.mark.engine
def test_a_start_does_not_fail_for_a_haproxy_that_hangs(app):
    """It carries the traffic: whoever starts must neither give up nor end it."""
    daemon = app.daemon
    old = set(edge_processes(daemon))
    daemon.kill()
    signal_edge(daemon, signal.SIGSTOP)
    try:
        daemon.start()
        assert daemon.client.get("/health").status == 200
        wait_until(lambda: component(daemon, "edge")["status"] == "degraded", 10, "health says that the edge hangs")
    finally:
        signal_edge(daemon, signal.SIGCONT)
    wait_until(lambda: component(daemon, "edge")["status"] == "healthy", 20, "the edge is healthy")
    assert set(edge_processes(daemon)) == old
    wait_for_running(app, restart(app))
    assert app.version() == "one"


@pytest.mark.engine
def test_haproxy_dies(app, away_seconds):
    daemon = app.daemon
    old = set(edge_processes(daemon))
    with Watch(daemon) as watch:
        begin = time.monotonic()
        signal_edge(daemon, signal.SIGKILL)
        wait_until(lambda: set(edge_processes(daemon)) - old, 20, "a new HAProxy runs")
        wait_until(lambda: component(daemon, "edge")["status"] == "healthy", 20, "the edge is healthy")
        app.wait_for_version("one", seconds=RECOVERY_SECONDS * ROOM)
        watch.wait_for(0.5)
    assert not watch.complaints and watch.p99("/health", begin) <= CACHED_P99_SECONDS * ROOM


# --- PostgreSQL -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server():
    """One of our own: it will suffer."""
    if PostgreSQL.why_not():
        pytest.skip(PostgreSQL.why_not())
    server = PostgreSQL()
    yield server
    server.close()


@pytest.fixture(scope="module")
def far_server(server):
    with Proxy(f"127.0.0.1:{server.port}") as proxy:
        yield proxy


@pytest.fixture(scope="module")
def served(server, far_server):
    """A daemon whose database is behind the proxy, and the database's own URL."""
    url = server.new_database()
    daemon = Daemon(url.replace(f":{server.port}/", f":{far_server.port}/"))
    try:
        daemon.start()
        yield daemon, url
    finally:
        far_server.resume()
        daemon.close()


class Writers:
    """Projects, created all the time; every answer is kept."""

    def __init__(self, daemon, prefix):
        self.client = daemon.client
        self.prefix = prefix
        self.history = History()
        self.stopped = threading.Event()
        self.threads = [threading.Thread(target=self._run, args=(number,)) for number in range(4)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stopped.set()
        for thread in self.threads:
            thread.join()

    def _run(self, number):
        count = 0
        while not self.stopped.wait(0.01):
            word = f"{self.prefix}w{number}n{count}"
            count += 1
            body = {"name": word, "slug": word, "description": f"about {word}"}
            operation = Operation("project", word, "POST", "/v1/projects", body, f"about {word}", key=f"key-{word}")
            self.history.invoke(operation)
            try:
                send(self.client, operation)
            except (OSError, http.client.HTTPException):
                pass

    def check(self, url, client):
        text = f"SELECT 'project', name, id, description FROM projects WHERE name LIKE '{self.prefix}%'"
        assert not violations(self.history.operations, Tables(url).rows(text))
        assert self.history.by(ACKNOWLEDGED)
        for operation in [one for one in self.history.operations if one.outcome != ACKNOWLEDGED]:
            send(client, operation)  # what got no answer is repeated with its key
        assert not violations(self.history.operations, Tables(url).rows(text))
        assert len(self.history.by(ACKNOWLEDGED)) == len(self.history.operations)


def master_of(server):
    return int((server.data / "postmaster.pid").read_text().split()[0])


def children_of(parent):
    found = []
    for entry in os.listdir("/proc"):
        try:
            fields = Path(f"/proc/{entry}/stat").read_text().rsplit(")", 1)[1].split() if entry.isdigit() else None
        except OSError:
            continue
        if fields and int(fields[1]) == parent:
            found.append(int(entry))
    return found


def freeze(server):
    """The postmaster first, so that no child is born meanwhile."""
    master = master_of(server)
    os.kill(master, signal.SIGSTOP)
    frozen = [master, *children_of(master)]
    for pid in frozen[1:]:
        os.kill(pid, signal.SIGSTOP)
    return frozen


def thaw(frozen):
    for pid in reversed(frozen):
        os.kill(pid, signal.SIGCONT)


def start_again(server):
    def starts():
        try:
            server.start()
        except AssertionError:
            return False  # the shared memory of those who were killed is not free yet
        return True

    wait_until(starts, 30, "PostgreSQL starts again")


def outage_of_database(served, prefix, break_it, mend, seconds, patience=0.0):
    daemon, url = served
    with Writers(daemon, prefix) as writers:
        Outage(daemon, "database", needed=True, patience=patience).run(break_it, mend, seconds)
        seen = len(writers.history.by(ACKNOWLEDGED))
        wait_until(lambda: len(writers.history.by(ACKNOWLEDGED)) > seen + 4, 10 * ROOM, "writes go on")
    writers.check(url, daemon.client)


@pytest.mark.api
def test_database_frozen(served, server, away_seconds):
    frozen = []
    outage_of_database(served, "frozen", lambda: frozen.extend(freeze(server)), lambda: thaw(frozen), away_seconds)


@pytest.mark.api
@pytest.mark.parametrize(("how", "patience"), [("hang", 0.0), ("refuse", RESTART_SECONDS)])
def test_database_out_of_reach(served, far_server, away_seconds, how, patience):
    outage_of_database(served, f"far{how}", getattr(far_server, how), far_server.resume, away_seconds, patience)


@pytest.mark.api
def test_database_killed(served, server, away_seconds):
    outage_of_database(
        served, "killed", lambda: os.kill(master_of(server), signal.SIGKILL), lambda: start_again(server), away_seconds,
        RESTART_SECONDS,
    )  # fmt: skip


@pytest.mark.api
def test_database_restarted_costs_no_write(served, server):
    """A restart of a second or two is waited for."""
    daemon, url = served
    with Writers(daemon, "again") as writers:
        for _ in range(2):
            seen = len(writers.history.by(ACKNOWLEDGED))
            server.stop()
            start_again(server)
            wait_until(lambda: len(writers.history.by(ACKNOWLEDGED)) > seen + 8, 20, "writes go on")
    writers.check(url, daemon.client)


@pytest.mark.api
def test_connections_cut_in_the_middle_lose_nothing(served, far_server, is_long):
    daemon, url = served
    with Writers(daemon, "cut") as writers:
        for _ in range(500 if is_long else 20):
            seen = len(writers.history.by(ACKNOWLEDGED))
            far_server.cut()
            wait_until(lambda: len(writers.history.by(ACKNOWLEDGED)) > seen, 20, "writes go on")
    writers.check(url, daemon.client)


@pytest.mark.api
def test_slow_way_to_the_database(served, far_server):
    daemon, url = served
    try:
        with Writers(daemon, "slow") as writers:
            far_server.trickle(50)
            wait_until(lambda: len(writers.history.by(ACKNOWLEDGED)) > 4, 60, "writes are served")
    finally:
        far_server.resume()
    writers.check(url, daemon.client)


HAPROXY_THAT_REFUSES = """#!/bin/sh
for argument; do
    [ "$argument" = -c ] && [ -e "{flag}" ] && echo "[ALERT]    ($$) : config : it is not to its taste" >&2 && exit 1
done
exec {haproxy} "$@"
"""


def test_configuration_that_haproxy_refuses_is_told(engine, haproxy, tmp_path, run):
    flag, program = tmp_path / "refuse", tmp_path / "haproxy"
    program.write_text(HAPROXY_THAT_REFUSES.format(flag=flag, haproxy=haproxy))
    program.chmod(0o755)
    daemon = Daemon(engine=engine, roles="api,reconcile,build", options=["--haproxy", str(program)]).start()
    try:
        app = App(daemon, Cli(f"unix:{daemon.socket}", tmp_path), tmp_path / "app", run)
        flag.touch()
        app.cli("up", "--no-wait").expect(0)
        edge = lambda: daemon.client.get("/health").json["components"]["edge"]  # noqa: E731
        wait_until(lambda: edge()["status"] != "healthy", 20, "health says that the edge does not take its routes")
        assert "not to its taste" in str(edge()), edge()
        told = app.cli("doctor").stdout
        assert "last change of routes was not taken" in told and "not to its taste" in told, told
        flag.unlink()
        wait_until(lambda: app.deployments()[0]["status"] == "running", 30, "it runs once HAProxy takes them")
        assert app.version("preview") == "one"
        wait_until(lambda: edge()["status"] == "healthy", 5, "the edge is well again")
    finally:
        daemon.close()
