"""What stops more than one thing at a time can be looked at first, and goes step by step."""

import json
import sqlite3
import subprocess
import threading
import time
import urllib.parse
from datetime import datetime

import pytest
from harness.app import App
from harness.cli import Cli
from harness.client import Client
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


NAMES = ("one", "two", "three")


def hold(container, seconds):
    """A request that the instance finishes before it ends, past the edge: its stop takes that long."""
    (network,) = container["NetworkSettings"]["Networks"].values()
    client = Client(f"http://{network['IPAddress']}:8080", timeout=60)
    threading.Thread(target=client.get, args=(f"/slow/{seconds * 1000}",), daemon=True).start()


def engine_times(engine, what, since, containers):
    """Container id → when the engine says that this happened to it."""
    filters = urllib.parse.quote(json.dumps({"type": ["container"], "event": [what]}))
    told = engine.client.get(f"/events?since={since}&until={int(time.time()) + 1}&filters={filters}").expect(200)
    events = [json.loads(line) for line in told.body.splitlines()]
    wanted = {container["Id"] for container in containers}
    return {event["Actor"]["ID"]: event["timeNano"] / 1e9 for event in events if event["Actor"]["ID"] in wanted}


def retired_at(app, deployment_id):
    events = app.daemon.client.get(f"/v1/deployments/{deployment_id}/events").expect(200).json["events"]
    (event,) = [event for event in events if event["type"] == "deployment.retired"]
    return datetime.fromisoformat(event["created_at"].replace("Z", "+00:00")).timestamp()


def test_services_of_a_deleted_project_leave_one_by_one(switchyard, store_url, engine, haproxy, tmp_path, run):
    daemon = switchyard(store_url(), engine=engine, roles="api,reconcile,build").start()
    app = App(daemon, Cli(f"unix:{daemon.socket}", tmp_path), tmp_path / "app", run)
    app.spec(**{name: {} for name in NAMES})
    app.cli("up").expect(0)
    there = Engine(engine)
    path = f"/v1/projects/{app.project}"
    made = {name: app.deployments(name)[0]["id"] for name in NAMES}
    before = {name: there.of_deployment(made[name])[0] for name in NAMES}

    def served():
        return {name for name in NAMES if app.ask("/", "preview", name).status == 200}

    # It says first how they would leave, and nothing happens.
    told = daemon.client.delete(f"{path}?dry_run=true").expect(200).json
    assert not told["applied"] and "they stop one after the other" in told["changes"], told
    assert served() == set(NAMES)

    # Gone from the API at once; one of them ends, slowly, and meanwhile the others serve, also after a crash.
    for container in before.values():
        hold(container, 5)
    daemon.client.delete(f"{path}?force=true").expect(200)
    daemon.client.get(path).expect_problem(404, "NOT_FOUND")
    wait_until(lambda: len(served()) < 3, 30, "the first one leaves")
    staying = served()
    assert len(staying) == 2
    daemon.kill()
    assert served() == staying
    daemon.start()
    assert served() == staying, "nobody else's turn while the first one is ending"
    assert all(there.of_deployment(made[name]) for name in NAMES)

    # Restored midway: those two were never touched, and what has left does not come back by itself.
    daemon.client.post(f"{path}/restore").expect(200)
    (left,) = set(NAMES) - staying
    wait_until(lambda: not there.of_deployment(made[left]), 60, "the first one is gone")
    assert served() == staying
    for name in staying:
        assert there.of_deployment(made[name])[0]["Id"] == before[name]["Id"]
        assert app.status("preview", name)["status"] == "running"
        assert [row["id"] for row in app.deployments(name)] == [made[name]]
    assert app.status("preview", left)["status"] == "idle"

    # And again to the end: each one leaves when nothing of the one before is left.
    since = int(time.time())
    daemon.client.delete(f"{path}?force=true").expect(200)
    wait_until(lambda: not served() and not any(map(there.of_deployment, made.values())), 60, "all are gone")
    daemon.client.post(f"{path}/restore").expect(200)
    first, second = sorted(staying, key=lambda name: retired_at(app, made[name]))
    gone = engine_times(there, "destroy", since, before.values())
    assert retired_at(app, made[second]) >= gone[before[first]["Id"]]


def test_containers_that_no_record_speaks_of_go_one_service_after_the_other(switchyard, engine, haproxy, tmp_path, run):
    daemon = switchyard(engine=engine, roles="api,reconcile,build").start()
    app = App(daemon, Cli(f"unix:{daemon.socket}", tmp_path), tmp_path / "app", run)
    app.spec(**{name: {"health": {"path": "/healthz", "interval": "1s"}} for name in NAMES})
    app.cli("up").expect(0)
    there = Engine(engine)
    strays = [there.of_deployment(app.deployments(name)[0]["id"])[0] for name in NAMES]
    daemon.kill()
    with sqlite3.connect(daemon.folder / "store.db") as database:  # as when an older database is restored
        database.execute("DELETE FROM instances")
    database.close()
    since = int(time.time())
    for stray in strays:
        hold(stray, 2)
    daemon.start()
    told = daemon.client.post("/v1/system/gc?dry_run=true", {}).expect(200).json["items"]
    assert [item for item in told if item["kind"] == "container" and item["action"] == "remove"], told

    wait_until(lambda: len(engine_times(there, "destroy", since, strays)) == 3, 60, "they are gone")
    gone = engine_times(there, "destroy", since, strays)
    began = engine_times(there, "kill", since, strays)
    in_order = sorted(gone, key=gone.get)
    assert all(began[later] >= gone[earlier] for earlier, later in zip(in_order, in_order[1:], strict=False))
    wait_until(lambda: all(app.ask("/", "preview", name).status == 200 for name in NAMES), 90, "all is served again")
