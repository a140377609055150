"""Load with a ledger: tests/load, run beside a test; what became of every request, told per operation.

    with Ledger(edge, host, folder, keep=100, post=30, ws=6) as ledger:
        ledger.wait_for(300)
        with ledger.during("deploy"):
            …
    ledger.check()
"""

import json
import signal
import subprocess
import time
from collections import Counter, defaultdict
from contextlib import contextmanager

from .process import BUILD, SANITIZER_REPORT

ENDS = ("ws-end", "sse-end")  # of connections that last, by the server's will
TIMED = ("keep", "new", "post", "h2")  # answered at once: what a pause would show in


class Ledger:
    def __init__(self, edge_endpoint, host, folder, slow_ms=10000, upload_kib=10240, **rates):
        self.file = folder / f"ledger-{host}-{time.monotonic_ns()}"
        self.errors = self.file.with_suffix(".err")
        self.command = [
            str(BUILD / "load-ledger"), "--port", edge_endpoint.rstrip("/").rsplit(":", 1)[1], "--host", host,
            "--ledger", str(self.file), "--slow-ms", str(slow_ms), "--upload-kib", str(upload_kib),
            *(f"{kind}={rate}" for kind, rate in rates.items()),
        ]  # fmt: skip
        self.marks = []  # (what, begin_us, end_us)
        self.entries = None
        self.seen = 0
        self.at = 0

    def __enter__(self):
        with open(self.errors, "wb") as err:
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=err)
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(60)
        finally:
            self.process.kill()
            self.process.wait()
        words = self.errors.read_text(errors="replace")
        assert code == 0 and not SANITIZER_REPORT.search(words), f"load-ledger ended with {code}: {words[:4000]}"
        with open(self.file) as lines:
            self.entries = [json.loads(line) for line in lines]

    # --- while it runs ----------------------------------------------------------------------------------------

    def answered(self):
        if self.file.exists():
            with open(self.file, "rb") as file:
                file.seek(self.at)
                new = file.read()
            self.at += len(new)
            self.seen += new.count(b"\n")
        return self.seen

    def wait_for(self, more, seconds=60):
        """Until so many more requests are in the ledger."""
        goal = self.answered() + more
        end = time.monotonic() + seconds
        while self.answered() < goal and time.monotonic() < end and self.process.poll() is None:
            time.sleep(0.05)
        assert self.seen >= goal, f"only {self.seen} of {goal} requests within {seconds} s"

    @contextmanager
    def during(self, what):
        begin = time.monotonic_ns() // 1000
        yield
        self.marks.append((what, begin, time.monotonic_ns() // 1000))

    # --- afterwards -------------------------------------------------------------------------------------------

    def lost(self):
        return [entry for entry in self.entries if entry["failure"] and entry["kind"] not in ENDS]

    def ended(self):
        """Lasting connections that the server closed: Counter of "ws-end neat", "ws-end cut", …"""
        ends = [entry for entry in self.entries if entry["kind"] in ENDS]
        return Counter(f"{entry['kind']} {'cut' if entry['failure'] else 'neat'}" for entry in ends)

    def phases(self):
        """{what: entries under way during it}; "nothing": all others."""
        found = defaultdict(list)
        for entry in self.entries:
            names = {what for what, begin, end in self.marks if entry["due_us"] <= end and entry["done_us"] >= begin}
            for name in names or {"nothing"}:
                found[name].append(entry)
        return found

    def report(self):
        """A table: how many, what was lost, how long the quick ones took."""
        kinds = Counter(entry["kind"] for entry in self.entries)
        again = sum(entry["tries"] > 1 for entry in self.entries)
        lines = [
            f"{len(self.entries)} entries {dict(kinds)}; {len(self.lost())} lost; {again} sent again;"
            f" ended by the server {dict(self.ended())}",
            f"{'during':12}{'requests':>9}{'lost':>6}{'reset':>6}{'5xx':>5}{'p50 ms':>9}{'p99 ms':>9}{'max ms':>9}",
        ]
        for name, entries in self.phases().items():
            times = sorted((e["done_us"] - e["due_us"]) / 1000 for e in entries if e["kind"] in TIMED) or [0.0]
            failed = [e for e in entries if e["failure"] and e["kind"] not in ENDS]
            fifth = sum(e["status"] >= 500 for e in failed)
            reset = sum("answer: " in e["failure"] for e in failed)
            p50, p99 = (times[min(int(share * len(times)), len(times) - 1)] for share in (0.5, 0.99))
            lines.append(f"{name:12}{len(entries):9}{len(failed):6}{reset:6}{fifth:5}{p50:9.1f}{p99:9.1f}{times[-1]:9.1f}")
        return "\n".join(lines)

    def why(self, limit=12):
        """Each failure in words, with what went on."""
        lines = []
        for entry in self.lost()[:limit]:
            going = {what for what, begin, end in self.marks if entry["due_us"] <= end and entry["done_us"] >= begin}
            took = (entry["done_us"] - entry["sent_us"]) / 1000
            lines.append(
                f"  {entry['kind']} {entry['id']} after {took:.1f} ms, tries {entry['tries']},"
                f" during {', '.join(going) or 'nothing'}: {entry['failure']}"
            )
        return "\n".join(lines)

    def check(self, at_least=1, cuts=0):
        """Nothing lost; of connections that last, at most `cuts` ended without a good-bye."""
        print("\n" + self.report())
        cut = sum(count for what, count in self.ended().items() if what.endswith("cut"))
        assert not self.lost(), f"{len(self.lost())} lost:\n{self.why()}\n{self.report()}"
        assert cut <= cuts, f"{cut} lasting connections were cut: {self.ended()}\n{self.report()}"
        assert len(self.entries) >= at_least, self.report()
