"""Commands that need no engine, each with what it is for and with what it refuses."""

import json
import re
import signal
import socket

import pytest
from harness.cli import Cli
from harness.process import read_line, wait_until

pytestmark = pytest.mark.api


# --- host names -------------------------------------------------------------------------------------------------------------


def test_host_names_come_and_go(cli, project, service, run):
    host = f"{run}.example.test"
    assert "No host names" in cli("domains", "-p", project).expect(0).stderr
    added = cli("domains", "add", host, "-p", project, "-o", "json").expect(0).json
    assert added["domain"] == host and added["environment"] == "production"
    assert host in cli("domains", "list", "-p", project, "-s", service["name"]).expect(0).stdout
    again = cli("domains", "add", host, "-p", project)
    assert again.code != 0 and "ALREADY_EXISTS" in again.stderr
    cli("domains", "remove", host, "-p", project).expect(0)
    assert host not in cli("domains", "list", "-p", project).expect(0).stdout
    gone = cli("domains", "remove", host, "-p", project)
    assert gone.code == 1 and "is no host name of" in gone.stderr and "enclii domains list" in gone.stderr


def test_host_name_that_resolves_nowhere_is_told(cli, project, service, run):
    host = f"{run}.invalid"  # RFC 2606: never resolves
    cli("domains", "add", host, "-p", project, "-e", "preview").expect(0)
    done = cli("domains", "verify", host, "-p", project)
    assert host in done.stdout + done.stderr and "true" not in done.stdout, str(done)
    assert "is no host name of" in cli("domains", "verify", "other.invalid", "-p", project).expect(1).stderr


# --- contexts ---------------------------------------------------------------------------------------------------------------


def test_contexts_are_listed_used_and_forgotten(tmp_path):
    home = Cli(None, tmp_path)
    assert "No context is in use" in home("context").expect(0).stderr
    home("context", "add", "near", "--endpoint", "http://127.0.0.1:7700", "--no-token").expect(0)
    home("context", "add", "far", "--endpoint", "https://enclii.example.test", input="enclii_" + "0" * 64 + "\n").expect(0)
    home("context", "use", "far").expect(0)
    listed = home("context", "list", "-o", "json").expect(0).json["contexts"]
    assert {(c["name"], c["is_current"], c["has_token"]) for c in listed} == {("near", False, False), ("far", True, True)}
    assert "enclii_" not in home("context", "list").expect(0).stdout
    home("context", "remove", "far").expect(0)
    assert "far" not in home("context", "list").expect(0).stdout
    assert "No context is in use" in home("context").stderr


@pytest.mark.parametrize(
    "words, said",
    [
        (("use", "prodd"), "did you mean prod"),
        (("remove", "zzzzzzzz"), "there is no context"),
        (("add", "x"), "--endpoint"),
        (("add", "x", "--endpoint", "ftp://example.test", "--no-token"), "ftp"),
        (("add", "-x", "--endpoint", "http://127.0.0.1:1", "--no-token"), "-x"),
    ],
)
def test_context_says_what_is_wrong(tmp_path, words, said):
    home = Cli(None, tmp_path)
    home("context", "add", "prod", "--endpoint", "http://127.0.0.1:7700", "--no-token").expect(0)
    done = home("context", *words)
    assert done.code != 0 and said in done.stderr and not done.stdout, str(done)


def test_context_of_one_command_beats_the_one_in_use(cli, daemon, signed_in, tmp_path, project):
    home = Cli(None, tmp_path)
    token = signed_in("read").token
    home("context", "add", "dead", "--endpoint", "http://127.0.0.1:1", "--no-token").expect(0)
    home("context", "add", "alive", "--endpoint", daemon.over_tcp().endpoint, input=token + "\n").expect(0)
    home("context", "use", "dead").expect(0)
    assert home("projects").code == 1
    assert project in home("projects", "--context", "alive").expect(0).stdout
    assert "there is no context" in home("projects", "--context", "other").stderr


# --- events -----------------------------------------------------------------------------------------------------------------


def test_events_tell_what_happened_oldest_first(cli, project, service):
    cli("env", "set", "COLOUR=red", "-p", project).expect(0)
    lines = cli("events", "-p", project).expect(0).stdout.splitlines()
    assert "project.created" in lines[0] and len(lines) >= 2
    assert "project.created" not in cli("events", service["name"], "-p", project).expect(0).stdout
    assert len(cli("events", "-p", project, "-n", "1").expect(0).stdout.splitlines()) == 1
    types = [event["type"] for event in cli("events", "-p", project, "-o", "json").expect(0).json["events"]]
    assert "project.created" in types
    unknown = cli("events", service["name"], "-p", project, "--deployment", "v99")
    assert unknown.code != 0 and "v99" in unknown.stderr
    assert cli("events", "-p", project, "-n", "many").expect(10).stderr


@pytest.mark.parametrize("output", ["table", "json"])
def test_events_are_followed_until_ctrl_c(cli, api, project, output):
    follower = cli.spawn("events", "-f", "-p", project, "-o", output)
    try:
        read_line(follower, "project.created")  # the past comes first, and nothing is lost after it
        api.post(f"/v1/projects/{project}/services", {"name": f"new-{output}"}).expect(201)
        line = read_line(follower, "service.created")
        if output == "json":
            assert json.loads(line)["type"] == "service.created"
        follower.send_signal(signal.SIGINT)
        assert follower.wait(20) == 0, follower.stderr.read()
    finally:
        follower.kill()
        follower.communicate()


# --- variables --------------------------------------------------------------------------------------------------------------


def test_variables_are_unset_where_they_are_set(cli, project, service):
    def env(*words):
        return cli("env", *words, "-p", project)

    env("set", "SHARED=1", "OTHER=2").expect(0)
    env("set", "OWN=3", "-e", "preview").expect(0)
    assert "set for all environments" in env("unset", "SHARED", "-e", "preview").expect(1).stderr
    wrong = env("unset", "OWN")
    assert wrong.code == 1 and "OWN is set for preview" in wrong.stderr and "unset OWN -e preview" in wrong.stderr
    assert "has no variable NONE" in env("unset", "NONE").expect(1).stderr
    env("unset", "OWN", "-e", "preview").expect(0)
    env("unset", "SHARED", "OTHER", "--no-deploy").expect(0)
    assert "No variables" in env("list").expect(0).stderr


def test_variables_of_an_environment_are_what_holds_there(cli, project, service):
    cli("env", "set", "COLOUR=red", "-p", project).expect(0)
    cli("env", "set", "COLOUR=blue", "-p", project, "-e", "preview").expect(0)
    table = cli("env", "list", "-p", project).expect(0).stdout
    assert re.search(r"COLOUR +all +no +red", table) and re.search(r"COLOUR +preview +no +blue", table), table
    preview = cli("env", "list", "-p", project, "-e", "preview", "-o", "json").expect(0).json["environment_variables"]
    assert [row["value"] for row in preview if row["key"] == "COLOUR"] == ["blue"]


# --- cancel -----------------------------------------------------------------------------------------------------------------


def test_cancel_stops_what_is_under_way(cli, api, run, tmp_path):
    """This server has no builder: what is queued stays queued until somebody cancels it."""
    folder = tmp_path / "app"
    folder.mkdir()
    (folder / "Dockerfile").write_text("FROM scratch\n")
    (folder / "enclii.yaml").write_text(f"project: {run}\nservices:\n  web:\n    port: 8080\n")
    here = cli.at(folder)
    up = here.spawn("up")
    try:
        wait_until(lambda: releases(api, run) == ["queued"], 20, "a build is queued")
        assert "is being cancelled" in here("cancel", "web").expect(0).stdout
        wait_until(lambda: releases(api, run) == ["cancelled"], 20, "the build is cancelled")
        _, said = up.communicate(timeout=30)
    finally:
        up.kill()
        up.wait()
    assert up.returncode == 1 and "was cancelled" in said, f"{up.returncode}: {said}"
    none = here("cancel", "web", "-o", "json")
    assert none.code == 1 and "nothing of web is under way" in none.stderr


def releases(api, project):
    services = api.get(f"/v1/projects/{project}/services")
    if services.status != 200 or not services.json["services"]:
        return []
    found = api.get(f"/v1/services/{services.json['services'][0]['id']}/releases").json["releases"]
    return [release["status"] for release in found]


# --- doctor, where no server answers ------------------------------------------------------------------------------------------


def test_doctor_looks_at_this_machine_when_no_server_answers(tmp_path):
    done = Cli("unix:/nonexistent/socket", tmp_path)("doctor").expect(1)
    for words in ("does not exist", "systemctl start switchyard", "engine", "haproxy"):
        assert words in done.stdout, f"{words}: {done}"
    rows = Cli("unix:/nonexistent/socket", tmp_path)("doctor", "-o", "json").expect(1).json
    assert {"server", "socket", "engine", "haproxy"} <= {row["check"] for row in rows["findings"]}, rows


def test_doctor_knows_a_socket_that_nobody_listens_on(tmp_path):
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
    done = Cli(f"unix:{path}", tmp_path)("doctor").expect(1)
    assert "nobody listens" in done.stdout and "journalctl -u switchyard" in done.stdout, str(done)


def test_doctor_knows_a_socket_of_somebody_else(tmp_path):
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        listener.settimeout(20)
        doctor = Cli(f"unix:{path}", tmp_path).spawn("doctor")
        answered, _ = listener.accept()
        answered.close()  # and the second look finds it listening
        out, err = doctor.communicate(timeout=60)
    assert doctor.returncode == 1 and "does not answer as it should" in out, out + err


def test_doctor_names_the_engine_that_docker_host_names(tmp_path):
    missing = Cli("unix:/nonexistent/socket", tmp_path, variables={"DOCKER_HOST": f"unix://{tmp_path}/none"})("doctor")
    assert re.search(rf"{tmp_path}/none: No such file", missing.expect(1).stdout), str(missing)


def test_doctor_of_a_far_server_asks_for_the_address(tmp_path):
    done = Cli("http://127.0.0.1:1", tmp_path)("doctor").expect(1)
    assert "Is the address right" in done.stdout and "haproxy" not in done.stdout, str(done)
