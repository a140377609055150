"""Folders under src/ include only what the edge table of ARCHITECTURE.md allows."""

import re

from law import is_c, matches

ROW = re.compile(r"^\|\s*`([a-z_/.]+)`\s*\|([^|]*)\|", re.MULTILINE)


def edges(architecture):
    """Folder → what it may include: folders (`base`) and single headers (`logs/redactor.h`)."""
    return {row.group(1): set(re.findall(r"`([a-z_/.]+)`", row.group(2))) for row in ROW.finditer(architecture)}


def check(files):
    table = edges(files.get("ARCHITECTURE.md", ""))
    if not table:
        yield "ARCHITECTURE.md", 1, "has no edge table (rows like: | `plan` | `base`, `model` | why |)"
        return
    for path, text in files.items():
        if not is_c(path):
            continue
        folder = path.split("/")[1]
        if folder not in table:
            yield path, 1, f"src/{folder} has no row in the edge table"
            continue
        for line, directive in matches(r'(?m)^[ \t]*#[ \t]*include[ \t]*"[^"]*"', text):
            header = directive.split('"')[1]
            if "/" not in header:
                yield path, line, f'"{header}": includes are written from src/, like "{folder}/{header}"'
            elif header.split("/")[0] != folder and not {header.split("/")[0], header} & table[folder]:
                yield path, line, f"{folder} may not include {header}"


_TABLE = "| `base` | – | x |\n| `plan` | `base`, `logs/redactor.h` | x |\n"
EXAMPLES = [
    ({"ARCHITECTURE.md": _TABLE, "src/plan/a.c": '#include <glib.h>\n#include "base/id.h"\n#include "plan/a.h"\n'}, 0),
    ({"ARCHITECTURE.md": _TABLE, "src/plan/a.c": '#include "logs/redactor.h"\n'}, 0),
    ({"ARCHITECTURE.md": _TABLE, "src/base/a.c": '#include "plan/a.h"\n'}, 1),
    ({"ARCHITECTURE.md": _TABLE, "src/plan/a.c": '#include "logs/store.h"\n'}, 1),
    ({"ARCHITECTURE.md": _TABLE, "src/plan/a.c": '#include "a.h"\n'}, 1),
    ({"ARCHITECTURE.md": _TABLE, "src/edge/a.c": "\n"}, 1),
    ({"ARCHITECTURE.md": "no table", "src/base/a.c": ""}, 1),
]
