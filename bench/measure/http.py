"""P1, P2: requests that read."""

import tempfile
from pathlib import Path

from harness.daemon import Daemon

from .common import Row, cpu_per_100k, floor, floor_server, load, median_of, pin, split_cpus

RUNS = 3


def three(key, **options):
    """Three runs; the one whose figure is the median."""
    runs = sorted((load(**options) for _ in range(RUNS)), key=lambda report: report[key])
    return runs[RUNS // 2]


def target_of(daemon):
    return daemon.over_tcp().endpoint.removeprefix("http://")


def cpu_of(target, pid, **options):
    """At the same load, and each at its own full speed. There the slower of two servers pays more for each reply: the load
    generator sleeps between them and has to be woken, which the kernel counts as the server's time."""
    return {
        "10,000/s": median_of(RUNS, lambda: cpu_per_100k(target, pid, rate=10_000, connections=32, **options)),
        "30,000/s": median_of(RUNS, lambda: cpu_per_100k(target, pid, rate=30_000, connections=32, **options)),
        "full speed": median_of(RUNS, lambda: cpu_per_100k(target, pid, connections=64, **options)),
    }


def health():
    daemon = Daemon().start()
    try:
        pin(daemon.process.pid, split_cpus()[0])
        target, body = target_of(daemon), daemon.client.get("/health").body
        steady = three("p99_ms", target=target, path="/health", rate=10_000, connections=32)
        peak = three("per_second", target=target, path="/health", connections=64)
        cpu = cpu_of(target, daemon.process.pid, path="/health")
        with floor_server(len(body)) as (bare, pid):
            bare_steady = three("p99_ms", target=bare, rate=10_000, connections=32)
            bare_peak = three("per_second", target=bare, connections=64)
            bare_cpu = cpu_of(bare, pid)
    finally:
        daemon.close()
    bare_words = "bare epoll server"
    return [
        Row("P1", "GET /health, p50 at 10,000/s", "ms", steady["p50_ms"], "0.15", bare_steady["p50_ms"], bare_words),
        Row("P1", "GET /health, p99 at 10,000/s", "ms", steady["p99_ms"], "1", bare_steady["p99_ms"], bare_words),
        Row("P1", "GET /health, at full speed", "/s", peak["per_second"], "≥ 60,000", bare_peak["per_second"], bare_words),
        *(Row("P1", f"GET /health, CPU per 100,000 at {rate}", "s", cpu[rate], "≤ 1.3 × bare", bare_cpu[rate], bare_words)
          for rate in cpu),
    ]  # fmt: skip


def projects_on(daemon, words, aim):
    client = daemon.client
    load(f"unix:{daemon.socket}", method="POST", path="/v1/projects", body='{"name":"Bench {n}","slug":"bench-{n}"}',
         connections=32, seconds=1.5)  # fmt: skip
    # The list is counted as it is: at least a thousand, whatever the second and a half made.
    token = client.post("/v1/user/tokens", {"name": "bench", "scopes": ["read"]}).expect(201).json["token"]
    path, headers = "/v1/projects?limit=20", [f"Authorization: Bearer {token}"]
    body = daemon.over_tcp(token).get(path).expect(200)
    assert len(body.json["projects"]) == 20 and body.json["next_cursor"], "fewer than twenty projects"
    count = len(client.get("/v1/projects").json["projects"])
    assert count >= 1000, f"only {count} projects were made"
    pin(daemon.process.pid, split_cpus()[0])
    target = target_of(daemon)
    steady = three("p99_ms", target=target, path=path, headers=headers, rate=5_000, connections=32)
    peak = three("per_second", target=target, path=path, headers=headers, connections=64)
    with floor_server(len(body.body)) as (bare, _):
        bare_steady = three("p99_ms", target=bare, rate=5_000, connections=32)
        bare_peak = three("per_second", target=bare, connections=64)
    what = f"GET /v1/projects, 20 of {count // 1000},000 and more, API token, {words}"
    return [
        Row("P2", f"{what}, p50 at 5,000/s", "ms", steady["p50_ms"], "0.3", bare_steady["p50_ms"], "bare epoll server"),
        Row("P2", f"{what}, p99 at 5,000/s", "ms", steady["p99_ms"], "2", bare_steady["p99_ms"], "bare epoll server"),
        Row("P2", f"{what}, at full speed", "/s", peak["per_second"], aim, bare_peak["per_second"], "bare epoll server"),
    ]


def projects_sqlite():
    daemon = Daemon().start()
    try:
        rows = projects_on(daemon, "SQLite", "≥ 25,000")
    finally:
        daemon.close()
    with tempfile.TemporaryDirectory() as folder:
        microseconds = median_of(RUNS, lambda: floor("read", Path(folder) / "x.db", 20, 20_000))
    rows.append(Row("P2", "20 rows from SQLite by a prepared statement", "µs", microseconds, ""))
    return rows


def projects_postgresql(server):
    daemon = Daemon(server.new_database()).start()
    try:
        return projects_on(daemon, "PostgreSQL", "≥ 8,000")
    finally:
        daemon.close()


