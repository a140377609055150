"""C is formatted as .clang-format says (checked where clang-format 14 is installed)."""

import re
import shutil
import subprocess

from law import ROOT

PROGRAM = shutil.which("clang-format-14")
SKIPPED = None if PROGRAM else "clang-format-14 is not installed (tools/install-deps develop)"
DIAGNOSTIC = re.compile(r"^(.*?):(\d+):\d+: (?:error|warning): ")


def check(files):
    paths = [path for path in files if path.endswith((".c", ".h")) and not path.startswith("examples/")]
    by_disk = [path for path in paths if (ROOT / path).exists()]
    for start in range(0, len(by_disk), 100):
        done = subprocess.run(
            [PROGRAM, "--dry-run", "--ferror-limit=1", *by_disk[start : start + 100]],
            cwd=ROOT, capture_output=True, text=True,
        )  # fmt: skip
        seen = set()
        for line in done.stderr.splitlines():
            found = DIAGNOSTIC.match(line)
            if found and found.group(1) not in seen:
                seen.add(found.group(1))
                yield found.group(1), int(found.group(2)), "not formatted: make format"
    for path in paths:  # the examples below, which are not on disk
        if path not in by_disk:
            done = subprocess.run(
                [PROGRAM, f"--style=file:{ROOT}/.clang-format"], input=files[path], capture_output=True, text=True
            )
            if done.stdout != files[path]:
                yield path, 1, "not formatted: make format"


EXAMPLES = [
    ({"src/none/a.c": "int f(void)\n{\n    return 1;\n}\n"}, 0),
    ({"src/none/a.c": "int f(void) { return 1; }\n"}, 1),
]
