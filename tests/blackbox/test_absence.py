"""switchyard away for a while, and things happen meanwhile: visitors notice nothing, and all is mended when it comes back.

On an engine of its own, because it is restarted."""

import ipaddress
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from harness.app import App
from harness.cli import Cli
from harness.engine import Engine
from harness.ledger import Ledger
from harness.process import ROOT, wait_until

pytestmark = [pytest.mark.engine, pytest.mark.slow]

AWAY_SECONDS = (60, 600)  # short form, long form
PER_SECOND = {"keep": 60, "new": 40, "h2": 50}  # what may be repeated: a process that is killed takes POSTs with it


class OwnEngine:
    """tools/private-engine, which keeps containers alive while the engine is away (live-restore)."""

    def __init__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="eng-", dir="/tmp"))
        self.endpoint = None

    def tool(self, *arguments):
        done = subprocess.run(
            [sys.executable, str(ROOT / "tools/private-engine"), *arguments], stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=180,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()

    def start(self):
        self.endpoint = self.tool("start", str(self.folder))

    def end(self):
        """SIGTERM to its daemon; the containers go on."""
        pid = int((self.folder / "pid").read_text())
        os.kill(pid, signal.SIGTERM)
        wait_until(lambda: not is_alive(pid), 30, "the engine has ended")

    def wipe(self):
        self.tool("stop", str(self.folder), "--wipe")


def free_pool():
    """A range that overlaps no route of this machine: another engine's networks are ours to keep clear of, too."""
    routes = json.loads(subprocess.run(["ip", "-4", "-json", "route"], capture_output=True, check=True).stdout)
    taken = [ipaddress.ip_network(r["dst"], strict=False) for r in routes if r["dst"] != "default"]
    ranges = [ipaddress.ip_network(f"10.{number}.0.0/20") for number in range(100, 200)]
    return str(random.choice([free for free in ranges if not any(free.overlaps(other) for other in taken)]))


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture
def own_engine(engine):  # `engine`: where no engine runs at all, this is skipped like the others
    if os.geteuid() != 0 or not shutil.which("dockerd"):
        pytest.skip("an engine of one's own needs root and dockerd")
    own = OwnEngine()
    own.start()
    yield own
    own.wipe()


def containers_of(engine, app, service):
    return sorted(
        (c for c in Engine(engine.endpoint).containers(app.project) if c["Names"][0].startswith(f"/{service}-")),
        key=lambda c: c["Names"],
    )


def kill_process(engine, container):
    """As the kernel would, not by the engine: that would keep it stopped."""
    os.kill(Engine(engine.endpoint).inspect(container)["State"]["Pid"], signal.SIGKILL)


def is_running_again(engine, container):
    state = Engine(engine.endpoint).inspect(container)
    return state["State"]["Running"] and state["RestartCount"] >= 1


def test_visitors_do_not_notice_that_switchyard_is_away(own_engine, switchyard, haproxy, tmp_path, run, is_long):
    daemon = switchyard(engine=own_engine.endpoint, roles="api,reconcile,build",
                        options=["--network-pool", free_pool()]).start()  # fmt: skip
    app = App(daemon, Cli(f"unix:{daemon.socket}", tmp_path), tmp_path / "app", run)
    room = {"pids": 4096}
    app.spec(web={"replicas": 3, "resources": room}, live={"resources": room})
    app.cli("up", "-e", "production").expect(0)
    edge = daemon.edge.endpoint
    first, second, _ = containers_of(own_engine, app, "web")
    with ExitStack() as stack:
        web = stack.enter_context(Ledger(edge, app.host(), tmp_path, **PER_SECOND))
        live = stack.enter_context(Ledger(edge, app.host(name="live"), tmp_path, ws=10, sse=6))
        web.wait_for(300)
        daemon.kill()
        away_since = time.monotonic()
        with web.during("crash"):
            kill_process(own_engine, first)
            wait_until(lambda: is_running_again(own_engine, first), 30, "the engine has started it again")
            web.wait_for(300)
        with web.during("no engine"), live.during("no engine"):
            own_engine.end()
            web.wait_for(300)
            own_engine.start()
        with web.during("removal"):
            Engine(own_engine.endpoint).remove(second)
            web.wait_for(300)
        left = AWAY_SECONDS[is_long] - (time.monotonic() - away_since)
        with web.during("away"):
            web.wait_for(int(max(left, 1) * sum(PER_SECOND.values())), seconds=left + 60)
        with web.during("return"):
            daemon.start()
            since = time.monotonic()
            # 3 rows of 3 containers, and the plan says that nothing is left to do.
            wait_until(lambda: has_converged(own_engine, app), 10, "it has converged")
            took = time.monotonic() - since
            web.wait_for(100)
    print(f"\naway for {since - away_since:.0f} s, converged {took:.1f} s after the return")
    web.check(at_least=1000)
    live.check(at_least=100)
    assert not live.ended(), f"connections that last were ended: {live.ended()}"


def has_converged(engine, app):
    status = app.status("production")
    return status["status"] == "running" and len(containers_of(engine, app, "web")) == 3
