"""What holds for every route: health, problems, ids, lists, tags, replays, the contract it publishes."""

import json
import re
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

pytestmark = pytest.mark.api

NOBODY = "01900000-0000-7000-8000-000000000000"
METHODS = ("get", "post", "put", "patch", "delete")


# --- health and metrics -------------------------------------------------------------------------------------------


def test_health_says_what_each_part_is(daemon):
    health = daemon.over_tcp().get("/health").json
    assert health["service"] == "switchyard"
    assert health["status"] in ("healthy", "degraded"), health
    assert health["components"]["database"]["status"] == "healthy", health
    assert health["components"]["database"]["latency_ms"] >= 0, health
    assert {"engine", "edge"} <= set(health["components"]), health
    assert health["version"]


def test_live_and_ready(daemon):
    public = daemon.over_tcp()
    assert public.get("/health/live").expect(200).json == {"status": "ok"}
    assert public.get("/health/ready").expect(200).json["status"] == "ready"


def test_metrics_are_prometheus_text(daemon):
    daemon.client.get("/v1/projects").expect(200)
    reply = daemon.over_tcp().get("/metrics").expect(200)
    assert reply.headers.get_content_type() == "text/plain"
    line = re.compile(r'(#.*|[a-zA-Z_:][\w:]*(\{(\w+="(\\.|[^"\\])*",?)*\})? [-+0-9.eEInfNa]+)')
    for text in reply.body.decode().splitlines():
        assert line.fullmatch(text), text
    assert re.search(r'_requests_total\{[^}]*/v1/projects[^}]*\} [1-9]', reply.body.decode())


# --- problems and ids ---------------------------------------------------------------------------------------------


def test_unknown_path_is_a_problem(api):
    assert "hint" in api.get("/v1/nothing-here").expect_problem(404, "NOT_FOUND")


def test_wrong_method_names_the_right_ones(api):
    reply = api.delete("/v1/projects")
    reply.expect_problem(405, "METHOD_NOT_ALLOWED")
    assert {"GET", "POST"} <= set(re.split(r",\s*", reply.headers["Allow"]))


def test_request_id_is_echoed_when_sane_and_made_otherwise(api):
    assert api.get("/health/live", X_Request_Id="abc-123").headers["X-Request-Id"] == "abc-123"
    made = api.get("/health/live").headers["X-Request-Id"]
    assert made and made != api.get("/health/live").headers["X-Request-Id"]
    forged = api.get("/health/live", X_Request_Id='x" level="error').headers["X-Request-Id"]
    assert '"' not in forged


def test_unknown_query_parameter_is_refused(api):
    assert "limt" in api.get("/v1/projects?limt=5").expect_problem(400, "INVALID_INPUT")["detail"]


def test_oversized_body_is_refused(api):
    body = json.dumps({"name": "x" * (3 << 20), "slug": "abc"}).encode()
    reply = api.call("POST", "/v1/projects", body, {"Content-Type": "application/json"})
    reply.expect_problem(413, "TOO_LARGE")


def test_every_route_needs_a_token_unless_it_says_public(daemon):
    document = daemon.client.get("/v1/openapi.json").expect(200).json
    stranger = daemon.over_tcp()
    closed = 0
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if method not in METHODS or operation.get("security") == []:
                continue
            target = re.sub(r"\{\w+\}", NOBODY, path)
            reply = stranger.call(method.upper(), target)
            assert reply.status == 401, f"{operation['operationId']}: {reply}"
            closed += 1
    assert closed > 20


def test_openapi_is_a_whole_document(api):
    document = api.get("/v1/openapi.json").expect(200).json
    assert document["openapi"].startswith("3.1")
    ids = [o["operationId"] for p in document["paths"].values() for m, o in p.items() if m in METHODS]
    assert len(ids) == len(set(ids)) and len(ids) > 20
    schemas = document["components"]["schemas"]
    for name in re.findall(r'"#/components/schemas/(\w+)"', json.dumps(document)):
        assert name in schemas, f"{name} is referenced and not there"
    for path in ("/v1/projects", "/v1/projects/{slug}/services", "/health"):
        assert path in document["paths"]


# --- lists --------------------------------------------------------------------------------------------------------


@pytest.fixture
def seven_services(api, project):
    names = [f"s{number}" for number in range(7)]
    for name in names:
        api.post(f"/v1/projects/{project}/services", {"name": name}).expect(201)
    return names


def test_pages_hold_everything_once(api, project, seven_services):
    seen, cursor, pages = [], "", 0
    while cursor is not None:
        reply = api.get(f"/v1/projects/{project}/services?limit=3" + (f"&cursor={cursor}" if cursor else "")).expect(200)
        assert len(reply.json["services"]) <= 3
        seen += [service["name"] for service in reply.json["services"]]
        cursor = reply.json["next_cursor"]
        pages += 1
    assert sorted(seen) == seven_services
    assert pages == 3


def test_without_limit_a_list_is_whole(api, project, seven_services):
    reply = api.get(f"/v1/projects/{project}/services").expect(200).json
    assert len(reply["services"]) == 7
    assert reply["next_cursor"] is None


@pytest.mark.parametrize("query", ["limit=0", "limit=201", "limit=x", "limit=-1", "cursor=nonsense"])
def test_bad_page_is_refused(api, query):
    api.get(f"/v1/projects?{query}").expect_problem(400, "INVALID_INPUT")


def test_what_is_added_while_paging_shifts_nothing(api, project, seven_services):
    first = api.get(f"/v1/projects/{project}/services?limit=4").json
    api.post(f"/v1/projects/{project}/services", {"name": "added"}).expect(201)
    second = api.get(f"/v1/projects/{project}/services?limit=200&cursor={first['next_cursor']}").json
    names = [service["name"] for service in first["services"] + second["services"]]
    assert len(names) == len(set(names))
    assert set(seven_services) <= set(names)


# --- tags and replays ---------------------------------------------------------------------------------------------


def test_of_many_writers_with_one_tag_one_wins(api, project):
    tag = api.get(f"/v1/projects/{project}").headers["ETag"]

    def change(number):
        return api.patch(f"/v1/projects/{project}", {"description": f"d{number}"}, {"If-Match": tag}).status

    with ThreadPoolExecutor(8) as pool:
        statuses = sorted(pool.map(change, range(8)))
    assert statuses == [200] + [412] * 7


def test_same_key_at_the_same_time_creates_once(api, run):
    def create(_):
        return api.post("/v1/projects", {"name": "Once", "slug": run}, {"Idempotency-Key": f"key-{run}"})

    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(create, range(8)))
    made = [reply for reply in replies if reply.status == 201]
    # Who comes while the first is still at work may be told so (409), but nobody may be told anything else.
    assert made and {reply.status for reply in replies} <= {201, 409}, [str(reply) for reply in replies]
    assert len({reply.json["id"] for reply in made}) == 1


def test_same_key_again_has_the_headers_of_the_first_reply(api, run):
    def ask(path, body):
        reply = api.post(path, body, {"Idempotency-Key": f"key-{run}"})
        passing = ("date", "x-request-id", "idempotency-replayed", "server-timing")
        return reply, {name: value for name, value in reply.headers.items() if name.lower() not in passing}

    requests = (("/v1/projects", {"name": "Once", "slug": run}), (f"/v1/projects/{run}/services", {"name": "web"}))
    for path, body in requests:
        first, headers = ask(path, body)
        again, headers_again = ask(path, body)
        assert first.expect(201).headers["ETag"] and again.headers["Idempotency-Replayed"] == "true"
        assert headers_again == headers


def test_keys_are_the_callers_own(api, signed_in, run):
    key = {"Idempotency-Key": f"key-{run}"}
    api.post("/v1/projects", {"name": "Mine", "slug": f"{run}-a"}, key).expect(201)
    other = signed_in("admin").post("/v1/projects", {"name": "Theirs", "slug": f"{run}-b"}, key).expect(201)
    assert other.json["slug"] == f"{run}-b"


def test_of_many_creators_of_one_name_one_wins(api, run):
    def create(_):
        return api.post("/v1/projects", {"name": "One", "slug": run}).status

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(create, range(8))) == [201] + [409] * 7


# --- framing ------------------------------------------------------------------------------------------------------


def raw(daemon, text, seconds=10):
    """Everything the server sends until it closes, or has been silent for a while."""
    host, port = daemon.over_tcp().endpoint.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), seconds) as connection:
        connection.sendall(text)
        received = b""
        try:
            while piece := connection.recv(65536):
                received += piece
        except TimeoutError:
            return received, False
        except ConnectionResetError:
            pass
        return received, True


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n",
        b"Content-Length: 2\r\nContent-Length: 3\r\n",
        b"Content-Length: +2\r\n",
        b"Content-Length: 2, 2\r\n",
        b"Content-Length : 2\r\n",
        b"Transfer-Encoding: xchunked\r\n",
        b"Content-Length: 99999999999999999999999\r\n",
        b"X: a\r\n b\r\n",
    ],
)
def test_ambiguous_framing_is_refused_and_closed(daemon, head):
    text = b"POST /v1/projects HTTP/1.1\r\nHost: x\r\n" + head + b"\r\n{}GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"
    received, closed = raw(daemon, text)
    assert received.startswith(b"HTTP/1.1 400") or received == b"" or received.startswith(b"HTTP/1.1 413"), received
    assert closed, "the connection was kept open after ambiguous framing"
    assert len(messages(received)) <= 1, f"one message was read as two: {received!r}"
    assert b"HTTP/1.1 200" not in received, f"the bytes behind it were taken for a request: {received!r}"


def messages(received):
    """Replies as a client tells them apart: by Content-Length. (libmicrohttpd 0.9.75 writes the head of an error of its own twice,
    the second time as part of the body.)"""
    found = []
    while received.startswith(b"HTTP/1."):
        head, _, rest = received.partition(b"\r\n\r\n")
        length = next((int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0)
        found.append(head)
        received = rest[length:]
    return found


def test_header_flood_is_refused(daemon):
    flood = b"".join(b"X-%d: %s\r\n" % (number, b"a" * 100) for number in range(2000))
    received, closed = raw(daemon, b"GET /health/live HTTP/1.1\r\nHost: x\r\n" + flood + b"\r\n")
    assert b"200 OK" not in received and closed
    assert daemon.over_tcp().get("/health/live").status == 200


def test_clients_that_vanish_cost_nothing(daemon):
    host, port = daemon.over_tcp().endpoint.removeprefix("http://").split(":")
    for _ in range(100):
        with socket.create_connection((host, int(port)), 5) as connection:
            connection.sendall(b"POST /v1/projects HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{")
    start = time.monotonic()
    assert daemon.over_tcp().get("/health/live").status == 200
    assert time.monotonic() - start < 5


# --- streams ------------------------------------------------------------------------------------------------------


def test_events_resume_where_they_were_left(daemon, run):
    api = daemon.client
    for number in range(3):
        api.post("/v1/projects", {"name": "E", "slug": f"{run}-{number}"}).expect(201)
    ids = []
    for id, _, data in api.events("/v1/events", {"Last-Event-ID": "0"}):
        json.loads(data)
        ids.append(int(id))
        if len(ids) >= 3:
            break
    assert ids == sorted(set(ids))
    again = next(iter(api.events("/v1/events", {"Last-Event-ID": str(ids[0])})))
    assert int(again[0]) == ids[1]
