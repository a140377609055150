"""What the laws in this folder share.

A law is a module with a docstring (its first line names it), `check(files)` which takes a dictionary of path → text and
yields (path, line, message), and `EXAMPLES`: pairs of a dictionary of files and the number of findings it must give. The
examples are the law's self-test: a law that cannot fail is a defect. tools/lint/run runs them all.
"""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SKIPPED_FOLDERS = {".git", "node_modules", ".venv", "__pycache__"}

C_TOKEN = re.compile(
    r"""//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'""",
    re.DOTALL,
)


def tracked_files():
    """Paths of every file that is, or would be, in the repository."""
    listing = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"], capture_output=True
    )
    if listing.returncode == 0:
        names = listing.stdout.decode().split("\0")
    else:  # an unpacked archive
        names = [
            str(path.relative_to(ROOT))
            for path in ROOT.rglob("*")
            if not SKIPPED_FOLDERS & set(path.parts) and not path.relative_to(ROOT).parts[0].startswith("build")
        ]
    return sorted({name for name in names if name and (ROOT / name).is_file() and not (ROOT / name).is_symlink()})


def read_tree():
    """Path → text of every text file."""
    files = {}
    for name in tracked_files():
        data = (ROOT / name).read_bytes()
        if b"\0" not in data[:8000]:
            files[name] = data.decode("utf-8", errors="replace")
    return files


def is_c(path, under="src/"):
    return path.startswith(under) and path.endswith((".c", ".h"))


def _blank(text):
    return re.sub(r"[^\n]", " ", text)


def c_code(text):
    """The text with comments, strings and character constants blanked out; line numbers stay."""
    return C_TOKEN.sub(lambda match: _blank(match.group()), text)


def c_strings(text):
    """(line, content) of each string constant, adjacent ones joined as the compiler does."""
    result = []
    end = None
    for match in C_TOKEN.finditer(text):
        token = match.group()
        if not token.startswith('"'):
            continue
        between = C_TOKEN.sub(lambda m: _blank(m.group()), text[end : match.start()]) if end is not None else "x"
        if result and not between.strip():
            result[-1] = (result[-1][0], result[-1][1] + token[1:-1])
        else:
            result.append((text.count("\n", 0, match.start()) + 1, token[1:-1]))
        end = match.end()
    return result


def matches(pattern, text):
    """(line, matched text) of each match."""
    for match in re.finditer(pattern, text):
        yield text.count("\n", 0, match.start()) + 1, match.group().strip()
