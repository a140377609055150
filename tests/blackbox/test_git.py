"""Sources from a git server over HTTPS: a real one, with a certificate that only `ca_bundle` vouches for."""

import pytest
from harness.app import App
from harness.cli import Cli
from harness.daemon import Daemon
from harness.git_server import NAME, ConnectProxy, GitServer, git
from harness.process import wait_until

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with GitServer(tmp_path_factory.mktemp("git")) as server:
        yield server


@pytest.fixture(scope="module")
def git_daemon(engine, haproxy, server):
    """On one store: what this tests does not pass through it."""
    daemon = Daemon(
        engine=engine, roles="api,reconcile,build",
        options=["--allow-private-git", "true", "--ca-bundle", str(server.authority)],
    )  # fmt: skip
    yield daemon.start()
    daemon.close()


class Repository:
    """apps/answer in a repository, and a service that is built from it."""

    def __init__(self, daemon, server, cli, folder, run, url=None):
        self.app = App(daemon, cli, folder / "app", run)
        self.client, self.server, self.name = daemon.client, server, run
        self.first = server.add(run, self.app.folder)
        self.client.post("/v1/projects", {"name": run, "slug": run}).expect(201)
        described = {"name": "web", "port": 8080, "git_repo": url or server.url(run)}
        self.service = self.client.post(f"/v1/projects/{run}/services", described).expect(201).json["id"]

    def build(self, **wanted):
        """The release when it is ready or failed."""
        release = self.client.post(f"/v1/services/{self.service}/build", wanted).expect(201).json["id"]
        look = lambda: (r := self.client.get(f"/v1/releases/{release}").json)["status"] in ("ready", "failed") and r  # noqa: E731
        return wait_until(look, 60, "the build has ended")

    def deploy(self, release):
        body = {"release_id": release["id"], "environment_name": "production"}
        self.client.post(f"/v1/services/{self.service}/deploy", body).expect(201)
        wait_until(lambda: self.app.deployments()[0]["status"] == "running", 60, "it runs")


@pytest.fixture
def repository(git_daemon, server, tmp_path, run):
    return Repository(git_daemon, server, Cli(f"unix:{git_daemon.socket}", tmp_path), tmp_path, run)


def test_branch_tag_and_commit_are_built_and_served(repository):
    release = repository.build(git_branch="main")
    assert release["status"] == "ready" and release["git_sha"] == repository.first, release
    repository.deploy(release)
    assert repository.app.version() == "one"
    second = repository.server.commit(repository.name, version="two\n")
    git(repository.server.root / repository.name, "tag", "v2")
    repository.server.commit(repository.name, version="three\n")
    by_tag = repository.build(git_branch="v2")
    assert by_tag["status"] == "ready" and by_tag["git_sha"] == second, by_tag
    repository.deploy(by_tag)
    assert repository.app.version() == "two"
    by_hash = repository.build(git_sha=repository.first)
    assert by_hash["status"] == "ready" and by_hash["git_sha"] == repository.first, by_hash


def test_history_is_not_fetched(repository, server):
    for number in range(3):
        server.commit(repository.name, version=f"{number}\n")
    before = len(server.asked)
    assert repository.build(git_branch="main")["status"] == "ready"
    asked = server.asked[before:]
    assert any("git-upload-pack" in line for line in asked), asked
    assert not any("/objects/" in line for line in asked), "it was fetched file by file: that cannot be one commit alone"


@pytest.mark.parametrize(
    "path, branch, expected",
    [
        ("{}", "no-such-branch", "no branch or tag no-such-branch"),
        ("missing", "main", "Is the URL right"),
        ("private/{}", "main", "without a password"),
    ],
)
def test_what_cannot_be_fetched_is_told(repository, server, path, branch, expected):
    url = server.url(path.format(repository.name))
    repository.client.patch(f"/v1/services/{repository.service}", {"git_repo": url}).expect(200)
    failed = repository.build(git_branch=branch)
    assert failed["status"] == "failed" and expected in failed["hint"], failed
    log = repository.client.get(f"/v1/services/{repository.service}/builds/{failed['id']}/logs").expect(200)
    assert f"hint: {failed['hint']}" in log.body.decode()
    assert repository.build(git_branch=branch)["status"] == "failed", "a failure must not be taken for a release"


def test_unknown_certificate_is_refused(engine, haproxy, server, tmp_path, run):
    daemon = Daemon(engine=engine, roles="api,reconcile,build", options=["--allow-private-git", "true"]).start()
    try:
        repository = Repository(daemon, server, Cli(f"unix:{daemon.socket}", tmp_path), tmp_path, run)
        before = len(server.asked)
        failed = repository.build(git_branch="main")
        assert failed["status"] == "failed" and "certificate" in str(failed), failed
        assert len(server.asked) == before
    finally:
        daemon.close()


def test_proxy_finds_hosts_that_this_machine_does_not(engine, haproxy, server, tmp_path, run):
    # The company's network: names are known to the proxy alone. no_proxy must not lead past it, since nobody has looked
    # at where the name leads.
    with ConnectProxy({NAME: server.port}) as proxy:
        daemon = Daemon(engine=engine, roles="api,reconcile,build", options=["--ca-bundle", str(server.authority)])
        daemon.variables = {"https_proxy": proxy.endpoint, "no_proxy": "*", "NO_PROXY": NAME}
        daemon.start()
        try:
            url = f"https://{NAME}/{run}/.git"
            repository = Repository(daemon, server, Cli(f"unix:{daemon.socket}", tmp_path), tmp_path, run, url)
            release = repository.build(git_branch="main")
            assert release["status"] == "ready" and release["git_sha"] == repository.first, release
            assert f"{NAME}:443" in proxy.asked
            elsewhere = {"git_repo": "https://nowhere.enclii.test/x"}
            repository.client.patch(f"/v1/services/{repository.service}", elsewhere).expect(200)
            failed = repository.build(git_branch="main")
            assert failed["status"] == "failed" and "502" in str(failed), failed
        finally:
            daemon.close()
