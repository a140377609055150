"""switchyard confined: everything works as before, and less is possible. docs/adr/0010-confinement.md says why."""

import ctypes
import hashlib
import io
import os
import re
import socket
import stat
import sys
import tarfile
import threading

import pytest
from harness.app import App
from harness.cli import Cli
from harness.daemon import Daemon
from harness.process import processes_naming, wait_until

KERNEL_CALL = 444  # landlock_create_ruleset, on every architecture


def landlock_version():
    return ctypes.CDLL(None, use_errno=True).syscall(KERNEL_CALL, None, 0, 1)


needs_landlock = pytest.mark.skipif(landlock_version() < 2, reason="this kernel has no Landlock that can be used")

# Stands for a kernel without Landlock: a filter that answers ENOSYS, then the program itself.
WITHOUT_LANDLOCK = f"""
import ctypes, os, struct, sys
code = [(0x20, 0, 0, 0), (0x15, 0, 1, {KERNEL_CALL}), (0x06, 0, 0, 0x00050000 | 38), (0x06, 0, 0, 0x7FFF0000)]
program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in code))
class Filter(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("code", ctypes.c_void_p)]
libc = ctypes.CDLL(None, use_errno=True)
libc.prctl(38, 1, 0, 0, 0)
assert libc.prctl(22, 2, ctypes.byref(Filter(len(code), ctypes.addressof(program)))) == 0
os.execv(sys.argv[1], sys.argv[1:])
"""


class OldKernelDaemon(Daemon):
    def arguments(self):
        return [sys.executable, "-c", WITHOUT_LANDLOCK, *super().arguments()]


def status_of(pid):
    """The fields of /proc/PID/status."""
    with open(f"/proc/{pid}/status") as file:
        return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)


def threads_of(pid):
    return [f"{pid}/task/{task}" for task in os.listdir(f"/proc/{pid}/task")]


def finding(daemon, check):
    report = daemon.client.get("/v1/system/doctor").expect(200).json
    return next(found for found in report["findings"] if found["check"] == check)


def upload(daemon, project):
    """The reply to the upload of an empty archive as a new service's source."""
    daemon.client.post("/v1/projects", {"name": project, "slug": project}).expect(201)
    service = daemon.client.post(f"/v1/projects/{project}/services", {"name": "web", "port": 8080}).expect(201).json
    archive = io.BytesIO()
    tarfile.open(fileobj=archive, mode="w").close()
    body = archive.getvalue()
    path = f"/v1/services/{service['id']}/sources/{hashlib.sha256(body).hexdigest()}"
    return daemon.client.put(path, body, {"Content-Type": "application/x-tar"})


# --- without an engine ------------------------------------------------------------------------------------------------


@pytest.mark.api
@needs_landlock
def test_every_thread_is_confined(switchyard):
    daemon = switchyard(options=["--confinement", "on"]).start()
    for thread in threads_of(daemon.process.pid):
        status = status_of(thread)
        assert (status["Seccomp"], status["NoNewPrivs"]) == ("2", "1"), (thread, status["Name"])
    assert finding(daemon, "confinement")["status"] == "ok"
    (record,) = [record for record in daemon.records() if record["event"] == "switchyard.confined"]
    assert (record["landlock"], record["seccomp"], record["level"]) == ("on", "on", "info")


@pytest.mark.api
@needs_landlock
def test_link_planted_in_the_data_folder_leads_nowhere(switchyard, tmp_path, run):
    for how, expected in (("on", range(500, 600)), ("off", range(200, 300))):
        outside = tmp_path / how
        outside.mkdir()
        daemon = switchyard(options=["--confinement", how]).start()
        (daemon.data / "sources").symlink_to(outside)
        reply = upload(daemon, run)
        written = [path for path in outside.rglob("*") if path.is_file()]
        assert reply.status in expected, (how, reply.status, reply.body)
        assert bool(written) == (how == "off"), (how, written)


@pytest.mark.api
def test_switched_off_it_is_off_and_doctor_says_so(switchyard):
    daemon = switchyard(options=["--confinement", "off"]).start()
    assert status_of(daemon.process.pid)["Seccomp"] == "0"
    assert finding(daemon, "confinement")["status"] == "warning"


@pytest.mark.api
def test_on_refuses_to_start_where_something_is_missing():
    daemon = OldKernelDaemon(options=["--confinement", "on"])
    process = daemon.spawn().process
    assert process.wait(30) != 0
    assert "Landlock" in daemon.last_words() and "confinement = auto" in daemon.last_words()
    assert not daemon.socket.exists()
    daemon.process = None
    daemon.close()


@pytest.mark.api
def test_auto_takes_what_there_is_and_says_what_is_missing():
    daemon = OldKernelDaemon().start()
    try:
        found = finding(daemon, "confinement")
        assert found["status"] == "warning" and "Landlock does not hold, seccomp holds" in found["detail"], found
        assert status_of(daemon.process.pid)["Seccomp"] == "2"
        (record,) = [record for record in daemon.records() if record["event"] == "switchyard.confined"]
        assert record["level"] == "warn" and "Landlock" in record["missing"], record
    finally:
        daemon.close()


@pytest.mark.api
def test_unknown_word_is_refused(switchyard):
    daemon = switchyard(options=["--confinement", "maybe"])
    assert daemon.spawn().process.wait(30) == 10
    assert "auto, on or off" in daemon.last_words()
    daemon.process = None


@pytest.mark.api
def test_no_core_file_and_no_look_into_its_memory(switchyard):
    daemon = switchyard().start()
    with open(f"/proc/{daemon.process.pid}/limits") as limits:
        assert re.search(r"Max core file size\s+0\s+0", limits.read())
    # What cannot be dumped belongs to root in /proc, whoever runs it, and to no other user.
    assert os.stat(f"/proc/{daemon.process.pid}/mem").st_uid == 0


# --- the whole --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def confined(engine, haproxy):
    daemon = Daemon(engine=engine, roles="api,reconcile,build", options=["--confinement", "on", "--allow-private-git", "true"])
    daemon.store_url = f"sqlite:{daemon.data}/enclii.db"
    daemon.start()
    yield daemon
    daemon.close()


def edge_processes(daemon):
    """(master, worker) of its HAProxy."""
    master = int((daemon.data / "edge/haproxy.pid").read_text())
    (worker,) = [pid for pid, _ in processes_naming(str(daemon.data / "edge/master.sock")) if pid != master]
    return master, worker


OPEN_ON_PURPOSE = {"edge/jail": 0o710}  # of root and the group of HAProxy's workers, who may pass and not look


def check_modes(data):
    """Everything is for the owner only; returns the names."""
    seen = set()
    for path in data.rglob("*"):
        facts = path.lstat()
        if stat.S_ISLNK(facts.st_mode):
            continue
        name = str(path.relative_to(data))
        mode = stat.S_IMODE(facts.st_mode)
        seen.add(name)
        assert mode & 0o077 == 0 or OPEN_ON_PURPOSE.get(name) == mode, f"{name} has mode {mode:o}"
    assert stat.S_IMODE(data.stat().st_mode) == 0o700
    return seen


@pytest.mark.engine
@needs_landlock
def test_up_deploy_rollback_under_confinement(confined, tmp_path, run):
    app = App(confined, Cli(f"unix:{confined.socket}", tmp_path), tmp_path / "app", run)
    app.cli("up").expect(0)
    app.cli("deploy").expect(0)
    assert (app.version("preview"), app.version()) == ("one", "one")
    app.set_version("two")
    app.cli("deploy").expect(0)
    assert app.version() == "two"
    app.cli("rollback").expect(0)
    assert app.version() == "one"
    app.cli("env", "set", "--secret", "PASSWORD", "-e", "production", input="x" * 20).expect(0)
    wait_until(lambda: "version two listens" in app.cli("logs", "web", "-e", "production").stdout, 20, "there are logs")

    master, worker = edge_processes(confined)
    for pid in (confined.process.pid, master, worker):
        status = status_of(pid)
        assert (status["Seccomp"], status["NoNewPrivs"]) == ("2", "1"), status["Name"]
    if os.geteuid() == 0:
        assert status_of(worker)["Uid"].split()[0] != "0", "HAProxy's worker is root"
        assert set(status_of(worker)["CapEff"]) == {"0"}
        assert os.readlink(f"/proc/{worker}/root") == str(confined.data / "edge/jail")
    assert finding(confined, "build limits")["status"] == "ok" or os.geteuid() != 0
    names = check_modes(confined.data)
    expected = {
        "master.key", "endpoints.json", "lock", "holder", "installation", "enclii.db", "enclii.db-wal", "sources", "builds",
        "logs", "edge/haproxy.cfg", "edge/access.log", "edge/master.sock", "edge/stats.sock", "edge/jail/late",
    }  # fmt: skip
    assert expected <= names, expected - names
    assert stat.S_IMODE(confined.socket.stat().st_mode) == 0o660


@pytest.mark.engine
@needs_landlock
def test_git_starts_and_reaches_the_network_under_confinement(confined, run):
    # A server that ends the handshake: git, its libraries and its certificates were found, and it got there.
    called = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer():
            connection, _ = listener.accept()
            with connection:
                called.append(connection.recv(16))

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        confined.client.post("/v1/projects", {"name": run, "slug": run}).expect(201)
        described = {"name": "web", "port": 8080, "git_repo": f"https://127.0.0.1:{listener.getsockname()[1]}/x.git"}
        service = confined.client.post(f"/v1/projects/{run}/services", described).expect(201).json
        release = confined.client.post(f"/v1/services/{service['id']}/build", {"git_branch": "main"}).expect(201).json
        path = f"/v1/releases/{release['id']}"
        done = wait_until(lambda: (r := confined.client.get(path).json)["status"] == "failed" and r, 60, "it failed")
        thread.join(10)
    assert called and called[0][:1] == b"\x16", f"no TLS handshake arrived: {called}, {done}"
    assert "ermission denied" not in str(done), done


@pytest.mark.engine
@needs_landlock
def test_edge_of_an_earlier_process_is_taken_over_and_mended(confined, tmp_path, run):
    # A confined process may not look into those of an earlier one: it must still find, reload and replace their HAProxy.
    app = App(confined, Cli(f"unix:{confined.socket}", tmp_path), tmp_path / "app", run)
    app.cli("deploy").expect(0)
    before, _ = edge_processes(confined)
    confined.stop()
    confined.start()
    assert edge_processes(confined)[0] == before
    wait_until(lambda: app.ask().status == 200, 30, "it answers")
    os.kill(before, 9)

    def is_replaced():
        try:
            return int((confined.data / "edge/haproxy.pid").read_text()) != before and app.ask().status == 200
        except (OSError, ValueError):  # none serves, for a moment
            return False

    wait_until(is_replaced, 60, "a new one serves")
    assert app.version() == "one"
