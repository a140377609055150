"""What stops more than one thing at a time can be looked at first, and goes step by step."""

import subprocess

import pytest
from harness.app import App
from harness.cli import Cli
from harness.daemon import Daemon, environment
from harness.engine import Engine
from harness.process import BUILD, wait_until

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def engine_daemon(engine, haproxy):
    """On one store: the engine is what matters here."""
    daemon = Daemon(engine=engine, roles="api,reconcile,build").start()
    yield daemon
    daemon.close()


@pytest.fixture
def app(engine_daemon, engine_cli, tmp_path, run):
    app = App(engine_daemon, engine_cli, tmp_path / "app", run)
    app.spec(one={}, two={}, three={})
    return app


def test_deletion_of_an_environment_says_first_what_stops(app):
    app.cli("up").expect(0)
    path = f"/v1/projects/{app.project}/environments/preview"
    told = app.daemon.client.delete(f"{path}?dry_run=true").expect(200).json
    assert not told["applied"] and len([line for line in told["changes"] if "stops in preview" in line]) == 3, told
    assert app.ask("/", "preview", "one").status == 200
    app.daemon.client.delete(path).expect_problem(409, "CONFLICT")
    done = app.cli("environments", "delete", "preview", "--yes").expect(0)
    assert "one stops in preview" in done.stderr, str(done)
    wait_until(lambda: app.ask("/", "preview", "one").status == 404, 30, "it is not served any more")


def test_teardown_can_be_rehearsed_while_all_runs(switchyard, engine, haproxy, tmp_path, run):
    daemon = switchyard(engine=engine, roles="api,reconcile,build").start()
    app = App(daemon, Cli(f"unix:{daemon.socket}", tmp_path), tmp_path / "app", run)
    app.cli("up", "-e", "production").expect(0)
    done = subprocess.run(
        [str(BUILD / "switchyard"), "teardown", "--dry-run", "--data-dir", str(daemon.data), "--store",
         daemon.store_url, "--engine", engine], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
        env=environment(),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (container,) = Engine(engine).of_deployment(app.deployments()[0]["id"])
    for line in ("would stop the edge", f"would remove container {container['Names'][0][1:]}", "would remove network"):
        assert line in done.stdout, done.stdout
    assert app.version() == "one"
