"""From a folder to a routed service, and everything that happens to it afterwards."""

import json
import re
import signal
import time

import pytest
from harness.app import App
from harness.engine import Engine
from harness.process import read_line, wait_until

pytestmark = pytest.mark.engine


@pytest.fixture
def app(engine_daemon, engine_cli, tmp_path, run):
    return App(engine_daemon, engine_cli, tmp_path / "app", run)


@pytest.fixture
def deployed(app):
    """Version one, in production."""
    app.cli("up").expect(0)
    app.cli("deploy").expect(0)
    return app


def test_up_ends_with_the_url_that_answers(app):
    done = app.cli("up").expect(0)
    assert app.host("preview") in (done.stdout + done.stderr).splitlines()[-1], str(done)
    assert app.version("preview") == "one"


def test_up_without_a_change_builds_and_deploys_nothing(app):
    app.cli("up").expect(0)
    before = (app.releases(), app.deployments())
    done = app.cli("up").expect(0)
    assert (app.releases(), app.deployments()) == before, str(done)


def test_deploy_takes_the_same_release(deployed):
    assert len(deployed.releases()) == 1
    assert {d["environment"] for d in deployed.deployments()} == {"preview", "production"}
    assert len({d["release_id"] for d in deployed.deployments()}) == 1
    assert deployed.version() == "one"


def test_same_files_give_the_same_release_whatever_their_times(app):
    app.cli("up").expect(0)
    for path in app.folder.iterdir():
        path.touch()
    app.cli("up").expect(0)
    assert len(app.releases()) == 1


def test_new_version_replaces_the_old(deployed):
    deployed.set_version("two")
    deployed.cli("up").expect(0)
    assert (deployed.version("preview"), deployed.version()) == ("two", "one")
    deployed.cli("deploy").expect(0)
    assert deployed.version() == "two"


def test_failed_health_gate_keeps_the_old_version(deployed):
    deployed.set_version("bad")
    deployed.spec(web={"env": {"FAIL_HEALTH": "1"}, "health": {"path": "/healthz", "interval": "500ms", "grace": "5s"}})
    done = deployed.cli("up").expect(30)
    assert re.search(r"/healthz", done.stderr) and "500" in done.stderr, str(done)
    assert "version bad listens" in done.stdout + done.stderr, f"no last log lines:\n{done}"
    assert deployed.version("preview") == "one"
    latest = deployed.status("preview")["latest_deployment"]
    assert latest["status"] == "failed" and latest["error_message"]


def test_new_health_rule_is_for_new_instances(deployed):
    """A rule that nothing fulfils must not take away what serves; the next deployment begins its own time."""
    deployed.spec(web={"health": {"path": "/nothing-there", "interval": "500ms", "grace": "6s"}})
    deployed.cli("deploy", "--no-wait").expect(0)
    end = time.monotonic() + 4
    while time.monotonic() < end:
        assert deployed.version() == "one"
        time.sleep(0.05)
    assert deployed.deployments()[0]["status"] == "deploying"
    deployed.spec(web={"health": {"path": "/others", "interval": "500ms", "grace": "6s"}})
    deployed.cli("deploy").expect(0)
    deployed.spec(web={"health": {"path": "/nothing-there", "interval": "500ms", "grace": "3s"}})
    done = deployed.cli("deploy").expect(30)
    assert "GET /nothing-there: 404" in done.stderr, str(done)
    assert deployed.version() == "one"


def test_program_that_ends_at_once_is_told_with_its_words(deployed):
    deployed.spec(web={"env": {"EXIT_AT_START": "3"}, "health": {"path": "/healthz", "grace": "8s"}})
    done = deployed.cli("up").expect(30)
    assert "EXIT_AT_START is set" in done.stdout + done.stderr, str(done)
    assert deployed.version("preview") == "one"


def test_failed_build_says_what_the_build_said(app):
    (app.folder / "Dockerfile").write_text("FROM scratch\nCOPY missing-file /x\n")
    done = app.cli("up").expect(20)
    assert "missing-file" in done.stdout + done.stderr, str(done)


def test_rollback_brings_back_the_whole_value(deployed):
    deployed.spec(web={"env": {"COLOUR": "red"}, "replicas": 2})
    deployed.set_version("two")
    deployed.cli("deploy").expect(0)
    assert deployed.text("/env/COLOUR") == "red"
    assert len(deployed.instances()) == 2
    deployed.cli("rollback").expect(0)
    assert deployed.version() == "one"
    assert deployed.ask("/env/COLOUR").status == 404
    assert len(deployed.instances()) == 1
    assert deployed.deployments()[0]["kind"] == "rollback"


def test_scale_up_and_down(deployed):
    deployed.cli("scale", "web=3", "-e", "production").expect(0)
    assert len(deployed.instances(tries=60)) == 3
    deployed.cli("scale", "web=1", "-e", "production").expect(0)
    assert len(deployed.instances()) == 1
    assert deployed.status("production")["replicas"] == 1


def test_variable_makes_a_new_deployment_of_the_same_image(deployed):
    deployed.cli("env", "set", "LOG_LEVEL=debug", "-e", "production").expect(0)
    assert deployed.text("/env/LOG_LEVEL") == "debug"
    assert len(deployed.releases()) == 1


def test_secret_is_given_to_the_service_and_shown_to_nobody(deployed):
    canary = "canary-" + deployed.project
    deployed.cli("env", "set", "--secret", "PASSWORD", "-e", "production", input=canary).expect(0)
    assert deployed.text("/env/PASSWORD") == canary
    listing = deployed.cli("env", "list", "-e", "production").expect(0)
    assert "PASSWORD" in listing.stdout and canary not in listing.stdout + listing.stderr
    deployed.ask("/log-env/PASSWORD").expect(200)
    deployed.ask("/log/after-the-secret").expect(200)
    logs = wait_until(
        lambda: (out := deployed.cli("logs", "web", "-e", "production").stdout) and "after-the-secret" in out and out,
        15, "the line is in the logs",
    )  # fmt: skip
    assert canary not in logs
    assert canary not in deployed.daemon.stderr()
    stored = [p for p in deployed.daemon.data.rglob("*") if p.is_file() and canary.encode() in p.read_bytes()]
    assert not stored, f"the secret is in {stored}"


def test_logs_survive_a_redeploy(deployed):
    deployed.ask("/log/before-redeploy").expect(200)
    deployed.set_version("two")
    deployed.cli("deploy").expect(0)
    deployed.ask("/log/after-redeploy").expect(200)
    text = wait_until(
        lambda: "after-redeploy" in (out := deployed.cli("logs", "web", "-e", "production").stdout) and out, 15, "logs"
    )
    assert text.count("before-redeploy") == 1 and text.count("after-redeploy") == 1
    assert text.index("before-redeploy") < text.index("version two listens") < text.index("after-redeploy")


def test_logs_follow_live(deployed):
    follower = deployed.cli.spawn("logs", "-f", "web", "-e", "production", "-n", "0", "-o", "json")
    try:
        time.sleep(1)  # there is no sign from outside that it follows; a line too early would only make the test stricter
        deployed.ask("/log/seen-live").expect(200)
        assert "seen-live" in json.loads(read_line(follower))["text"]
    finally:
        follower.send_signal(signal.SIGINT)
        follower.communicate(timeout=20)


def test_pruned_image_is_built_again(app, engine):
    """What people do when the disk is full. The source is kept, so nothing is lost but time."""
    app.set_version(f"of-{app.project}")
    app.cli("up").expect(0)
    app.cli("deploy").expect(0)
    lose_image(app, Engine(engine))
    app.cli("up").expect(0)
    app.cli("deploy").expect(0)
    assert app.version("preview") == app.version() == f"of-{app.project}"
    assert len(app.releases()) == 2


def lose_image(app, engine):
    """Until Switchyard, which brings the containers back meanwhile, has come upon it."""
    image = app.releases()[0]["image_digest"]

    def is_lost():
        for container in engine.containers(app.project):
            engine.client.delete(f"/containers/{container['Id']}?force=1")
        engine.client.delete(f"/images/{image}?force=1")
        shown = app.cli("status", "-e", "production").stdout
        return "has lost the image of release v1" in shown and "0 of 1 get traffic" in shown

    wait_until(is_lost, 60, "the image is lost, and status says so")


def test_lost_image_of_what_served_does_not_hold_up_its_successor(app, engine):
    """There is no way back to lose: nothing serves."""
    app.set_version(f"lost-{app.project}")
    app.cli("deploy").expect(0)
    lose_image(app, Engine(engine))
    app.set_version(f"next-{app.project}")
    app.cli("deploy").expect(0)
    assert app.version() == f"next-{app.project}"


def test_lost_image_that_comes_back_is_used_again(app, engine):
    """As after an engine was started with the wrong data folder, and then with the right one."""
    app.set_version(f"of-{app.project}")
    app.cli("deploy").expect(0)
    (release,) = app.releases()
    archive = Engine(engine).client.get(f"/images/{release['image_uri']}/get").expect(200).body
    lose_image(app, Engine(engine))

    def deploy():
        body = {"release_id": "v1", "environment_name": "production"}
        return app.daemon.client.post(f"/v1/services/{app.service()['id']}/deploy", body)

    assert "has lost the image of release v1" in deploy().expect_problem(409, "CONFLICT")["detail"]
    Engine(engine).client.post("/images/load", archive, {"Content-Type": "application/x-tar"}).expect(200)
    app.wait_for_version(f"of-{app.project}", seconds=90)
    wait_until(lambda: deploy().status != 409, 30, "its release can be deployed again")
    app.cli("deploy").expect(0)
    assert len(app.releases()) == 1


@pytest.mark.parametrize("how", ["kill", "remove"])
def test_container_lost_by_hand_comes_back(deployed, engine, how):
    engine = Engine(engine)
    deployment = deployed.status("production")["latest_deployment"]["id"]
    victims = engine.of_deployment(deployment)
    assert len(victims) == 1
    getattr(engine, how)(victims[0])
    # A check that the edge began while it was gone may still fail once more after it is back.
    deployed.wait_for_version("one", seconds=40)


def test_containers_are_hardened(deployed, engine):
    engine = Engine(engine)
    (container,) = engine.of_deployment(deployed.status("production")["latest_deployment"]["id"])
    facts = engine.inspect(container)
    host = facts["HostConfig"]
    assert facts["Config"]["User"].split(":")[0] == "65532"
    assert host["ReadonlyRootfs"] and host["CapDrop"] == ["ALL"] and not host["CapAdd"]
    assert any(option.startswith("no-new-privileges") for option in host["SecurityOpt"])
    assert host["Memory"] > 0 and host["NanoCpus"] + host["CpuQuota"] > 0 and host["PidsLimit"] > 0
    assert not host["Privileged"] and not host["PortBindings"]


def test_services_of_one_environment_find_each_other_by_name(app):
    app.spec(web={}, inner={"public": False})
    app.cli("up").expect(0)
    assert "version one" in app.text("/fetch/inner/8080", "preview")
    assert app.ask("/", "preview", "inner").status in (404, 503)


def test_environments_are_apart(deployed):
    deployed.spec(web={}, inner={"public": False})
    deployed.cli("up").expect(0)
    assert deployed.ask("/fetch/inner/8080", "production").status == 502


def test_unknown_host_gets_a_page(engine_daemon):
    reply = engine_daemon.edge.get("/", Host="nobody.localhost").expect(404)
    assert b"nobody.localhost" in reply.body or b"<html" in reply.body.lower()


def test_forwarded_headers_are_ours(deployed):
    # The edge sets them; what a client claims is dropped. Seen from the service by its access line.
    reply = deployed.daemon.edge.get("/", Host=deployed.host(), X_Forwarded_For="6.6.6.6")
    assert reply.status == 200 and reply.headers["X-Request-Id"]


def test_delete_takes_everything_but_asks_first(deployed, engine):
    deployment = deployed.status("production")["latest_deployment"]["id"]
    assert deployed.cli("delete", "web").code != 0, "no terminal, no --yes: it must refuse"
    assert deployed.version() == "one"
    deployed.cli("delete", "web", "--yes").expect(0)
    wait_until(lambda: not Engine(engine).of_deployment(deployment), 60, "its containers are gone")
    wait_until(lambda: deployed.ask().status in (404, 503), 20, "its host is gone")


def test_status_shows_why(deployed):
    done = deployed.cli("status", "-e", "production").expect(0)
    assert "web" in done.stdout and re.search(r"healthy|running", done.stdout), str(done)
    assert re.search(r"history .* is healthy \(GET /healthz: 200\): it gets traffic now", done.stdout), str(done)
    events = deployed.daemon.client.get(f"/v1/deployments/{deployed.deployments()[0]['id']}/events").expect(200).json
    assert all(event["message"] for event in events["events"]) and len(events["events"]) >= 3


def test_ps_as_json_lists_each_instance(deployed):
    assert deployed.version() == "one"
    rows = deployed.cli("ps", "-o", "json").expect(0).json
    assert "web" in json.dumps(rows)
