"""What enclii.yaml can say beside one public service: domains, workers, inner services, volumes, release commands."""

import pytest
import yaml
from harness.app import App
from harness.cli import Cli
from harness.engine import Engine
from harness.process import read_line, wait_until

pytestmark = pytest.mark.engine


@pytest.fixture
def app(engine_daemon, engine_cli, tmp_path, run):
    return App(engine_daemon, engine_cli, tmp_path / "app", run)


def at_host(app, host):
    return app.daemon.edge.get("/", Host=host)


def change(app, key, value):
    """A key of enclii.yaml beside the services."""
    path = app.folder / "enclii.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), key: value}))


def test_domain_leads_to_production_whatever_was_deployed_first(app):
    own, trial = f"{app.project}.example.test", f"try.{app.project}.example.test"
    app.spec(web={"domains": [own], "replicas": 1})
    app.cli("up").expect(0)
    assert at_host(app, own).status == 404
    app.cli("deploy").expect(0)
    app.set_version("two")
    change(app, "environments", {"preview": {"web": {"domains": [trial]}}})
    app.cli("up").expect(0)
    assert at_host(app, own).body.split()[1] == b"one"
    assert at_host(app, trial).body.split()[1] == b"two"


def test_worker_and_inner_service_get_no_host(app):
    app.spec(web={}, inner={"public": False}, worker={"port": "none", "health": None})
    app.cli("up").expect(0)
    rows = app.cli("ps", "-o", "json").expect(0).json["services"]
    assert {row["service"]["name"] for row in rows if row["instances"]} == {"web", "inner", "worker"}
    for name in ("inner", "worker"):
        assert app.ask("/", "preview", name).status == 404
        assert app.status("preview", name)["url"] is None


@pytest.mark.parametrize("code", ["0", "3"])
def test_worker_that_ends_at_once_does_not_replace_the_old(app, code):
    app.spec(worker={"port": "none", "health": None})
    app.cli("up").expect(0)
    app.spec(worker={"port": "none", "health": None, "env": {"EXIT_AT_START": code}})
    done = app.cli("up").expect(30)
    assert f"exit code {code}" in done.stderr, str(done)
    status = app.status("preview", "worker")
    assert (status["status"], status["latest_deployment"]["status"]) == ("running", "failed"), status


def test_logs_are_followed_across_a_restart_and_a_deploy(app):
    """Its stream is ended by a stop, cut off by a kill; every line comes once."""
    app.cli("up").expect(0)
    follower = app.cli.spawn("logs", "-f", "web", "-e", "preview", "-o", "json")
    try:
        assert "version one listens" in read_line(follower)
        for number, end in enumerate((app.daemon.stop, app.daemon.kill)):
            end()
            app.daemon.start()
            app.set_version(f"after{number}")
            app.cli("up").expect(0)
        app.cli("restart", "web", "-e", "preview").expect(0)
        wait_until(lambda: app.version("preview") == "after1", 20, "the last version answers")
    finally:
        follower.send_signal(2)
        out, err = follower.communicate(timeout=30)
    for number in (0, 1):
        assert out.count(f"version after{number} listens") == 1 + number, f"{out}{err}"


def test_client_and_protocol_are_those_that_a_trusted_proxy_tells(switchyard, engine, haproxy, tmp_path, run):
    claims = {"X-Forwarded-For": "203.0.113.7", "X-Forwarded-Proto": "https"}
    daemon = switchyard(engine=engine, roles="api,reconcile,build", options=["--edge-trusted-proxies", "127.0.0.0/8"])
    app = App(daemon.start(), Cli(f"unix:{daemon.socket}", tmp_path), tmp_path / "app", run)
    app.cli("up").expect(0)

    def seen():
        head = daemon.edge.call("GET", "/headers", headers={"Host": app.host("preview"), **claims}).expect(200).body.decode()
        lines = [line.split(": ", 1) for line in head.lower().splitlines() if ": " in line]
        return {name: value for name, value in lines if name.startswith(("x-forwarded-", "x-real-"))}

    trusted = seen()
    assert trusted["x-forwarded-for"] == "203.0.113.7, 127.0.0.1" and trusted["x-forwarded-proto"] == "https", trusted
    assert trusted["x-real-ip"] == "203.0.113.7" and trusted["x-forwarded-port"] == "443", trusted
    daemon.stop()
    daemon.options = []
    daemon.start()
    wait_until(lambda: seen()["x-forwarded-for"] == "127.0.0.1", 20, "nobody is believed any more")
    assert seen()["x-forwarded-proto"] == "http"


def test_restarts_by_the_engine_are_shown(app):
    def end_once():
        """The edge repeats no POST, so one process ends."""
        app.daemon.edge.post("/exit/3", headers={"Host": app.host("preview")})

    def shown():
        return app.cli("ps", "-o", "json").json["services"][0]["instances"][0]["restarts"]

    app.cli("up").expect(0)
    for n in (1, 2):
        wait_until(lambda: app.ask("/", "preview").status == 200, 20, "it answers")
        end_once()
        wait_until(lambda n=n: shown() == n, 20, f"restart {n} is shown")
    assert app.status("preview")["instances"][0]["restarts"] == 2


def test_release_command_that_the_engine_refuses_fails_the_deployment(app):
    """A rollback to an image that somebody removed by hand."""
    app.spec(web={"release": ["print", "HOME", "0"]})
    for version in ("one", "two"):
        app.set_version(version)
        app.cli("up").expect(0)
    engine = Engine(app.daemon.engine)
    old = next(release for release in app.releases() if release["version"] == "v1")
    image = f"/images/{old['image_digest']}?force=1"
    wait_until(lambda: engine.client.delete(image).status == 200, 30, "the first version has left")
    done = app.cli("rollback", "web", "-e", "preview")
    assert done.code != 0 and "such image" in done.stdout + done.stderr, f"without the engine's words: {done}"
    latest = app.deployments()[0]
    assert latest["status"] == "failed" and "refuses" in latest["error_message"], latest
    assert app.version("preview") == "two"
    assert not [c for c in engine.containers(app.project) if "-release-" in c["Names"][0]]


def test_service_with_a_volume_says_that_it_stops_and_for_how_long(app):
    app.spec(web={"volumes": {"uploads": "/data"}})
    assert "one writer" in app.cli("up", "--dry-run").expect(0).stderr
    app.cli("up").expect(0)
    assert app.deployments()[0]["gap_ms"] is None, "nothing ran before, so there was no gap"
    app.set_version("two")
    done = app.cli("up").expect(0)
    assert "one writer" in done.stderr and " gap " in done.stderr, str(done)
    latest = app.deployments()[0]
    assert latest["gap_ms"] > 0 and latest["requests_lost"] == 0
    assert "nothing ran for" in app.cli("events", "web", "-n", "3").expect(0).stdout


def test_restored_project_has_its_address_and_its_volume_back(app):
    def kept():
        rows = app.daemon.client.get("/v1/system").expect(200).json["kept_volumes"]
        return [row["engine_name"] for row in rows if row["pair_id"] in pairs]

    app.spec(web={"volumes": {"uploads": "/data"}})
    app.cli("up").expect(0)
    pairs = {row["pair_id"] for row in app.status("preview")["instances"]}
    app.cli("projects", "delete", app.project, "--yes").expect(0)
    assert len(kept()) == 1
    wait_until(lambda: app.ask("/", "preview").status == 404, 60, "it is gone")
    app.cli("projects", "restore", app.project).expect(0)
    app.cli("up").expect(0)
    assert app.version("preview") == "one"
    assert kept() == [], "the data would be in another volume than the service"


def test_what_is_asked_for_without_an_engine_happens_when_it_is_there(switchyard, engine, haproxy, tmp_path, run):
    daemon = switchyard(engine=f"unix:{tmp_path}/engine", roles="api,reconcile,build").start()
    app = App(daemon, Cli(f"unix:{daemon.socket}", tmp_path), tmp_path / "app", run)
    up = app.cli.spawn("up", "-v")
    try:
        said = next(line for line in up.stderr if "engine does not answer" in line)
        assert "waits for it" in said
        assert daemon.client.get("/health").expect(200).json["status"] == "degraded"
    finally:
        (tmp_path / "engine").symlink_to(engine.removeprefix("unix:"))
        out, err = up.communicate(timeout=120)
    assert up.returncode == 0, f"{out}{err}"
    assert app.version("preview") == "one"
