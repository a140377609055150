"""Only main.c ends the process: libraries return errors."""

from law import c_code, is_c, matches

# The one place that forks: a child that cannot exec has to end itself.
FORKS = {"src/base/process.c": "_exit"}

CALLS = r"(?<![\w.>])(?:exit|_exit|_Exit|quick_exit|abort|g_error|g_abort|err|errx|assert)[ \t]*\("


def check(files):
    for path, text in files.items():
        if is_c(path) and not path.endswith("/main.c"):
            for line, found in matches(CALLS, c_code(text)):
                name = found.rstrip("(").strip()
                if FORKS.get(path) != name:
                    yield path, line, f"{name}() outside main.c"


EXAMPLES = [
    ({"src/enclii/main.c": "exit(1);"}, 0),
    ({"src/base/a.c": 'process_exit(1); x->exit(1); say("exit(1)");'}, 0),
    ({"src/base/a.c": "if (bad) {\n    exit(1);\n}"}, 1),
    ({"src/base/a.c": "abort();"}, 1),
    ({"src/base/a.c": "g_assert_not_reached();"}, 0),
    ({"src/base/process.c": "_exit(127);"}, 0),
    ({"src/base/process.c": "exit(1);"}, 1),
    ({"src/base/a.c": "_exit(127);"}, 1),
]
