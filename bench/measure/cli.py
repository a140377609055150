"""P10: the command line's own speed."""

import statistics
import subprocess
import tempfile

from harness.cli import Cli
from harness.daemon import Daemon

from .common import BUILD, FLOOR, Row, elapsed_ms, percentile


def times(command, environment, count=200):
    def once():
        subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, check=True)  # fmt: skip

    once()
    return [elapsed_ms(once) for _ in range(count)]


def start_up():
    daemon = Daemon().start()
    with tempfile.TemporaryDirectory() as home:
        cli = Cli(f"unix:{daemon.socket}", home)
        daemon.client.post("/v1/projects", {"name": "Bench", "slug": "bench"}).expect(201)
        environment = cli.environment()
        try:
            bare = times([str(FLOOR), "nothing"], environment)
            version = times([str(BUILD / "enclii"), "version"], environment)
            ps = times([str(BUILD / "enclii"), "ps", "--project", "bench"], environment)
        finally:
            daemon.close()
    size = (BUILD / "enclii").resolve().stat().st_size / 2**20
    floor, words = statistics.median(bare), "exec of a program that does nothing"
    return [
        Row("P10", "enclii version, p50 (with fork and exec from Python)", "ms", percentile(version, 0.5), "2", floor, words),
        Row("P10", "enclii version, p99", "ms", percentile(version, 0.99), "5", percentile(bare, 0.99), words),
        Row("P10", "enclii ps over the socket, p50", "ms", percentile(ps, 0.5), "≤ 5", floor, words),
        Row("P10", "size of enclii, with debugging symbols", "MiB", size, "≤ 5"),
    ]
