"""What `up`, `deploy` and `logs` decide by themselves: environments, contexts, what is unchanged, what goes on without them."""

import json
import signal
import subprocess

import pytest
import yaml
from harness.app import App
from harness.process import wait_until

pytestmark = pytest.mark.engine


@pytest.fixture
def app(engine_daemon, engine_cli, tmp_path, run):
    return App(engine_daemon, engine_cli, tmp_path / "app", run)


def git(folder, *arguments):
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.test"]
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


def result_of(done):
    return done.expect(0).json


def test_branch_is_the_environment(app):
    git(app.folder, "init", "-q", "-b", "main")
    git(app.folder, "add", ".")
    git(app.folder, "commit", "-q", "-m", "one")
    assert result_of(app.cli("up", "-o", "json"))["environment"] == "preview"
    git(app.folder, "checkout", "-q", "-b", "feature/Log_in")
    result = result_of(app.cli("up", "-o", "json"))
    assert result["environment"] == "feature-log-in" and "feature-log-in" in result["url"]
    assert app.version("feature-log-in") == "one"
    assert len(app.releases()) == 1, "the same files were built again"


def test_json_is_the_only_output_and_says_what_changed(app):
    first = result_of(app.cli("up", "-o", "json"))
    assert first["changed"] and first["services"][0]["status"] == "running"
    again = result_of(app.cli("up", "-o", "json"))
    assert not again["changed"] and again["url"] == first["url"]
    assert again["services"][0]["deployment_id"] == first["services"][0]["deployment_id"]


def test_settings_deploy_without_building(app):
    app.cli("up").expect(0)
    app.spec(web={"env": {"COLOUR": "red"}})
    assert result_of(app.cli("up", "-o", "json"))["changed"]
    wait_until(lambda: app.ask("/env/COLOUR", "preview").body.strip() == b"red", 20, "it runs with the new setting")
    assert len(app.releases()) == 1


def test_settings_of_another_environment_change_nothing_here(app):
    app.cli("up").expect(0)
    spec = yaml.safe_load((app.folder / "enclii.yaml").read_text())
    spec["environments"] = {"production": {"web": {"env": {"COLOUR": "blue"}}}}
    (app.folder / "enclii.yaml").write_text(yaml.safe_dump(spec))
    assert not result_of(app.cli("up", "-o", "json"))["changed"]
    assert result_of(app.cli("deploy", "-o", "json"))["changed"]
    wait_until(lambda: app.ask("/env/COLOUR").body.strip() == b"blue", 20, "production has its own setting")
    assert app.ask("/env/COLOUR", "preview").status == 404


def test_change_in_one_folder_builds_that_one_only(app):
    for name in ("one", "two"):
        (app.folder / name).mkdir()
        for file in ("answer", "Dockerfile", "version"):
            (app.folder / name / file).write_bytes((app.folder / file).read_bytes())
        (app.folder / name / "answer").chmod(0o755)
    app.spec(one={"build": "./one"}, two={"build": "./two"})
    app.cli("up").expect(0)
    (app.folder / "one" / "version").write_text("changed\n")
    changed = {s["service"]: s["changed"] for s in result_of(app.cli("up", "-o", "json"))["services"]}
    assert changed == {"one": True, "two": False}
    assert (len(app.releases("one")), len(app.releases("two"))) == (2, 1)


def test_dry_run_changes_nothing(app):
    assert "web" in app.cli("up", "--dry-run").expect(0).stdout
    assert app.daemon.client.get(f"/v1/projects/{app.project}").status == 404


def test_up_after_a_rollback_brings_the_newest_back(app):
    app.cli("up").expect(0)
    app.spec(web={"env": {"COLOUR": "red"}})
    app.cli("up").expect(0)
    app.cli("rollback", "-e", "preview").expect(0)
    wait_until(lambda: app.ask("/env/COLOUR", "preview").status == 404, 20, "it is rolled back")
    assert result_of(app.cli("up", "-o", "json"))["changed"]
    wait_until(lambda: app.ask("/env/COLOUR", "preview").body.strip() == b"red", 20, "it is back")


def test_up_starts_what_was_scaled_to_nothing(app):
    app.cli("up").expect(0)
    app.cli("scale", "web=0", "-e", "preview").expect(0)
    app.cli("up").expect(0)
    assert app.version("preview") == "one"


def test_release_is_deployed_by_its_version(app):
    app.cli("up").expect(0)
    app.set_version("two")
    app.cli("up").expect(0)
    app.cli("deploy", "--release", "v1", "web").expect(0)
    assert app.version() == "one"


def test_interrupt_ends_the_watching_only(app):
    app.spec(web={"env": {"FAIL_HEALTH": "1"}, "health": {"path": "/healthz", "interval": "500ms", "grace": "60s"}})
    watching = app.cli.spawn("up")
    try:
        wait_until(lambda: app.daemon.client.get(f"/v1/projects/{app.project}").status == 200, 30, "it has begun")
        wait_until(lambda: app.deployments(), 60, "it deploys")
        watching.send_signal(signal.SIGINT)
        _, words = watching.communicate(timeout=20)
    finally:
        watching.kill()
        watching.wait()
    assert watching.returncode == 1 and "goes on" in words and "enclii" in words, words
    (deployment,) = app.deployments()
    assert deployment["status"] in ("pending", "deploying")
    assert app.cli("up", "--timeout", "2s").expect(40).stdout == ""
    assert len(app.deployments()) == 1, "taking it up again has deployed again"


def test_log_of_the_newest_build_is_shown_even_when_it_failed(app):
    app.cli("up").expect(0)
    (app.folder / "Dockerfile").write_text("FROM scratch\nCOPY missing-file /x\n")
    app.cli("up").expect(20)
    assert "missing-file" in app.cli("logs", "--build", "web").expect(0).stdout
    assert "missing-file" not in app.cli("logs", "--release", "v1", "web").expect(0).stdout


def test_lines_of_several_services_say_whose_they_are(app):
    app.spec(web={}, inner={"public": False})
    app.cli("up").expect(0)

    def lines():
        return app.cli("logs", "-e", "preview", "-o", "json").expect(0).lines

    rows = wait_until(lambda: len(found := lines()) >= 2 and found, 20, "both have printed")
    assert {row["service"] for row in rows} == {"web", "inner"}
    assert [row["time"] for row in rows] == sorted(row["time"] for row in rows)
    assert all("listens" in json.dumps(row) for row in rows)
