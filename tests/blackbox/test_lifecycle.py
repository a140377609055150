"""Starting, stopping, configuration: what an operator meets first."""

import json
import os
import signal
import socket
import stat
import subprocess

import pytest
from harness.daemon import environment, http_url
from harness.process import BUILD, wait_until

pytestmark = pytest.mark.api


def run_switchyard(*arguments, **variables):
    return subprocess.run(
        [str(BUILD / "switchyard"), *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
        env=environment(**variables),
    )  # fmt: skip


def test_ready_line_and_endpoints_file(switchyard):
    daemon = switchyard().start()
    assert len(daemon.stdout().strip().splitlines()) == 1, daemon.stdout()
    assert daemon.endpoints["socket"].removeprefix("unix:") == str(daemon.socket)
    assert not http_url(daemon.endpoints["api"]).endswith(":0")


def test_what_a_crash_left_of_replaced_files_goes_at_the_start(switchyard):
    daemon = switchyard().start()
    daemon.stop()
    (daemon.data / "edge").mkdir(exist_ok=True)
    left = [daemon.data / "holder.0a1b2c3d.tmp", daemon.data / "edge" / "haproxy.cfg.ffffffff.tmp"]
    others = [daemon.data / "notes.tmp", daemon.data / "backup.tar"]
    for path in left + others:
        path.write_text("half of")
    daemon.start()
    assert not [path for path in left if path.exists()]
    assert all(path.read_text() == "half of" for path in others)


def test_stops_at_once_and_leaves_no_socket_open(switchyard):
    daemon = switchyard().start()
    daemon.stop()
    with pytest.raises(OSError):
        daemon.client.get("/health/live")


def test_started_again_it_knows_what_it_knew(switchyard, run):
    daemon = switchyard().start()
    token = daemon.client.post("/v1/user/tokens", {"name": run, "scopes": ["read"]}).expect(201).json["token"]
    daemon.client.post("/v1/projects", {"name": "Kept", "slug": run}).expect(201)
    daemon.stop()
    daemon.start()
    assert daemon.client.get(f"/v1/projects/{run}").expect(200).json["name"] == "Kept"
    daemon.over_tcp(token).get("/v1/projects").expect(200)


def is_refused(host, port):
    try:
        socket.create_connection((host, port), 5).close()
        return False
    except ConnectionRefusedError:
        return True


def test_running_requests_are_finished_on_sigterm(switchyard, run):
    """One whose head has arrived is answered, although its body comes after the signal."""
    daemon = switchyard().start()
    token = daemon.client.post("/v1/user/tokens", {"name": run, "scopes": ["admin"]}).expect(201).json["token"]
    host, port = daemon.over_tcp().endpoint.removeprefix("http://").split(":")
    body = b'{"name":"Late","slug":"%s"}' % run.encode()
    head = f"POST /v1/projects HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n"
    with socket.create_connection((host, int(port)), 10) as connection:
        connection.sendall(f"{head}Content-Length: {len(body)}\r\nExpect: 100-continue\r\n\r\n".encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 100 ")
        daemon.process.send_signal(signal.SIGTERM)
        wait_until(lambda: is_refused(host, int(port)), 20, "nobody new is let in")
        connection.sendall(body)
        received = connection.recv(200)
    assert received.startswith(b"HTTP/1.1 201 "), received
    daemon.stop()
    daemon.start()
    assert daemon.client.get(f"/v1/projects/{run}").expect(200).json["name"] == "Late"


def test_one_data_folder_has_one_owner(switchyard):
    first = switchyard().start()
    second = switchyard()
    second.data = first.data
    second.store_url = first.store_url
    second.socket = second.folder / "other"
    process = subprocess.run(
        second.arguments(), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, env=environment()
    )
    assert process.returncode != 0
    assert str(first.data) in process.stderr + process.stdout
    assert first.client.get("/health/ready").status == 200


def test_taken_port_names_its_holder(switchyard):
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        daemon = switchyard(options=["--listen", f"127.0.0.1:{port}"])
        process = daemon.spawn().process
        assert process.wait(30) != 0
    said = daemon.last_words()
    assert str(port) in said and str(os.getpid()) in said, said
    daemon.process = None  # it was to fail


def test_secrets_on_disk_are_for_the_owner_only(switchyard):
    daemon = switchyard().start()
    for path in daemon.folder.rglob("*"):
        mode = path.lstat().st_mode
        if stat.S_ISREG(mode) and path.is_relative_to(daemon.data):
            assert not mode & 0o007, f"{path} is open to others: {oct(mode)}"


def test_config_prints_values_and_where_they_came_from(tmp_path):
    file = tmp_path / "switchyard.conf"
    file.write_text("base_domain = example.test\n")
    done = run_switchyard("config", "--config", str(file), "--listen", "127.0.0.1:0", ENCLII_ROLES="api")
    assert done.returncode == 0, done.stderr
    for value, source in (("example.test", str(file)), ("127.0.0.1:0", "--listen"), ("api", "ENCLII_ROLES")):
        lines = [line for line in done.stdout.splitlines() if value in line and source in line]
        assert lines, f"no line with {value} and {source}:\n{done.stdout}"


def test_unknown_option_names_the_nearest(tmp_path):
    done = run_switchyard("--data-dri", str(tmp_path))
    assert done.returncode == 10, done.stderr
    assert "--data-dir" in done.stderr


def test_unknown_key_in_the_file_is_refused_with_its_line(tmp_path):
    file = tmp_path / "switchyard.conf"
    file.write_text("# a comment\nbase_domian = example.test\n")
    done = run_switchyard("config", "--config", str(file))
    assert done.returncode == 10, done.stdout
    assert f"{file}:2" in done.stderr and "base_domain" in done.stderr, done.stderr


@pytest.mark.parametrize(
    ("key", "value", "rule"),
    [
        ("listen", "127.0.0.1:70000", "0..65535"),  # getaddrinfo would have made 4464 of it
        ("edge_http", "8080", "HOST:PORT"),
        ("edge_trusted_proxies", "10.0.0.0/8, proxy.example.test", "10.0.0.0/8 or fd00::/8"),
        ("network_pool", "10.0.0.0/30", "/8 to /24"),
        ("public_url", "apps.example.com", "https://"),
        ("roles", "api,builder", "reconcile"),
        ("workers", "many", "1..256"),
    ],
)
def test_bad_value_in_the_file_is_refused_with_its_line_and_rule(tmp_path, key, value, rule):
    file = tmp_path / "switchyard.conf"
    file.write_text(f"# a comment\n{key} = {value}\n")
    done = run_switchyard("config", "--config", str(file))
    assert done.returncode == 10, done.stdout
    assert f"{file}:2: {key}: " in done.stderr and rule in done.stderr, done.stderr


def test_migrations_go_down_and_up(store, store_url, switchyard):
    daemon = switchyard(store_url())
    base = ["--data-dir", str(daemon.data), "--store", daemon.store_url]
    for verb in ("up", "status", "down", "status", "up"):
        done = run_switchyard("migrate", verb, *base)
        assert done.returncode == 0, f"migrate {verb}: {done.stderr}"
    daemon.start()
    daemon.client.get("/v1/projects").expect(200)


def test_api_stays_up_without_an_engine(switchyard):
    daemon = switchyard(roles="api,build").start()
    health = wait_until(
        lambda: (h := daemon.over_tcp().get("/health").json)["status"] == "degraded" and h, 10, "health says degraded"
    )
    assert health["components"]["engine"]["status"] != "healthy"
    daemon.client.get("/v1/projects").expect(200)


def test_log_lines_are_json_and_carry_the_request_id(switchyard):
    daemon = switchyard().start()
    daemon.client.get("/v1/projects/none", X_Request_Id="find-me-42")
    daemon.stop()
    lines = [line for line in daemon.stderr().splitlines() if line]
    records = [json.loads(line) for line in lines]
    assert all({"time", "level", "event"} <= set(record) for record in records)
    assert [record for record in records if record.get("request_id") == "find-me-42"]
