"""A disk that is full or that fails: nothing is acknowledged that is not kept, it is said with figures, what needs no disk goes on,
and everything goes on by itself when there is room again."""

import errno
import hashlib
import http.client
import os
import random
import subprocess
import threading
import time
from pathlib import Path

import pytest
from harness.app import App
from harness.cli import Cli
from harness.daemon import Daemon, environment
from harness.fault import CALLS, Faults
from harness.history import ACKNOWLEDGED, UNKNOWN, History, Operation, send, violations
from harness.load import Load
from harness.process import BUILD, SANITIZER_REPORT, wait_until
from harness.tables import Tables

GONE = (OSError, http.client.HTTPException)
LOG_WRITER = BUILD / "tests/unit/logs/log_writer"


def project(word):
    body = {"name": word, "slug": word, "description": f"about {word} " + "x" * 500}
    return Operation("project", word, "POST", "/v1/projects", body, body["description"], key=f"key-{word}")


def projects_in(daemon):
    return Tables(daemon.store_url).rows("SELECT 'project', name, id, description FROM projects WHERE name LIKE 'w%'")


# --- full -----------------------------------------------------------------------------------------------------------------------


class SmallDisk:
    """The daemon's data folder on a tmpfs of its own."""

    def __init__(self, daemon, megabytes):
        self.folder = daemon.data
        self.filler = self.folder / "filler"
        self.folder.mkdir(mode=0o700)
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0700", "tmpfs", str(self.folder)],
            capture_output=True, text=True,
        )  # fmt: skip
        if done.returncode != 0:
            pytest.skip(f"a tmpfs cannot be mounted here: {done.stderr.strip()}")

    def fill(self):
        with open(self.filler, "ab", buffering=0) as file:
            for size in (1 << 20, 1 << 12):
                try:
                    while True:
                        file.write(bytes(size))
                except OSError as error:
                    assert error.errno == errno.ENOSPC, error

    def empty(self):
        self.filler.unlink()

    def unmount(self):
        subprocess.run(["umount", "-l", str(self.folder)], check=True)


@pytest.fixture
def on_small_disk():
    """A function that gives a daemon whose data and database are on a disk of so many megabytes."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    made = []

    def make(megabytes, **options):
        daemon = Daemon(options=["--disk-reserve", "1Mi"], **options)
        daemon.store_url = f"sqlite:{daemon.data}/store.db"
        disk = SmallDisk(daemon, megabytes)
        made.append((daemon, disk))
        return daemon.start(), disk

    yield make
    for daemon, disk in made:
        disk.filler.unlink(missing_ok=True)
        try:
            daemon.stop()
            if daemon.has_engine:
                assert daemon.teardown().returncode == 0
        finally:
            disk.unmount()
            daemon.engine = "unix:/nonexistent/docker.sock"
            daemon.close()


class Writers:
    def __init__(self, daemon):
        self.client = daemon.client
        self.history = History()
        self.stopped = threading.Event()
        self.problems = []
        self.threads = [threading.Thread(target=self._run, args=(number,)) for number in range(4)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stopped.set()
        for thread in self.threads:
            thread.join()

    def _run(self, number):
        count = 0
        while not self.stopped.wait(0.005):
            operation = self.history.invoke(project(f"w{number}n{count}"))
            count += 1
            reply = send(self.client, operation)
            if reply.status >= 500:
                self.problems.append(reply)

    def acknowledged(self):
        return len(self.history.by(ACKNOWLEDGED))


@pytest.mark.api
def test_full_disk_is_said_and_survived(on_small_disk, is_long):
    daemon, disk = on_small_disk(24)
    with Writers(daemon) as writers:
        for _ in range(20 if is_long else 2):
            seen, said = writers.acknowledged(), len(writers.problems)
            wait_until(lambda: writers.acknowledged() > seen + 20, 30, "writes are served")
            disk.fill()
            wait_until(lambda: len(writers.problems) > said + 8, 30, "writes are refused")
            daemon.client.get("/v1/projects?limit=5").expect(200)
            health = wait_until(
                lambda: (h := daemon.client.get("/health").json)["components"]["disk"]["status"] == "degraded" and h, 10,
                "health says that the disk is full",
            )  # fmt: skip
            assert "MiB" in health["components"]["disk"]["detail"] and health["components"]["database"]["status"] == "healthy"
            full = writers.acknowledged()
            disk.empty()
            begin = time.monotonic()
            wait_until(lambda: writers.acknowledged() > full + 4, 10, "writes go on by themselves")
            print(f"{full} acknowledged, {len(writers.problems)} refused, on again after {time.monotonic() - begin:.2f} s")
    for reply in writers.problems:
        problem = reply.expect_problem(503, "DISK_FULL")
        assert "MiB are free" in problem["detail"] and reply.headers["Retry-After"], str(reply)
    assert not violations(writers.history.operations, projects_in(daemon))
    daemon.stop()
    daemon.start()
    assert not violations(writers.history.operations, projects_in(daemon))


@pytest.mark.api
def test_upload_to_a_full_disk(on_small_disk):
    daemon, disk = on_small_disk(24)
    daemon.client.post("/v1/projects", {"name": "Up", "slug": "upload"}).expect(201)
    service = daemon.client.post("/v1/projects/upload/services", {"name": "web", "port": 80}).expect(201).json["id"]
    body = random.Random(1).randbytes(30 << 20)
    path = f"/v1/services/{service}/sources/{hashlib.sha256(body).hexdigest()}"
    try:
        problem = daemon.client.put(path, body).expect_problem(503, "DISK_FULL")
        assert "MiB" in problem["detail"], problem
    except GONE:
        pass  # it answers in the middle of the upload; a client that does not listen then sees a break
    wait_until(lambda: not list(daemon.data.glob("sources/incoming/*")), 10, "the part that came is gone")

    def is_refused():
        disk.fill()  # again: the system may still be freeing what the upload had
        reply = daemon.client.put(path, b"")
        return reply.status == 503 and reply

    wait_until(is_refused, 10, "an upload is refused at its first byte").expect_problem(503, "DISK_FULL")
    disk.empty()
    small = b"x" * 100_000
    daemon.client.put(f"/v1/services/{service}/sources/{hashlib.sha256(small).hexdigest()}", small).expect(200)


@pytest.mark.engine
def test_apps_go_on_with_a_full_disk(on_small_disk, engine, haproxy, tmp_path, run):
    daemon, disk = on_small_disk(48, engine=engine, roles="api,reconcile,build")
    app = App(daemon, Cli(f"unix:{daemon.socket}", tmp_path), tmp_path / "app", run)
    app.cli("up").expect(0)
    app.cli("deploy").expect(0)
    restart = f"/v1/services/{app.service()['id']}/restart"
    with Load(daemon.edge.endpoint, app.host()) as load:
        load.wait_for(20)
        disk.fill()
        load.wait_for(60)
        refused = daemon.client.post(restart, {"environment_name": "production"})
        if refused.status != 201:
            refused.expect_problem(503, "DISK_FULL")
        app.text("/log/while-full")
        app.status("production")
        load.wait_for(60)
        disk.empty()
        made = wait_until(
            lambda: (r := daemon.client.post(restart, {"environment_name": "production"})).status == 201 and r.json["id"], 20,
            "deploys are taken again",
        )  # fmt: skip
        wait_until(lambda: daemon.client.get(f"/v1/deployments/{made}").json["status"] == "running", 60, "it is deployed")
        load.wait_for(20)
    assert not load.report.failures, load.report.failures[:5]


# --- failing --------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def faulty(tmp_path):
    """A daemon with the shim in it; a failure that is not armed changes nothing."""
    daemon = Daemon()
    daemon.store_url = f"sqlite:{daemon.data}/store.db"
    with Faults(tmp_path / "faults", daemon.data) as faults:
        daemon.variables = faults.variables
        yield daemon, faults
        faults.disarm()
        daemon.variables = {}
        if daemon.process is None or daemon.process.poll() is not None:
            daemon.start()
        daemon.close()


@pytest.mark.api
def test_failed_fsync_of_the_database_is_the_end_of_the_process(faulty):
    daemon, faults = faulty
    daemon.start()
    history = History()
    for number in range(5):
        assert send(daemon.client, history.invoke(project(f"word{number}"))).status == 201
    faults.arm_now("sync")
    # Nothing may be acknowledged from here on; what is at work may be kept or not.
    for number in range(5, 9):
        try:
            send(daemon.client, history.invoke(project(f"word{number}")))
        except GONE:
            break
    assert faults.n_injected > 0 and len(history.by(ACKNOWLEDGED)) == 5, [one.said for one in history.operations]
    assert daemon.process.wait(15) == 1, "it must end by itself, so that it is started again"
    daemon.check_reports()
    assert [record for record in daemon.records() if record["event"] == "switchyard.store_lost"], daemon.last_words()
    faults.disarm()
    daemon.start()
    assert not violations(history.operations, projects_in(daemon))
    for operation in [one for one in history.operations if one.outcome == UNKNOWN]:
        send(daemon.client, operation)
    assert not violations(history.operations, projects_in(daemon)) and not history.by(UNKNOWN)


@pytest.mark.api
@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC])
def test_failed_writes_of_the_database_are_told_and_survived(faulty, code):
    daemon, faults = faulty
    daemon.start()
    history = History()
    send(daemon.client, history.invoke(project("word0")))
    faults.arm_now("write", code)
    for number in range(1, 4):
        reply = send(daemon.client, history.invoke(project(f"word{number}")))
        reply.expect_problem(503, "DISK_FULL") if code == errno.ENOSPC else reply.expect_problem(500, "STORE_FAILED")
    daemon.client.get("/v1/projects").expect(200)
    faults.disarm()
    assert send(daemon.client, history.invoke(project("word9"))).status == 201
    daemon.stop()
    daemon.start()
    assert not violations(history.operations, projects_in(daemon))
    assert len(history.by(ACKNOWLEDGED)) == 2


class Story:
    """What a daemon does with files in its life: start, writes, an upload, a clean end."""

    SOURCE = b"y" * 50_000

    def __init__(self, daemon):
        self.daemon = daemon
        self.history = History()
        self.uploaded = False
        self.surprises = []

    def run(self):
        """True when it started."""
        daemon = self.daemon
        daemon.spawn()
        wait_until(self._is_up_or_gone, 30, f"it starts or ends: {daemon.last_words()}")
        if daemon.process.poll() is None:
            try:
                self._ask()
            except GONE:
                pass
            self._end()
        daemon.check_reports()
        code = daemon.process.returncode
        if code not in (0, 1, 10):
            self.surprises.append(f"ended with {code}")
        if code != 0 and not daemon.stderr().strip():
            self.surprises.append(f"ended with {code} and without a word")

    def _is_up_or_gone(self):
        if self.daemon.process.poll() is not None:
            return True
        try:
            return self.daemon.stdout().strip() and self.daemon.client.get("/health/live").status == 200
        except OSError:
            return False

    def _ask(self):
        for number in range(3):
            self._send(project(f"word{number}"))
        reply = self.daemon.client.post("/v1/projects/word0/services", {"name": "web", "port": 80})
        if reply.status != 201:
            return
        path = f"/v1/services/{reply.json['id']}/sources/{hashlib.sha256(self.SOURCE).hexdigest()}"
        self.uploaded = self.daemon.client.put(path, self.SOURCE).status == 200 and path
        self._send(project("word3"))

    def _send(self, operation):
        reply = send(self.daemon.client, self.history.invoke(operation))
        if reply.status not in (201, 500, 503):
            self.surprises.append(str(reply))

    def _end(self):
        if self.daemon.process.poll() is None:
            self.daemon.process.terminate()
        self.daemon.process.wait(30)

    def check(self):
        """On a healthy disk again."""
        daemon = self.daemon
        daemon.start()
        found = violations(self.history.operations, projects_in(daemon))
        if self.uploaded:
            daemon.client.get(self.uploaded).expect(200)
            files = [file for file in (daemon.data / "sources").rglob("*") if file.is_file()]
            assert [file.read_bytes() for file in files] == [self.SOURCE]
        daemon.stop()
        assert not found and not self.surprises, f"{found} {self.surprises}: {daemon.last_words()}"


CODES = {"write": (errno.ENOSPC, errno.EIO), "ftruncate": (errno.ENOSPC,), "open": (errno.EMFILE,), "mkdir": (errno.ENOSPC,)}


def one_story(folder, call, at, code):
    """A daemon of its own whose n-th call fails; what is wrong with that, or None."""
    daemon = Daemon()
    daemon.store_url = f"sqlite:{daemon.data}/store.db"
    try:
        with Faults(folder / "faults", daemon.data) as faults:
            daemon.variables = faults.variables
            if call is not None:
                faults.arm(call, at, code)
            story = Story(daemon)
            story.run()
            counts = faults.counts
            faults.disarm()
        daemon.variables = {}
        story.check()
        daemon.close()
        return counts, story
    except AssertionError as complaint:
        if daemon.process is not None and daemon.process.poll() is None:
            daemon.process.kill()
            daemon.process.wait()
        raise AssertionError(f"{call} number {at} fails with {errno.errorcode.get(code)}: {complaint}") from complaint


@pytest.mark.api
def test_every_failing_call_of_store_and_upload_is_survived(tmp_path, is_long):
    counts, story = one_story(tmp_path, None, 0, 0)
    assert len(story.history.by(ACKNOWLEDGED)) == 4 and story.uploaded, "the story does not even work on a good disk"
    assert counts["fdatasync"] + counts["fsync"] > 5 and counts["write"] > 10, counts
    trials = [
        (call, at, code) for call in CALLS for at in range(1, counts[call] + 1) for code in CODES.get(call, (errno.EIO,))
    ]
    if not is_long:
        seed = random.SystemRandom().randrange(1 << 32)
        trials = random.Random(seed).sample(trials, 14)
    for trial in trials:
        one_story(tmp_path, *trial)
    print(f"{len(trials)} failures survived; calls of one life: {counts}")


def write_logs(faults, folder, *arguments):
    done = subprocess.run(
        [str(LOG_WRITER), str(folder), *arguments], capture_output=True, text=True, timeout=60,
        env=environment(**(faults.variables if faults else {})),
    )  # fmt: skip
    assert not SANITIZER_REPORT.search(done.stderr) and done.returncode in (0, 1), f"{done.returncode}: {done.stderr[-3000:]}"
    return done


@pytest.mark.api
def test_every_failing_call_of_the_log_store_is_survived(tmp_path, is_long):
    if not LOG_WRITER.exists():
        pytest.skip(f"{LOG_WRITER.relative_to(BUILD)} was not built")
    lines = 80  # four segments
    trials = []
    with Faults(tmp_path / "faults", tmp_path / "logs-good") as faults:
        taken = write_logs(faults, tmp_path / "logs-good", "write", str(lines)).stdout.split()
        assert len(taken) == lines and len(list((tmp_path / "logs-good").rglob("*.*"))) >= 3
        counts = faults.counts
    for call in CALLS:
        for at in range(1, counts[call] + 1):
            trials += [(call, at, code) for code in CODES.get(call, (errno.EIO,))]
    if not is_long:
        trials = random.SystemRandom().sample(trials, min(25, len(trials)))
    for number, (call, at, code) in enumerate(trials):
        folder = tmp_path / f"logs-{number}"
        with Faults(tmp_path / "faults", folder) as faults:
            faults.arm(call, at, code)
            taken = write_logs(faults, folder, "write", str(lines)).stdout.split()
        kept = [line.split()[0] for line in write_logs(None, folder, "read").stdout.splitlines()]
        lost = set(taken) - set(kept)
        name = f"{call} number {at} fails with {errno.errorcode[code]}"
        assert not lost, f"{name}: taken and lost: {sorted(lost, key=int)}"
        assert len(kept) == len(set(kept)), f"{name}: kept twice"
    print(f"{len(trials)} failures survived; calls of one run: {counts}")


@pytest.mark.api
def test_the_shim_itself(tmp_path):
    """It counts, it fails what it is told to, and nothing else."""
    file = tmp_path / "in" / "file"
    file.parent.mkdir()
    with Faults(tmp_path / "faults", file.parent) as faults:
        script = (
            "import os, sys\n"
            "fd = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT)\n"
            "for _ in range(3):\n"
            "    try: print(os.write(fd, b'x'))\n"
            "    except OSError as error: print(error.errno)\n"
            "os.fsync(fd); os.close(fd)\n"
        )
        faults.arm("write", 2, errno.ENOSPC)
        program = "/usr/bin/python3" if Path("/usr/bin/python3").exists() else "python3"
        done = subprocess.run(
            [program, "-c", script, str(file)], capture_output=True, text=True,
            # The program is Python itself, whose leaks at its end are not ours: the shim is what is tried here.
            env=environment(ASAN_OPTIONS="detect_leaks=0", **faults.variables),
        )  # fmt: skip
        assert done.stdout.split() == ["1", str(errno.ENOSPC), "1"], done.stdout + done.stderr
        assert faults.counts["write"] == 3 and faults.counts["fsync"] == 1 and faults.n_injected == 1
