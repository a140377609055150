"""What clients asked for and were told, and whether the store agrees with it afterwards.

Every operation writes one thing that carries a word of its own, so that it can be found whatever the answer was. An operation is
invoked before its request is sent and ends as

    acknowledged   2xx: it is there exactly once, as it was sent
    refused        4xx: it is not there
    unknown        anything else, or no answer at all: it is there once, or it is not there

An operation may be sent again with its Idempotency-Key: then all its answers are about the same one thing."""

import threading
from collections import defaultdict
from dataclasses import dataclass, field

ACKNOWLEDGED, REFUSED, UNKNOWN = "acknowledged", "refused", "unknown"


@dataclass
class Operation:
    kind: str  # project, variable, …
    word: str  # its own
    method: str
    path: str
    body: dict
    content: str  # what the store must hold beside the word
    key: str | None = None  # Idempotency-Key
    outcome: str = UNKNOWN
    answers: list = field(default_factory=list)  # ids that 2xx answers named
    said: str = ""


class History:
    """Shared by the clients."""

    def __init__(self):
        self.lock = threading.Lock()
        self.operations = []

    def invoke(self, operation):
        with self.lock:
            self.operations.append(operation)
        return operation

    def by(self, outcome):
        return [operation for operation in self.operations if operation.outcome == outcome]


def send(client, operation):
    """Sends it, for the first time or again, and notes what came of it. OSError and HTTPException are the caller's."""
    headers = {"Idempotency-Key": operation.key} if operation.key else None
    reply = client.call(operation.method, operation.path, operation.body, headers)
    operation.said = str(reply)[:300]
    if 200 <= reply.status < 300:
        operation.outcome = ACKNOWLEDGED
        operation.answers.append(reply.json["id"])
    elif 400 <= reply.status < 500 and operation.outcome == UNKNOWN:
        operation.outcome = REFUSED
    return reply


def violations(operations, rows):
    """Sentences about every disagreement; `rows` are (kind, word, id, content) of all that the store holds."""
    found = []
    there = defaultdict(list)
    for kind, word, identity, content in rows:
        there[kind, word].append((identity, content))
    known = set()
    for operation in operations:
        known.add((operation.kind, operation.word))
        found += _disagreements(operation, there[operation.kind, operation.word])
    for place in there:
        if place not in known and there[place]:
            found.append(f"{place}: nobody asked for it")
    return found


def _disagreements(operation, held):
    name = f"{operation.kind} {operation.word} ({operation.outcome}; {operation.said})"
    if len(held) > 1:
        yield f"{name}: there {len(held)} times"
    if operation.outcome == ACKNOWLEDGED and not held:
        yield f"{name}: lost"
    if operation.outcome == REFUSED and held:
        yield f"{name}: there although it was refused"
    for identity, content in held:
        if content != operation.content:
            yield f"{name}: holds {content!r} instead of {operation.content!r}"
        if operation.answers and identity not in operation.answers:
            yield f"{name}: its id is {identity}, the answers said {operation.answers}"
    if len(set(operation.answers)) > 1:
        yield f"{name}: answers with one key named {set(operation.answers)}"
