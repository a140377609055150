"""What black-box tests are given: the real programs of build-asan, both stores, a real engine, a real HAProxy.

    daemon         a running switchyard without an engine, shared by a module's tests, once per store
    engine_daemon  the same with an engine, an edge and builders
    switchyard     a function that starts one with options of one's own; it is ended with the test
    api            an administrator's client of `daemon` over the unix socket; `signed_in(scopes…)` makes others over TCP
    cli            enclii, bound to `daemon`
    run            a word that is new in every test, for names
"""

import os
import secrets
import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from harness.cli import Cli  # noqa: E402
from harness.daemon import Daemon  # noqa: E402
from harness.postgresql import PostgreSQL  # noqa: E402

STORES = ("sqlite", "postgresql")


def pytest_addoption(parser):
    parser.addoption("--long", action="store_true", help="thousands of cycles instead of a few")
    parser.addoption("--store", choices=STORES, help="only this store")


def pytest_generate_tests(metafunc):
    """A test that names `store` runs once per store."""
    if "store" in metafunc.fixturenames:
        chosen = metafunc.config.getoption("--store")
        metafunc.parametrize("store", [chosen] if chosen else STORES, scope="module")


@pytest.fixture(scope="session")
def is_long(request):
    return request.config.getoption("--long")


@pytest.fixture(scope="session")
def engine():
    """The endpoint of a container engine; tools/run-tests finds or starts it."""
    endpoint = os.environ.get("ENCLII_TEST_ENGINE")
    if not endpoint:
        pytest.skip(os.environ.get("ENCLII_TEST_NO_ENGINE", "ENCLII_TEST_ENGINE is not set (see tools/run-tests)"))
    return endpoint


@pytest.fixture(scope="session")
def haproxy():
    path = shutil.which("haproxy", path=os.environ["PATH"] + ":/usr/sbin:/usr/local/sbin")
    if not path:
        pytest.skip("haproxy is not installed (tools/install-deps run)")
    return path


@pytest.fixture(scope="session")
def postgresql():
    if PostgreSQL.why_not():
        pytest.skip(PostgreSQL.why_not())
    server = PostgreSQL()
    yield server
    server.close()


@pytest.fixture(scope="module")
def store_url(request, store):
    """A function that gives the URL of an empty database; None stands for SQLite in the daemon's folder."""
    if store == "sqlite":
        return lambda: None
    return request.getfixturevalue("postgresql").new_database


@pytest.fixture(scope="module")
def daemon(store_url):
    daemon = Daemon(store_url())
    daemon.start()
    yield daemon
    daemon.close()


@pytest.fixture(scope="module")
def engine_daemon(store_url, engine, haproxy):
    daemon = Daemon(store_url(), engine=engine, roles="api,reconcile,build")
    daemon.start()
    yield daemon
    daemon.close()


@pytest.fixture
def switchyard():
    """Daemon(**options), not started; all are closed at the end, and every complaint is told."""
    made = []

    def make(*arguments, **options):
        made.append(Daemon(*arguments, **options))
        return made[-1]

    yield make
    complaints = []
    for daemon in made:
        try:
            daemon.close()
        except AssertionError as complaint:
            complaints.append(str(complaint))
    assert not complaints, "\n".join(complaints)


@pytest.fixture
def api(daemon):
    return daemon.client


@pytest.fixture
def signed_in(daemon, run):
    """A client over TCP with a new token of these scopes."""

    def sign_in(*scopes, project=None):
        body = {"name": f"{run}-{secrets.token_hex(3)}", "scopes": list(scopes)}
        if project:
            body["project"] = project
        token = daemon.client.post("/v1/user/tokens", body).expect(201).json["token"]
        return daemon.over_tcp(token)

    return sign_in


@pytest.fixture
def cli(daemon, tmp_path):
    return Cli(f"unix:{daemon.socket}", tmp_path)


@pytest.fixture
def engine_cli(engine_daemon, tmp_path):
    return Cli(f"unix:{engine_daemon.socket}", tmp_path)


@pytest.fixture
def run():
    return "t" + secrets.token_hex(3)


@pytest.fixture
def project(api, run):
    """A new project's slug."""
    api.post("/v1/projects", {"name": f"Project {run}", "slug": run}).expect(201)
    return run


@pytest.fixture
def service(api, project):
    """A new service of `project`, as the API gives it."""
    return api.post(f"/v1/projects/{project}/services", {"name": "web", "port": 8080}).expect(201).json
