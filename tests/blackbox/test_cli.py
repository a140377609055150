"""The command line without an engine: output rules, exit codes, contexts, detection, start-up."""

import json
import re
import stat
import subprocess

import pytest
import yaml
from harness.cli import Cli
from harness.tls import Tls

pytestmark = pytest.mark.api


@pytest.fixture
def alone(tmp_path):
    """No server anywhere."""
    return Cli("unix:/nonexistent/socket", tmp_path)


def test_version(alone):
    assert re.search(r"\d+\.\d+\.\d+", alone("version").expect(0).stdout)


def test_help_names_every_command(alone):
    text = alone("help").expect(0).stdout
    for verb in (
        "init", "up", "deploy", "ps", "status", "releases", "deployments", "logs", "scale", "env", "rollback", "delete",
        "tokens", "api", "context", "doctor", "completion", "schema", "version",
    ):  # fmt: skip
        assert re.search(rf"\b{verb}\b", text), f"{verb} is not in the help"


def test_unknown_command_names_the_nearest(alone):
    done = alone("deplyo").expect(10)
    assert "deploy" in done.stderr and not done.stdout


def test_unknown_flag_is_refused(alone):
    assert "--replicsa" in alone("up", "--replicsa", "3").expect(10).stderr


def test_no_server_says_where_it_looked_and_what_to_do(alone):
    done = alone("ps").expect(1)
    assert "/nonexistent/socket" in done.stderr and not done.stdout
    assert re.search(r"doctor|switchyard", done.stderr), str(done)


def test_wrong_token_is_exit_50(daemon, tmp_path):
    done = Cli(daemon.over_tcp().endpoint, tmp_path, variables={"ENCLII_API_TOKEN": "enclii_" + "0" * 64})("ps")
    done.expect(50)
    assert "token" in done.stderr


def test_completion_is_for_three_shells(alone):
    for shell in ("bash", "zsh", "fish"):
        assert "rollback" in alone("completion", shell).expect(0).stdout
    bash = alone("completion", "bash").stdout
    subprocess.run(["bash", "-n"], input=bash, text=True, check=True)


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["de"], {"deploy", "deployments", "delete"}),
        (["env", ""], {"list", "set", "unset", "import"}),
        (["tokens", "create", "ci", "--scope", ""], {"admin", "deploy", "read"}),
        (["ps", "-o", "j"], {"json"}),
        (["completion", ""], {"bash", "zsh", "fish"}),
        (["env", "import", "some"], {"some.env"}),
        (["env", "import", "--secret", "some"], {"some.env"}),
        (["env", "set", "--secret", ""], set()),
        (["scale", ""], set()),
        (["up", "--dry"], {"--dry-run"}),
    ],
)
def test_bash_completes(alone, tmp_path, words, offered):
    (tmp_path / "some.env").write_text("")
    line = " ".join(f"'{word}'" for word in ["enclii", *words])
    script = alone("completion", "bash").stdout + f"COMP_WORDS=({line}); COMP_CWORD={len(words)}; _enclii; echo ${{COMPREPLY[@]}}\n"
    done = subprocess.run(["bash", "-s"], input=script, text=True, capture_output=True, cwd=tmp_path, check=True)
    assert set(done.stdout.split()) == offered, done.stderr


def test_schema_is_json_schema(alone):
    schema = alone("schema").expect(0).json
    assert "2020-12" in schema["$schema"]
    assert {"project", "services", "environments"} <= set(schema["properties"])


# --- init ---------------------------------------------------------------------------------------------------------

SOURCES = {
    "dockerfile": {"Dockerfile": "FROM scratch\nEXPOSE 9000\n"},
    "go": {"go.mod": "module example.test/hello\n\ngo 1.19\n", "main.go": "package main\nfunc main() {}\n"},
    "node": {"package.json": '{"name":"hello","scripts":{"start":"node server.js"}}', "server.js": ""},
    "python": {"requirements.txt": "flask\n", "app.py": ""},
    "c": {"Makefile": "all: hello\n", "hello.c": "int main(void) { return 0; }\n"},
    "static": {"index.html": "<!doctype html>\n"},
}


@pytest.mark.parametrize("kind", sorted(SOURCES))
def test_init_says_what_it_detected_and_why(alone, tmp_path, kind):
    folder = tmp_path / f"my-{kind}"
    folder.mkdir()
    for name, text in SOURCES[kind].items():
        (folder / name).write_text(text)
    done = alone.at(folder)("init").expect(0)
    reason = next(iter(SOURCES[kind])) if kind != "static" else "index.html"
    assert reason in done.stdout + done.stderr, f"no reason given:\n{done}"
    spec = yaml.safe_load((folder / "enclii.yaml").read_text())
    assert spec["project"] == f"my-{kind}" and spec["services"]


def test_init_overwrites_nothing(alone, tmp_path):
    (tmp_path / "index.html").write_text("x")
    (tmp_path / "enclii.yaml").write_text("project: mine\n")
    assert alone("init").code != 0
    assert (tmp_path / "enclii.yaml").read_text() == "project: mine\n"


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("project: shop\nservices:\n  web:\n    prot: 8080\n", "4:5", "port"),
        ("project: shop\nservices:\n  web:\n    port: 70000\n", "services.web.port", "65535"),
        ("project: Shop\nservices:\n  web: {}\n", "project", "Shop"),
        ("project: shop\nservices:\n  web:\n    health: {timeout: soon}\n", "services.web.health.timeout", "soon"),
        ("project: shop\nservices:\n  web:\n    port: 80\n    port: 81\n", "5:5", "port"),
        ("project: shop\nservices:\n\tweb: {}\n", "3:", "tab"),
        ("project: shop\nservices:\n  web: {cron: '* * * * *'}\n", "cron", "later version"),
    ],
)
def test_bad_spec_is_exit_10_with_the_place(cli, tmp_path, text, place, words):
    (tmp_path / "enclii.yaml").write_text(text)
    done = cli("up").expect(10)
    assert "enclii.yaml" in done.stderr and place in done.stderr and words in done.stderr, str(done)
    assert not done.stdout


# --- talking to a server --------------------------------------------------------------------------------------------


def test_api_speaks_any_route(cli, run):
    made = cli("api", "POST", "/v1/projects", "--data", json.dumps({"name": "Shop", "slug": run})).expect(0)
    assert made.json["slug"] == run
    shown = cli("api", "GET", f"/v1/projects/{run}", "--include").expect(0)
    assert re.match(r"HTTP/1.1 200", shown.stdout) and re.search(r"(?im)^etag:", shown.stdout)
    assert cli("api", "GET", "/v1/projects/no-such-project").code == 1


def test_worker_without_a_port_hides_nothing(cli, api, project):
    spec = {"project": project, "services": {"web": {"build": "."}, "worker": {"build": ".", "port": "none"}}}
    api.put(f"/v1/projects/{project}/spec", spec).expect(200)
    named = [s["name"] for s in cli("services", "list", "-p", project, "-o", "json").expect(0).json["services"]]
    assert sorted(named) == ["web", "worker"]
    cli("status", "worker", "-p", project).expect(0)
    cli("env", "set", "A=b", "-s", "worker", "-p", project, "--no-deploy").expect(0)


def test_lists_are_tables_json_or_yaml(cli, project):
    table = cli("projects", "list").expect(0).stdout
    assert project in table and "SLUG" in table.upper().splitlines()[0]
    rows = cli("projects", "list", "-o", "json").expect(0).json
    assert project in json.dumps(rows)
    assert project in json.dumps(yaml.safe_load(cli("projects", "list", "-o", "yaml").expect(0).stdout))


def test_token_is_shown_once_and_works(cli, daemon, run, tmp_path):
    made = cli("tokens", "create", run, "--scope", "read", "-o", "json").expect(0).json
    token = re.search(r"enclii_[0-9a-f]{64}", json.dumps(made)).group()
    assert token not in cli("tokens", "list", "-o", "json").expect(0).stdout
    far = Cli(daemon.over_tcp().endpoint, tmp_path, variables={"ENCLII_API_TOKEN": token})
    far("projects", "list").expect(0)
    far("tokens", "create", "more", "--scope", "admin").expect(50)
    cli("tokens", "revoke", run).expect(0)
    far("projects", "list").expect(50)


def test_context_keeps_its_token_to_its_owner(cli, daemon, signed_in, tmp_path):
    token = signed_in("admin").token
    home = Cli(None, tmp_path)
    home("context", "add", "prod", "--endpoint", daemon.over_tcp().endpoint, input=token + "\n").expect(0)
    home("context", "use", "prod").expect(0)
    home("projects", "list").expect(0)
    holding = [p for p in tmp_path.rglob("*") if p.is_file() and token in p.read_text(errors="replace")]
    assert len(holding) == 1 and stat.S_IMODE(holding[0].stat().st_mode) == 0o600, holding
    holding[0].chmod(0o644)  # copied from elsewhere, say
    home("projects", "list").expect(0)
    assert stat.S_IMODE(holding[0].stat().st_mode) == 0o600


def test_secret_comes_from_stdin_and_never_back(cli, project, service, daemon):
    cli("env", "set", "--secret", "PASSWORD", "--project", project, "-e", "production", input="canary-4711").expect(0)
    listed = cli("env", "list", "--project", project, "-e", "production", "-o", "json").expect(0)
    assert "PASSWORD" in listed.stdout and "canary-4711" not in listed.stdout
    done = cli("env", "set", "--secret", "PASSWORD=canary-4712", "--project", project, "-e", "production")
    assert done.code == 10, "a secret value was accepted in argv"


def test_env_import_reads_a_file(cli, project, service, tmp_path):
    (tmp_path / ".env").write_text('# comment\nA=1\nexport B="two words"\nC=\'$not expanded\'\n')
    cli("env", "import", ".env", "--project", project, "-e", "production").expect(0)
    text = cli("env", "list", "--project", project, "-e", "production", "-o", "json").expect(0).stdout
    for value in ("two words", "$not expanded"):
        assert value in text


def test_env_import_leaves_port_to_the_service(cli, api, project, service, tmp_path):
    (tmp_path / "some.env").write_text("PORT=3000\nCOLOUR=red\n")
    done = cli("env", "import", "some.env", "-p", project, "--no-deploy").expect(0)
    assert "PORT is left out" in done.stderr
    listed = cli("env", "list", "-p", project, "-o", "json").expect(0).json["environment_variables"]
    assert [row["key"] for row in listed] == ["COLOUR"]
    assert "service's port" in cli("env", "set", "PORT=1", "-p", project).expect(10).stderr
    assert "no file" in cli("env", "import", "missing.env", "-p", project).expect(10).stderr


def test_delete_without_a_terminal_needs_yes(cli, project, service):
    done = cli("delete", "web", "--project", project)
    assert done.code == 10 and "--yes" in done.stderr
    cli("delete", "web", "--project", project, "--yes").expect(0)


def test_doctor_names_each_finding_with_its_mend(cli):
    done = cli("doctor")
    assert re.search(r"engine", done.stdout + done.stderr, re.IGNORECASE)
    assert done.code in (0, 1)


def test_results_go_to_stdout_and_nothing_else_does(cli, project):
    done = cli("projects", "list", "-o", "json").expect(0)
    json.loads(done.stdout)
    assert "\x1b" not in done.stdout + done.stderr


def test_authority_of_a_server_is_named_by_the_environment(daemon, tmp_path):
    token = daemon.client.post("/v1/user/tokens", {"name": "tls", "scopes": ["read"]}).expect(201).json["token"]
    with Tls(daemon.over_tcp().endpoint, tmp_path) as tls:
        cli = Cli(tls.endpoint, tmp_path, variables={"ENCLII_API_TOKEN": token})
        refused = cli("projects", "list")
        assert refused.code != 0 and "certificate" in refused.stderr and "SSL_CERT_FILE" in refused.stderr, str(refused)
        cli.having(SSL_CERT_FILE=str(tls.authority))("projects", "list").expect(0)
