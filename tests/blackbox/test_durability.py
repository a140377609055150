"""kill -9 at any moment: what was acknowledged is there afterwards, and it is ready again at once."""

import http.client
import random
import threading
import time

import pytest
from harness.daemon import Daemon

pytestmark = pytest.mark.api

SHORT, LONG = 5, 1000


class Writer(threading.Thread):
    """Creates projects as fast as it can and remembers what was acknowledged."""

    def __init__(self, client, prefix):
        super().__init__()
        self.client = client
        self.prefix = prefix
        self.acknowledged = []
        self.surprises = []

    def run(self):
        for number in range(1_000_000):
            slug = f"{self.prefix}-{number}"
            try:
                reply = self.client.post("/v1/projects", {"name": "Kept", "slug": slug})
            except (OSError, http.client.HTTPException):
                return
            if reply.status == 201:
                self.acknowledged.append(slug)
            elif reply.status != 503:
                self.surprises.append(str(reply))


def test_no_acknowledged_write_is_lost(store, store_url, is_long):
    seed = random.SystemRandom().randrange(1 << 32)
    chance = random.Random(seed)
    daemon = Daemon(store_url())
    total = 0
    slowest = 0.0
    for cycle in range(LONG if is_long else SHORT):
        start = time.monotonic()
        daemon.start()
        slowest = max(slowest, time.monotonic() - start)
        writers = [Writer(daemon.client, f"c{cycle}w{number}") for number in range(4)]
        for writer in writers:
            writer.start()
        # The moment is the experiment: it is not waited for anything.
        time.sleep(chance.uniform(0.02, 0.6))
        daemon.kill()
        for writer in writers:
            writer.join()
            assert not writer.surprises, f"seed {seed}: {writer.surprises[:3]}"
        daemon.start()
        for writer in writers:
            for slug in writer.acknowledged:
                daemon.client.get(f"/v1/projects/{slug}").expect(200)
            total += len(writer.acknowledged)
        daemon.stop()
    assert total > 0, "nothing was written: the test tested nothing"
    daemon.start()
    daemon.close()
    print(f"{total} acknowledged writes, slowest start {slowest:.2f} s, seed {seed}")
