"""P8, P11, P12: with ten thousand services."""

import sqlite3
import statistics
import time
import uuid

from harness.daemon import Daemon
from harness.process import wait_until

from .common import Row, cpu_seconds, elapsed_ms, resident_mib

SERVICES = 10_000
STREAMS = 1_000


def seed(path, count):
    """Copies the one service, pair, release and deployment there is, `count` times: what the API made, with ids of its own."""
    database = sqlite3.connect(path)
    database.row_factory = sqlite3.Row

    def only(table, condition="TRUE"):
        return dict(database.execute(f"SELECT * FROM {table} WHERE {condition} LIMIT 1").fetchone())

    def insert(table, row):
        names = ", ".join(row)
        database.execute(f"INSERT INTO {table} ({names}) VALUES ({', '.join('?' * len(row))})", list(row.values()))

    service, pair, release = only("services"), only("pairs", "desired_deployment_id IS NOT NULL"), only("releases")
    deployment = only("deployments", f"id = '{pair['desired_deployment_id']}'")
    with database:
        for n in range(count):
            ids = {name: str(uuid.uuid4()) for name in ("service_id", "pair_id", "release_id", "deployment_id")}
            insert("services", {**service, "id": ids["service_id"], "name": f"copy-{n}"})
            insert("releases", {**release, "id": ids["release_id"], "service_id": ids["service_id"]})
            insert("pairs", {
                **pair, "id": ids["pair_id"], "service_id": ids["service_id"], "host": f"copy-{n}.localhost",
                "desired_deployment_id": ids["deployment_id"], "serving_deployment_id": ids["deployment_id"],
            })  # fmt: skip
            insert("deployments", {
                **deployment, "id": ids["deployment_id"], "service_id": ids["service_id"], "pair_id": ids["pair_id"],
                "release_id": ids["release_id"],
            })  # fmt: skip
    database.close()


def scan_floor_ms(path):
    """Reading the ids and revisions of all pairs with a bare SQLite connection, and hashing them."""
    database = sqlite3.connect(path)
    times = []
    for _ in range(5):
        times.append(elapsed_ms(lambda: hash(tuple(database.execute("SELECT id, revision FROM pairs ORDER BY id")))))
    database.close()
    return statistics.median(times)


def metric(client, name):
    for line in client.get("/metrics").expect(200).body.decode().splitlines():
        if line.startswith(f"enclii_{name} "):
            return float(line.split()[1])
    raise RuntimeError(f"no metric {name}")


def start_ms(daemon):
    """From exec to readiness as /health/ready says it, asked without pause."""
    begin = time.perf_counter()
    daemon.spawn()
    while True:
        try:
            if daemon.client.get("/health/ready").status == 200:
                return (time.perf_counter() - begin) * 1000
        except OSError:
            pass
        assert daemon.process.poll() is None, daemon.last_words()
        assert time.perf_counter() - begin < 60, daemon.last_words()


def settle(daemon):
    """Until everything has been looked at and two resyncs have found nothing to do."""

    def is_quiet():
        before = (metric(daemon.client, "reconcile_passes_total"), metric(daemon.client, "reconcile_resyncs_total"))
        wait_until(lambda: metric(daemon.client, "reconcile_resyncs_total") >= before[1] + 2, 60, "two resyncs")
        return metric(daemon.client, "reconcile_passes_total") == before[0] and metric(daemon.client, "reconcile_queue_length") == 0

    wait_until(is_quiet, 300, "a resync finds nothing to do")


def quiet_resync(daemon, count=5):
    """(milliseconds, passes, writes) of resyncs that find everything as it is to be."""
    seen = []
    before = (metric(daemon.client, "reconcile_passes_total"), metric(daemon.client, "store_writes_total"))
    resyncs = metric(daemon.client, "reconcile_resyncs_total")
    while len(seen) < count:
        wait_until(lambda: metric(daemon.client, "reconcile_resyncs_total") > resyncs, 60, "a resync")
        resyncs = metric(daemon.client, "reconcile_resyncs_total")
        seen.append(metric(daemon.client, "reconcile_resync_seconds") * 1000)
    after = (metric(daemon.client, "reconcile_passes_total"), metric(daemon.client, "store_writes_total"))
    return statistics.median(seen), after[0] - before[0], after[1] - before[1]


def open_streams(daemon, count):
    connections = []
    for _ in range(count):
        connection = daemon.client.connection()
        connection.request("GET", "/v1/events", headers={"Accept": "text/event-stream"})
        assert connection.getresponse().status == 200
        connections.append(connection)
    return connections


def ten_thousand(engine, place_type):
    rows = []
    idle = Daemon(engine=engine, roles="api,reconcile,build", options=["--resync", "2s"]).start()
    try:
        time.sleep(2)
        rows.append(Row("P11", "switchyard, idle", "MiB", resident_mib(idle.process.pid), "≤ 20"))
    finally:
        idle.close()
    with place_type(engine) as place:
        daemon = place.daemon
        place.app.cli("scale", "web=0", "-e", "preview").expect(0)
        daemon.stop()
        path = daemon.store_url.removeprefix("sqlite:")
        seed(path, SERVICES)
        floor = scan_floor_ms(path)
        daemon.options = ["--resync", "2s"]
        starts = []
        for _ in range(3):
            starts.append(start_ms(daemon))
            daemon.stop()
        empty = Daemon(engine=engine, roles="api,reconcile,build")
        try:
            bare_start = start_ms(empty)
        finally:
            empty.close()
        daemon.start()
        settle(daemon)
        resync_ms, passes, writes = quiet_resync(daemon)
        before, begin = cpu_seconds(daemon.process.pid), time.monotonic()
        time.sleep(10)
        idle_cpu = (cpu_seconds(daemon.process.pid) - before) / (time.monotonic() - begin) * 100
        streams = open_streams(daemon, STREAMS)
        memory = resident_mib(daemon.process.pid)
        for connection in streams:
            connection.close()
        remove_copies(daemon, path)
    return rows + [
        Row("P8", f"no-op resync of {SERVICES:,} services", "ms", resync_ms, "≤ 100", floor, "bare scan and hash"),
        Row("P8", "… closer looks in five resyncs", "", passes, "0"),
        Row("P8", "… writes meanwhile (the lease's renewals)", "", writes, "0 by the resyncs"),
        Row("P8", "CPU while idle, a resync every 2 s (default: 30 s)", "%", idle_cpu, "< 1"),
        Row("P11", f"switchyard, {SERVICES:,} services and {STREAMS:,} open streams", "MiB", memory, "≤ 128"),
        Row("P12", f"start to ready, {SERVICES:,} services", "ms", statistics.median(starts), "≤ 50", bare_start, "the same without any, first start"),
    ]  # fmt: skip


def remove_copies(daemon, path):
    """The seeded rows go, so that the installation can be taken down as it was made."""
    daemon.stop()
    database = sqlite3.connect(path)
    with database:
        for table, condition in (
            ("deployments", "service_id IN (SELECT id FROM services WHERE name LIKE 'copy-%')"),
            ("pairs", "host LIKE 'copy-%'"),
            ("releases", "service_id IN (SELECT id FROM services WHERE name LIKE 'copy-%')"),
            ("services", "name LIKE 'copy-%'"),
        ):
            database.execute(f"DELETE FROM {table} WHERE {condition}")
    database.close()
    daemon.start()


