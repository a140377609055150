"""P4, P5, P6, P7: what changes something."""

import json
import statistics
import subprocess
import tempfile
import threading
import time
from pathlib import Path

from harness.app import App
from harness.cli import Cli
from harness.client import Client
from harness.daemon import Daemon

from .common import Row, elapsed_ms, floor, load, median_of, percentile

CLIENTS = 16


class Place:
    """An installation with an engine and one deployed service."""

    def __init__(self, engine, store=None):
        self.folder = tempfile.TemporaryDirectory(prefix="bench-")
        self.daemon = Daemon(store, engine=engine, roles="api,reconcile,build").start()
        self.cli = Cli(f"unix:{self.daemon.socket}", self.folder.name)
        self.app = App(self.daemon, self.cli, Path(self.folder.name) / "app", "bench")

    def __enter__(self):
        self.app.cli("up").expect(0)
        return self

    def __exit__(self, *_):
        self.daemon.close()
        self.folder.cleanup()


# --- P4 --------------------------------------------------------------------------------------------------------------


def acknowledged(engine, store_url, words, aim, floor_us, floor_what):
    """Sixteen clients, each its own service; nothing acts on what they ask for (role api only)."""
    with Place(engine, store_url) as place:
        client, app = place.daemon.client, place.app
        app.spec(**{f"s{n}": {"replicas": 0} for n in range(CLIENTS)})
        app.cli("up").expect(0)
        services = client.get("/v1/projects/bench/services").json["services"]
        releases = {s["id"]: client.get(f"/v1/services/{s['id']}/releases").json["releases"][0]["id"] for s in services[:CLIENTS]}
        place.daemon.stop()
        place.daemon.roles = "api"
        place.daemon.start()
        runs = []
        for _ in range(3):
            runs.append(deploy_run(place, releases, None))
        steady = deploy_run(place, releases, 200)
        place.daemon.stop()
        place.daemon.roles = "api,reconcile,build"
        place.daemon.start()
    peak = statistics.median(run["per_second"] for run in runs)
    what = f"POST …/deploy acknowledged, {words}"
    return [
        Row("P4", f"{what}, p50 at 200/s", "ms", steady["p50_ms"], "2", floor_us / 1000, floor_what),
        Row("P4", f"{what}, p99 at 200/s", "ms", steady["p99_ms"], "10", floor_us / 1000, floor_what),
        Row("P4", f"{what}, {CLIENTS} clients", "/s", peak, aim, 1e6 / floor_us, f"{floor_what}, one by one"),
    ]


def deploy_run(place, releases, rate):
    """The body names a release of its service: one bench-load over a file of targets and bodies."""
    with tempfile.NamedTemporaryFile("w", suffix=".targets") as targets:
        for service, release in releases.items():
            body = json.dumps({"release_id": release, "environment_name": "production", "replicas": 0})
            targets.write(f"/v1/services/{service}/deploy\t{body}\n")
        targets.flush()
        return load(f"unix:{place.daemon.socket}", method="POST", paths=targets.name, rate=rate, connections=CLIENTS, seconds=4)


def acknowledged_sqlite(engine):
    with tempfile.TemporaryDirectory() as folder:
        commit_us = median_of(3, lambda: floor("commit", Path(folder) / "x.db", 500))
    return acknowledged(engine, None, "SQLite", "≥ 500", commit_us, "one SQLite commit")


def acknowledged_postgresql(engine, server):
    script = "INSERT INTO floor VALUES (1);\n"
    url = server.new_database()
    server.query(url.rpartition("/")[2], "CREATE TABLE floor (a int)")
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as file:
        file.write(script)
        file.flush()
        done = subprocess.run(
            [f"{server.programs}/pgbench", "-n", "-c", "1", "-T", "3", "-f", file.name, url],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
    per_second = float(next(line for line in done.stdout.splitlines() if line.startswith("tps")).split()[2])
    return acknowledged(engine, url, "PostgreSQL", "≥ 1,000", 1e6 / per_second, "one PostgreSQL commit")


# --- P5 --------------------------------------------------------------------------------------------------------------


def engine_start_ms(engine, pattern):
    """The engine's own time: create and start over its socket of a container that is configured as ours is (`pattern`, what the
    engine tells of it), but for its name, its labels, its address and its restart policy."""
    client = Client(engine, timeout=60)
    name = f"bench-floor-{time.monotonic_ns()}"
    body = {
        **{key: pattern["Config"][key] for key in ("Image", "Cmd", "Entrypoint", "Env", "User", "WorkingDir", "StopSignal") if key in pattern["Config"]},
        "HostConfig": {**pattern["HostConfig"], "RestartPolicy": {"Name": "no"}},
        "NetworkingConfig": {"EndpointsConfig": {network: {} for network in pattern["NetworkSettings"]["Networks"]}},
    }  # fmt: skip

    def start():
        made = client.post(f"/containers/create?name={name}", body).expect(201).json
        client.post(f"/containers/{made['Id']}/start").expect(204)

    taken = elapsed_ms(start)
    client.delete(f"/containers/{name}?force=1")
    return taken


def pattern_of(engine, project):
    """What the engine tells of the one container that the project has."""
    client = Client(engine, timeout=60)
    (container,) = (c for c in client.get("/containers/json").expect(200).json if any(f"web-{project}-" in n for n in c["Names"]))
    return client.get(f"/containers/{container['Id']}/json").expect(200).json


def wait_for_end(client, deployment):
    while True:
        state = client.get(f"/v1/deployments/{deployment}").expect(200).json
        if state["status"] not in ("pending", "deploying"):
            assert state["status"] == "running", state
            return
        time.sleep(0.005)


def routed(engine, times=20):
    with Place(engine) as place:
        client, service = place.daemon.client, place.app.service()
        pattern = pattern_of(engine, "bench")
        bare = [engine_start_ms(engine, pattern) for _ in range(5)]
        taken, routed_ms = [], []
        for _ in range(times):
            begin = time.perf_counter()
            made = client.post(
                f"/v1/services/{service['id']}/restart", {"environment_name": "preview"}
            ).expect(201).json  # fmt: skip
            wait_for_routed(client, made["id"])
            routed_ms.append((time.perf_counter() - begin) * 1000)
            wait_for_end(client, made["id"])
            taken.append((time.perf_counter() - begin) * 1000)
            bare.append(engine_start_ms(engine, pattern))
    engine_ms = statistics.median(bare)
    words = "engine's create and start of the same"
    return [
        Row("P5", "image present → healthy and routed, p50", "ms", percentile(routed_ms, 0.5), "800", engine_ms, words),
        Row("P5", "image present → healthy and routed, p99", "ms", percentile(routed_ms, 0.99), "2,000", engine_ms, words),
        Row("P5", "our share: p50 less the engine's own time", "ms", percentile(routed_ms, 0.5) - engine_ms, "≤ 20"),
        Row("P5", "… → old instance drained and deployment finished, p50", "ms", percentile(taken, 0.5), "", engine_ms, words),
    ]


def wait_for_routed(client, deployment):
    for _, kind, _ in client.events(f"/v1/events?deployment={deployment}&after=0"):
        if kind in ("instance.routed", "deployment.running", "deployment.failed"):
            assert kind != "deployment.failed", "the deployment failed"
            return


# --- P6 --------------------------------------------------------------------------------------------------------------


def build_ms(engine, folder, *options):
    docker = "/usr/bin/docker"
    command = [docker, "-H", engine.replace("unix:", "unix://", 1), "build", "-q", *options, "."]
    return elapsed_ms(
        lambda: subprocess.run(
            command, cwd=folder, check=True, capture_output=True, env={"DOCKER_BUILDKIT": "1", "PATH": "/usr/bin:/bin", "HOME": folder}
        )
    )  # fmt: skip


def up(engine):
    with Place(engine) as place:
        app = place.app
        cold = 0.0
        unchanged = [elapsed_ms(lambda: app.cli("up").expect(0)) for _ in range(5)]
        changed, bare_changed = [], []
        for n in range(5):
            app.set_version(f"v{n}")
            bare_changed.append(build_ms(engine, str(app.folder)))
            app.set_version(f"v{n}-ours")
            changed.append(elapsed_ms(lambda: app.cli("up").expect(0)))
        bare_same = [build_ms(engine, str(app.folder)) for _ in range(5)]
        fresh = App(place.daemon, place.cli, Path(place.folder.name) / "fresh", "fresh")
        fresh.set_version("cold")
        bare_cold = build_ms(engine, str(fresh.folder), "--no-cache")
        fresh.set_version("cold too")
        cold = elapsed_ms(lambda: fresh.cli("up").expect(0))
    median = statistics.median
    return [
        Row("P6", "enclii up, nothing changed", "ms", median(unchanged), "≤ 1,000", median(bare_same), "BuildKit, nothing changed"),
        Row("P6", "enclii up, source changed", "ms", median(changed), "BuildKit + 3,000", median(bare_changed), "BuildKit alone"),
        Row("P6", "enclii up, first time", "ms", cold, "BuildKit + 5,000", bare_cold, "BuildKit alone, no cache"),
    ]


# --- P7 --------------------------------------------------------------------------------------------------------------


def followed(engine, lines=100):
    """From the request that makes the service print a line to the line at the end of `enclii logs -f`."""
    with Place(engine) as place:
        follower = place.app.cli.spawn("logs", "-f", "web", "-e", "preview", "-n", "0", "-o", "json")
        seen, arrived = {}, threading.Event()

        def read():
            for line in follower.stdout:
                text = json.loads(line)["text"]
                if text.startswith("bench-"):
                    seen[text] = time.perf_counter()
                    arrived.set()

        reader = threading.Thread(target=read)
        reader.start()
        end = time.monotonic() + 20
        while not arrived.is_set() and time.monotonic() < end:  # until it follows
            place.app.ask("/log/bench-warm", "preview")
            arrived.wait(0.2)
        taken = []
        for n in range(lines):
            begin = time.perf_counter()
            place.app.ask(f"/log/bench-{n}", "preview").expect(200)
            while f"bench-{n}" not in seen:
                assert time.perf_counter() - begin < 10, f"line {n} did not come"
                time.sleep(0.0002)
            taken.append((seen[f"bench-{n}"] - begin) * 1000)
        follower.kill()
        follower.wait()
        reader.join()
        alone = [elapsed_ms(lambda: place.app.ask("/", "preview").expect(200)) for _ in range(50)]
    bare = statistics.median(alone)
    return [
        Row("P7", "line written → seen by enclii logs -f, p50", "ms", percentile(taken, 0.5), "2", bare, "the request alone, through the edge"),
        Row("P7", "line written → seen by enclii logs -f, p99", "ms", percentile(taken, 0.99), "25", bare, "the request alone, through the edge"),
    ]


FLOOD = 300_000  # lines of 100 bytes


def ingested(engine):
    """A service prints as fast as its engine takes it, until the last line can be read. What is missing then must be told."""
    with Place(engine) as place:
        app = place.app
        path = f"/v1/services/{app.service()['id']}/logs?environment=preview"
        container = pattern_of(engine, app.project)["Id"]
        end = f"flood-{FLOOD - 1:010d}"

        def lines(n):
            client = Client(f"unix:{place.daemon.socket}", timeout=120)
            return [line["text"] for line in client.get(f"{path}&lines={n}").expect(200).json["logs"]]

        def flood():
            begin = time.perf_counter()
            app.ask(f"/flood/{FLOOD}", "preview").expect(200)
            while not any(text.startswith(end) for text in lines(2)):
                assert time.perf_counter() - begin < 60, f"the last line did not come: {lines(5)}"
                time.sleep(0.002)
            return FLOOD / (time.perf_counter() - begin)

        rate = flood()
        stored = sum(text.startswith("flood-") for text in lines(0))
        raw = Client(engine, timeout=120)
        read_s = elapsed_ms(lambda: raw.get(f"/containers/{container}/logs?stdout=1&timestamps=1&tail={FLOOD}")) / 1000
    return [
        Row("P7", "lines of 100 bytes: printed, taken in and readable", "/s", rate, "≥ 50,000", FLOOD / read_s, "the engine's log, only read"),
        Row("P7", f"… of {FLOOD:,} lines, kept", "", stored, "all, or told"),
    ]
