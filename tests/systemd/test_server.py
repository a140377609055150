"""A server as the how-to makes it: Debian 12 whose first process is systemd, its own docker.service, our units: `make systemd`.

It is a container that boots, in the engine that the other tests use. What is installed is what `make install` would (from the tree
ENCLII_TEST_BUILD), what is typed is what docs/how-to/bare-server-to-public-host.md says. The tests follow one another: the machine is
put to work, suffers, boots, and is left."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/blackbox"))

from harness.app import answer_binary  # noqa: E402
from harness.load import Load  # noqa: E402
from harness.process import BUILD  # noqa: E402

ENGINE = os.environ.get("ENCLII_TEST_ENGINE", "")
DOCKER = [shutil.which("docker", path="/usr/bin:/usr/local/bin"), "-H", "unix://" + ENGINE.removeprefix("unix:")]
NAME = "enclii-test-systemd"
IMAGE, VOLUME = f"{NAME}:1", f"{NAME}-docker"
HOST = "web-shop.apps.example.com"
PACKAGES = (
    "systemd systemd-sysv dbus iproute2 procps curl adduser ca-certificates haproxy git docker.io libglib2.0-0 libjansson4"
    " libmicrohttpd12 libsqlite3-0 libpq5 libcurl4 libssl3 libsodium23 libfyaml0 libarchive13"
)
SPEC = """project: shop
services:
  web: {build: ., port: 8080, replicas: 2, health: {path: /healthz, interval: 1s, grace: 20s}, resources: {pids: 4096}}
  files: {build: ., port: 8080, volumes: {data: /data}}
"""
DOCKERFILE = 'FROM scratch\nCOPY answer /answer\nCOPY version /version\nENTRYPOINT ["/answer"]\n'
HOW_TO = """
groupadd --system enclii
useradd --system --gid enclii --groups docker --home /var/lib/enclii --shell /usr/sbin/nologin enclii
install -d -m 0750 -o root -g enclii /etc/enclii
install -m 0640 -o root -g enclii /usr/local/share/doc/enclii/switchyard.conf.example /etc/enclii/switchyard.conf
printf 'base_domain = apps.example.com\\nedge_http = 0.0.0.0:80\\n' >> /etc/enclii/switchyard.conf
mkdir -p /etc/docker && echo '{"live-restore": true}' > /etc/docker/daemon.json && systemctl restart docker
systemctl daemon-reload
systemctl enable --now enclii-edge.path switchyard
"""
# A machine that may not raise limits cannot start units that ask for more than it has.
LIMITS = """
for unit in switchyard enclii-edge; do
    mkdir -p /etc/systemd/system/$unit.service.d
    printf '[Service]\\nLimitNOFILE=20000\\nOOMScoreAdjust=0\\n' > /etc/systemd/system/$unit.service.d/limits.conf
done
"""


CGROUPS = Path("/sys/fs/cgroup")


def hierarchies():
    """Controllers of cgroup v1 that are mounted somewhere: {name: number} (cgroups(7))."""
    rows = [line.split() for line in Path("/proc/cgroups").read_text().splitlines()[1:]]
    return {name: number for name, number, *_ in rows if number != "0"}


def cgroup_options():
    """What systemd may write to. On v1 the hierarchies one by one: of the folder that they are mounted in it would make its own."""
    if (CGROUPS / "cgroup.controllers").exists():
        return ["-v", f"{CGROUPS}:{CGROUPS}:rw"]
    mounted = [path for path in sorted(CGROUPS.iterdir()) if path.is_dir() and not path.is_symlink() and path.is_mount()]
    return ["--tmpfs", str(CGROUPS), *(word for path in mounted for word in ("-v", f"{path}:{path}:rw"))]


def give_back(before, folder):
    """On v1 systemd mounts what controllers nobody has; they stay with the kernel while cgroups of them are left, and an engine
    that finds some without a mount no longer tells of memory that ran out."""
    folder.mkdir(exist_ok=True)
    now = hierarchies()
    for number in {now[name] for name in now.keys() - before.keys()}:
        together = ",".join(name for name in now if now[name] == number)
        subprocess.run(["mount", "-t", "cgroup", "-o", together, "cgroup", str(folder)], check=False)
        for path in sorted(folder.glob("**/"), reverse=True):
            if path != folder:
                try:
                    path.rmdir()
                except OSError:
                    pass
        subprocess.run(["umount", str(folder)], check=False)


def docker(*arguments, check=True, **more):
    done = subprocess.run([*DOCKER, *arguments], capture_output=True, timeout=600, **more)
    text = (done.stdout + done.stderr).decode(errors="replace")
    assert done.returncode == 0 or not check, f"docker {' '.join(arguments[:3])}: {text[-3000:]}"
    return text


def capabilities():
    """Those that this process could give on; by name, without those that older engines do not know."""
    text = subprocess.run(["capsh", "--print"], capture_output=True, text=True, check=True).stdout
    bounding = next(line for line in text.splitlines() if line.startswith("Bounding set"))
    names = {name.removeprefix("cap_").upper() for name in bounding.split("=", 1)[1].split(",")}
    return sorted(names - {"SYS_MODULE", "SYS_BOOT", "SYS_TIME", "PERFMON", "BPF", "CHECKPOINT_RESTORE"})


class Server:
    def __init__(self, folder):
        self.folder = folder
        self.has_limits = "SYS_RESOURCE" in capabilities()

    def make(self):
        rootfs = BUILD / "systemd-rootfs.tar"
        if not rootfs.exists():
            partial = rootfs.with_suffix(".new.tar")
            command = ["mmdebstrap", "--variant=minbase", "--skip=chroot/mount", "--include=" + ",".join(PACKAGES.split())]
            subprocess.run([*command, "bookworm", str(partial)], check=True, capture_output=True, timeout=900)
            partial.rename(rootfs)
        docker("import", str(rootfs), IMAGE)
        docker(
            "run", "-d", "--name", NAME, *(word for name in capabilities() for word in ("--cap-add", name)),
            "--security-opt", "seccomp=unconfined", "--security-opt", "systempaths=unconfined", "--cgroupns=host",
            *cgroup_options(), "-v", f"{VOLUME}:/var/lib/docker", "-e", "container=docker",
            "--tmpfs", "/run", "--tmpfs", "/run/lock", "--tmpfs", "/tmp:exec", IMAGE, "/lib/systemd/systemd",
        )  # fmt: skip
        self.wait_for_boot()
        self.install()
        self.sh(("" if self.has_limits else LIMITS) + HOW_TO)

    def install(self):
        destination = self.folder / "install"
        command = ["meson", "install", "-C", str(BUILD), "--destdir", str(destination)]
        subprocess.run(command, check=True, capture_output=True, timeout=600)
        app = destination / "srv/app"
        app.mkdir(parents=True)
        (app / "answer").write_bytes(answer_binary())
        (app / "answer").chmod(0o755)
        (app / "Dockerfile").write_text(DOCKERFILE)
        (app / "enclii.yaml").write_text(SPEC)
        (app / "version").write_text("one\n")
        tar = subprocess.run(["tar", "c", "-C", str(destination), "."], check=True, capture_output=True).stdout
        docker("cp", "-", f"{NAME}:/", input=tar)

    def sh(self, script, check=True):
        return docker("exec", NAME, "bash", "-ec", script, check=check)

    def wait_for_boot(self):
        end = time.monotonic() + 90
        while (state := self.sh("systemctl is-system-running", check=False).strip()) not in ("running", "degraded"):
            assert time.monotonic() < end, f"systemd is {state}"
            time.sleep(0.5)
        assert state == "running", self.sh("systemctl --failed --no-pager")

    def boot(self):
        docker("restart", "-t", "60", NAME)
        self.wait_for_boot()

    def deploy(self, version):
        return self.sh(f"cd /srv/app && echo {version} > version && enclii deploy 2>&1")

    @property
    def edge(self):
        return "http://" + docker("inspect", "-f", "{{.NetworkSettings.IPAddress}}", NAME).strip() + ":80"

    def ask(self, host=HOST):
        return self.sh(f"curl -s -m 10 -H 'Host: {host}' http://127.0.0.1/")

    def states(self, *units):
        return self.sh(f"systemctl is-active {' '.join(units)}", check=False).split()

    def remove(self):
        docker("rm", "-f", NAME, check=False)
        docker("volume", "rm", VOLUME, check=False)
        docker("rmi", IMAGE, check=False)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    assert ENGINE, "ENCLII_TEST_ENGINE is not set (make systemd)"
    server = Server(tmp_path_factory.mktemp("systemd"))
    before = hierarchies()
    server.remove()
    try:
        server.make()
        yield server
    finally:
        server.remove()
        for turn in range(3):  # the kernel lets go a little later
            give_back(before, server.folder / "cgroup")
            time.sleep(1)
        assert hierarchies() == before, f"controllers of cgroups before {before}, after {hierarchies()}"


def test_units_start_and_a_deploy_is_served(server):
    assert server.states("docker", "switchyard", "enclii-edge") == ["active"] * 3, server.sh("systemctl status switchyard", False)
    output = server.deploy("one")
    assert "Live in" in output, output
    assert server.ask().split()[1] == "one" and server.ask("files-shop.apps.example.com").split()[1] == "one"
    findings = server.sh("enclii doctor")
    assert "error" not in findings and "HAProxy" in findings, findings
    owners = server.sh("stat -c '%U %a' /run/enclii/switchyard.sock /var/lib/enclii/master.key")
    assert owners.split() == ["enclii", "660", "enclii", "600"], owners


def test_nothing_is_lost_while_units_and_engine_are_restarted(server):
    with Load(server.edge, HOST, per_second=120, threads=8) as load:
        load.wait_for(50)
        server.deploy("two")
        for trouble in (
            "systemctl restart switchyard",
            "systemctl kill -s KILL switchyard",
            "systemctl reload enclii-edge",
            "systemctl restart docker",
        ):
            server.sh(trouble)
            load.wait_for(400)
            assert server.states("docker", "switchyard", "enclii-edge") == ["active"] * 3, trouble
        server.deploy("three")
        load.wait_for(50)
    assert not load.report.failures, f"{len(load.report.failures)} of {load.report.sent}: {load.report.failures[:5]}"
    print(f"{load.report.sent} requests, 0 failed")


def test_services_come_back_at_boot_without_switchyard(server):
    server.sh("systemctl disable --now switchyard")
    server.boot()
    assert server.states("switchyard", "enclii-edge") == ["inactive", "active"]
    end = time.monotonic() + 30
    while not server.ask().startswith("version three"):
        assert time.monotonic() < end, server.ask()
        time.sleep(0.5)
    assert server.ask("files-shop.apps.example.com").split()[1] == "three"
    server.sh("systemctl enable --now switchyard")
    assert "Live in" in server.deploy("four") and server.ask().split()[1] == "four"


def test_stop_leaves_visitors_alone_and_teardown_leaves_nothing(server):
    server.sh("systemctl stop switchyard")
    assert server.ask().split()[1] == "four"
    server.sh("switchyard teardown --config /etc/enclii/switchyard.conf --data-dir /var/lib/enclii --volumes")
    assert server.states("enclii-edge") == ["inactive"]
    assert server.sh("docker ps -aq; docker volume ls -q; docker network ls -q --filter label=dev.enclii.installation").split() == []
