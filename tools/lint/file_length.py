"""No source file is longer than 800 lines: a second topic gets a second file."""

LIMIT = 800
SUFFIXES = (".c", ".h", ".py", ".sh", ".ts", ".tsx", ".js")


def check(files):
    for path, text in files.items():
        is_script = path.startswith("tools/") and text.startswith("#!")
        if (path.endswith(SUFFIXES) or is_script) and not path.startswith("tests/fuzz/corpus/"):
            lines = text.count("\n")
            if lines > LIMIT:
                yield path, LIMIT, f"{lines} lines (limit {LIMIT})"


EXAMPLES = [
    ({"src/a.c": "\n" * 800, "docs/a.md": "\n" * 2000}, 0),
    ({"src/a.c": "\n" * 801}, 1),
    ({"tools/x": "#!/bin/sh\n" + "\n" * 801}, 1),
]
