"""SQL is written in src/store and migrations only."""

import re

from law import c_strings, is_c

STATEMENT = re.compile(
    r"\s*(?:SELECT\s.+\sFROM\s|SELECT\s+\w+\(|INSERT\s+INTO\s|UPDATE\s+\w+\s+SET\s|DELETE\s+FROM\s|CREATE\s+(?:TABLE|INDEX|UNIQUE)"
    r"|ALTER\s+TABLE\s|DROP\s+(?:TABLE|INDEX)\s|BEGIN\s+(?:IMMEDIATE|EXCLUSIVE)|PRAGMA\s|LISTEN\s|NOTIFY\s)",
    re.IGNORECASE,
)


def check(files):
    for path, text in files.items():
        if not is_c(path) or path.startswith("src/store/"):
            continue
        for line, content in c_strings(text):
            if STATEMENT.match(content):
                yield path, line, f'SQL outside src/store: "{content[:50]}"'


EXAMPLES = [
    ({"src/store/a.c": 'x("SELECT {} FROM projects");'}, 0),
    ({"src/http/a.c": '/* SELECT a FROM b */ x("select a project from the list");'}, 1),
    ({"src/http/a.c": 'x("Update the project, set a name");'}, 0),
    ({"src/http/a.c": 'x("SELECT {} "\n  "FROM projects");'}, 1),
    ({"src/switchyard/a.c": 'x("delete from leases where id = $1");'}, 1),
]
