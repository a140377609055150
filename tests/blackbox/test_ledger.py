"""A ledger of every request while the installation is worked on: none may be lost. Long form: 100 deploys at 1,000 a second.

`web` answers (at once, after 10 s, uploads of 10 MB); `live` holds connections that last. What outlives the grace of an
instance that leaves is closed at its end, with a good-bye: those are counted, not lost, and new ones must find a place."""

import re
from contextlib import ExitStack, contextmanager

import pytest
from harness.app import App
from harness.daemon import Daemon
from harness.ledger import Ledger
from harness.process import processes_naming, wait_until

pytestmark = [pytest.mark.engine, pytest.mark.slow]

UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
QUICK = {"keep": 90, "new": 60, "post": 60, "h2": 90}


@pytest.fixture(scope="module")
def engine_daemon(engine, haproxy):
    """On one store: what this measures does not pass through it."""
    daemon = Daemon(engine=engine, roles="api,reconcile,build").start()
    yield daemon
    daemon.close()


@pytest.fixture
def app(engine_daemon, engine_cli, tmp_path, run):
    app = App(engine_daemon, engine_cli, tmp_path / "app", run)
    room = {"pids": 4096, "memory": "512Mi"}
    app.spec(
        web={"replicas": 2, "stop": {"grace": "30s"}, "resources": room},
        live={"replicas": 1, "stop": {"grace": "2s"}, "resources": room},
    )
    app.cli("up", "-e", "production").expect(0)
    return app


class Both:
    """The ledgers of `web` and `live`, with the same marks."""

    def __init__(self, stack, app, folder, is_long):
        edge = app.daemon.edge.endpoint
        self.edge = app.daemon.data / "edge"
        times = 1000 / 300 if is_long else 1
        quick = {kind: rate * times for kind, rate in QUICK.items()}
        self.web = stack.enter_context(Ledger(edge, app.host(), folder, **quick, slow=2, upload=0.5))
        self.live = stack.enter_context(Ledger(edge, app.host(name="live"), folder, ws=20, sse=10))

    @contextmanager
    def during(self, what):
        with self.web.during(what), self.live.during(what):
            yield
            self.web.wait_for(30)  # it is not over before others have come

    def check(self):
        log = (self.edge / "haproxy.log").read_text(errors="replace").splitlines()
        print("\n".join(line for line in log if "exited with code" in line and "code 0" not in line))
        try:
            self.web.check(at_least=1000)
            self.live.check(at_least=100)
        except AssertionError as failure:
            raise AssertionError(f"{failure}\n{self.edge_says()}") from None

    def edge_says(self):
        """What HAProxy wrote of the requests that were lost, and around them: the installation is gone after the test."""
        lost = {id for entry in self.web.lost() + self.live.lost() for id in UUID.findall(entry["failure"])}
        access = (self.edge / "access.log").read_text(errors="replace").splitlines()
        near = {n + more for n, line in enumerate(access) if any(id in line for id in lost) for more in range(-10, 11)}
        complaints = (self.edge / "haproxy.log").read_text(errors="replace").splitlines()
        return "\n".join([line for n, line in enumerate(access) if n in near] + complaints[-40:])


def haproxy_workers(daemon):
    return {pid for pid, arguments in processes_naming(str(daemon.data)) if "haproxy" in arguments[0]}


def add_new_host(app, cli, folder, name):
    """Another project: a backend that HAProxy does not have, so it reloads."""
    before = haproxy_workers(app.daemon)
    other = App(app.daemon, cli, folder / name, name)
    other.cli("up").expect(0)
    assert other.version("preview") == "one"
    assert haproxy_workers(app.daemon) != before, "HAProxy has not reloaded: this test tests nothing"
    return other


def test_nothing_is_lost_while_things_change(app, engine_cli, tmp_path, run, is_long):
    with ExitStack() as stack:
        both = Both(stack, app, tmp_path, is_long)
        both.web.wait_for(600)
        for number in range(100 if is_long else 3):
            app.set_version(f"v{number}")
            with both.during("deploy"):
                app.cli("deploy").expect(0)
        for _ in range(10 if is_long else 1):
            with both.during("scale"):
                app.cli("scale", "web=3", "live=2", "-e", "production").expect(0)
                app.cli("scale", "web=1", "live=1", "-e", "production").expect(0)
            with both.during("rollback"):
                app.cli("rollback", "web").expect(0)
        for number in range(10 if is_long else 2):
            with both.during("new host"):
                add_new_host(app, engine_cli, tmp_path, f"{run}-{number}")
    both.check()
    assert both.live.ended()["ws-end neat"] >= 1, "no WebSocket has outlived its instance"


def test_nothing_is_lost_while_switchyard_comes_and_goes(app, tmp_path, is_long):
    with ExitStack() as stack:
        both = Both(stack, app, tmp_path, is_long)
        both.web.wait_for(300)
        for _ in range(25 if is_long else 2):
            with both.during("killed"):
                app.daemon.kill()
                both.web.wait_for(200)
                app.daemon.start()
        for _ in range(10 if is_long else 1):
            with both.during("upgrade"):
                app.daemon.stop()
                both.web.wait_for(200)
                app.daemon.start()
        app.set_version("killed")
        with both.during("killed in a deploy"):
            deploy = app.cli.spawn("deploy")
            wait_until(lambda: app.deployments()[0]["status"] == "deploying", 60, "it deploys")
            app.daemon.kill()
            both.web.wait_for(100)
            app.daemon.start()
            deploy.communicate(timeout=90)
            wait_until(lambda: app.deployments()[0]["status"] == "running", 60, "it has been finished")
    both.check()
    assert both.live.ended().total() <= 40, both.live.ended()


def test_requests_wait_while_the_one_writer_of_a_volume_is_replaced(engine_daemon, engine_cli, tmp_path, run, is_long):
    app = App(engine_daemon, engine_cli, tmp_path / "app", run)
    app.spec(web={"volumes": {"data": "/data"}, "resources": {"pids": 4096}})
    app.cli("up", "-e", "production").expect(0)
    with Ledger(app.daemon.edge.endpoint, app.host(), tmp_path, keep=30, new=30, post=30, h2=30) as ledger:
        ledger.wait_for(200)
        for number in range(20 if is_long else 2):
            app.set_version(f"v{number}")
            with ledger.during("deploy"):
                app.cli("deploy").expect(0)
                ledger.wait_for(60)
    ledger.check(at_least=300)
    waits = [(e["done_us"] - e["due_us"]) / 1000 for e in ledger.phases()["deploy"]]
    assert max(waits) > 50, "no request had to wait: was there no gap?"
    print(f"gap: the longest wait was {max(waits):.0f} ms")
