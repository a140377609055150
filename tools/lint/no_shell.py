"""No shell anywhere in the product: argv arrays only."""

import re

from law import c_code, c_strings, is_c, matches

CALLS = r"(?<![\w.>])(?:system|popen|wordexp|execlp|execvp_shell|g_spawn_command_line_\w+|g_shell_\w+)[ \t]*\("
SHELL = re.compile(r"(?:(?:/usr)?/bin/)?(?:sh|bash|dash)")
ALLOWED = "may-name-a-shell"  # in a comment on the line: the string is matched or shown, never run by us


def check(files):
    for path, text in files.items():
        if not is_c(path):
            continue
        for line, found in matches(CALLS, c_code(text)):
            yield path, line, f"{found.rstrip('(').strip()}() runs a shell or splits words like one"
        lines = text.splitlines()
        for line, content in c_strings(text):
            if SHELL.fullmatch(content) and ALLOWED not in lines[line - 1]:
                yield path, line, f'"{content}": no shell is started (or say {ALLOWED} in a comment and why)'


EXAMPLES = [
    ({"src/base/a.c": '/* system("x") */ file_system(1); x("bash completion");'}, 0),
    ({"src/base/a.c": 'system("ls");'}, 1),
    ({"src/base/a.c": 'char *argv[] = {"sh", "-c", x};'}, 1),
    ({"src/base/a.c": 'char *argv[] = {"/bin/sh", x};'}, 1),
    ({"src/enclii/a.c": 'if (g_str_equal(x, "bash")) { /* may-name-a-shell: completion */'}, 0),
    ({"src/base/a.c": 'g_spawn_command_line_sync(x);'}, 1),
]
