"""The ledger notices what is lost: against a server that answers as it should, or does not."""

import socket
import struct
import threading
from itertools import count

import pytest
from harness.ledger import Ledger

pytestmark = pytest.mark.api

GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nversion x\n"


class BadServer:
    """Each connection gets the next of these answers to each of its requests, then the end that belongs to it."""

    def __init__(self, *answers):
        self.answers = answers
        self.numbers = count()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.endpoint = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.thread = threading.Thread(target=self.run)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.listener.close()

    def run(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection:
                answer = self.answers[next(self.numbers) % len(self.answers)]
                if connection.recv(65536) and answer != "reset":
                    connection.sendall(answer)
                if answer == "reset":
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def run(tmp_path, server, **rates):
    with Ledger(server.endpoint, "x.localhost", tmp_path, **rates) as ledger:
        ledger.wait_for(40)
    return ledger


def test_every_way_of_losing_is_told(tmp_path):
    other = GOOD.replace(b"version", b"verslon")
    fifth = GOOD.replace(b"200 OK", b"502 Bad")
    with BadServer(GOOD, fifth, b"", GOOD[:-4], "reset", other, b"nonsense\r\n\r\n") as server:
        ledger = run(tmp_path, server, new=60)
    told = " ".join({entry["failure"] for entry in ledger.lost()})
    for words in ("status 502", "no answer: closed", "short answer", "Connection reset", "body is", "not HTTP"):
        assert words in told, f"{words} is not in: {told}"
    assert len(ledger.lost()) >= len(ledger.entries) * 5 // 7 - 7, ledger.report()
    with pytest.raises(AssertionError):
        ledger.check()


def test_connection_closed_between_requests_is_no_loss(tmp_path):
    """One answer a connection, without saying that it is the last."""
    with BadServer(GOOD) as server:
        ledger = run(tmp_path, server, keep=40)
    ledger.check()


def test_post_on_a_connection_that_ends_is_lost(tmp_path):
    with BadServer(b"") as server:
        ledger = run(tmp_path, server, post=40)
    assert len(ledger.lost()) == len(ledger.entries)


def test_nobody_there_is_told(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with Ledger(f"http://127.0.0.1:{port}", "x.localhost", tmp_path, new=40, h2=40) as ledger:
        ledger.wait_for(40)
    assert len(ledger.lost()) == len(ledger.entries)
    assert all("refused" in entry["failure"] for entry in ledger.lost()), ledger.why()
