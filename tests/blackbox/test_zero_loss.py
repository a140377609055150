"""Nothing that a visitor asks is lost, whatever the control plane does or suffers."""

import os
import signal

import pytest
from harness.app import App
from harness.client import Client
from harness.load import Load
from harness.process import processes_naming, wait_until

pytestmark = [pytest.mark.engine, pytest.mark.slow]


@pytest.fixture
def app(engine_daemon, engine_cli, tmp_path, run):
    app = App(engine_daemon, engine_cli, tmp_path / "app", run)
    app.spec(web={"replicas": 2})
    app.cli("up").expect(0)
    app.cli("deploy").expect(0)
    return app


def edge_of(app):
    """Kept by value: the endpoint stays while switchyard is away."""
    return Client(app.daemon.edge.endpoint)


def check(load, at_least):
    report = load.report
    assert not report.failures, f"{len(report.failures)} of {report.sent} failed: {report.failures[:5]}"
    assert report.sent >= at_least


def test_deploys_scaling_and_rollback_lose_nothing(app, is_long):
    with Load(edge_of(app).endpoint, app.host()) as load, Load(edge_of(app).endpoint, app.host(), "/slow/1500", 4, 2) as slow:
        load.wait_for(30)
        for number in range(100 if is_long else 3):
            app.set_version(f"v{number}")
            app.cli("deploy").expect(0)
            load.wait_for(20)
        app.cli("scale", "web=3", "-e", "production").expect(0)
        app.cli("scale", "web=1", "-e", "production").expect(0)
        app.cli("rollback").expect(0)
        load.wait_for(30)
    check(load, 100)
    check(slow, 4)
    assert len({body.split()[1] for body in load.report.bodies}) >= 4, load.report.bodies


def test_request_that_outlasts_the_grace_is_counted_as_lost(app):
    app.spec(web={"stop": {"grace": "1s"}})
    app.cli("deploy").expect(0)
    assert app.deployments()[0]["requests_lost"] == 0
    # A body, so that the edge may not ask another instance again.
    with Load(edge_of(app).endpoint, app.host(), "/slow/8000", per_second=1, threads=1, body=b"x") as load:
        wait_until(lambda: app.text("/others") != "0", 10, "a slow request is under way")
        app.set_version("two")
        app.cli("deploy").expect(0)
        wait_until(lambda: app.deployments()[0]["requests_lost"] >= 1, 30, "the cut-off request is counted")
    assert load.report.failures


def test_uploads_survive_a_deploy(app):
    body = os.urandom(2 << 20)
    with Load(edge_of(app).endpoint, app.host(), "/upload", per_second=4, threads=2, body=body) as load:
        app.set_version("two")
        app.cli("deploy").expect(0)
        load.wait_for(4)
    check(load, 4)
    assert set(load.report.bodies) == {str(len(body))}


def test_kill_of_switchyard_is_not_noticed(app, is_long):
    with Load(edge_of(app).endpoint, app.host()) as load:
        for _ in range(50 if is_long else 2):
            load.wait_for(20)
            app.daemon.kill()
            load.wait_for(40)
            app.daemon.start()
        load.wait_for(20)
    check(load, 100)
    app.set_version("after")
    app.cli("deploy").expect(0)
    assert app.version() == "after"


def test_kill_in_the_middle_of_a_deploy_converges(app):
    app.set_version("two")
    with Load(edge_of(app).endpoint, app.host()) as load:
        deploy = app.cli.spawn("deploy")
        load.wait_for(15)
        app.daemon.kill()
        app.daemon.start()
        deploy.communicate(timeout=60)  # it goes on with the new process, or says that it could not
        app.cli("deploy").expect(0)
        load.wait_for(20)
    check(load, 30)
    assert app.version() == "two"


def test_killed_haproxy_comes_back(app):
    folder = str(app.daemon.data)
    old = {pid for pid, arguments in processes_naming(folder) if "haproxy" in arguments[0]}
    assert old, "no haproxy runs in the data folder"
    for pid in old:
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: _answers(app), 20, "the edge answers again")
    new = {pid for pid, arguments in processes_naming(folder) if "haproxy" in arguments[0]}
    assert new and not new & old


def _answers(app):
    try:
        return app.ask().status == 200
    except OSError:
        return False
