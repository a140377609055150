"""No host name of a package registry and no path of somebody's machine in any file."""

import re

# In pieces, so that this file does not hold what it forbids.
HOSTS = [
    ("pypi", "org"), ("pythonhosted", "org"), ("crates", "io"), ("proxy.golang", "org"), ("sum.golang", "org"),
    ("registry.npmjs", "org"), ("registry.yarnpkg", "com"), ("repo1.maven", "org"), ("repo.maven.apache", "org"),
    ("deb.debian", "org"), ("security.debian", "org"), ("ftp.debian", "org"), ("archive.ubuntu", "com"),
]  # fmt: skip
PATHS = [("/work", "/(?:wt|main|shared|farm|[.])"), ("/far", "m/"), ("/var/tmp/sy", "-"), ("/root", "/"), ("/home/", r"\w+/")]
HOST = re.compile(r"(?<![\w-])(?:" + "|".join(re.escape(".".join(pieces)) for pieces in HOSTS) + r")(?![\w-])")
PATH = re.compile(r"(?<![\w.~$}/-])(?:" + "|".join("".join(pieces) for pieces in PATHS) + ")")


def check(files):
    for path, text in files.items():
        for number, line in enumerate(text.splitlines(), 1):
            for what, pattern in (("host name of a package registry", HOST), ("path of one machine", PATH)):
                found = pattern.search(line)
                if found:
                    yield path, number, f"{what}: {found.group()}"


EXAMPLES = [
    ({"README.md": "apt-get install docker.io; see /workspace and deploy/root/x"}, 0),
    ({"a.json": '"resolved": "https://' + ".".join(HOSTS[5]) + '/x/-/x-1.tgz"'}, 1),
    ({"a.py": 'open("' + "".join(("/work", "/wt", "/x")) + '")'}, 1),
    ({"a.sh": "cd " + "/home/" + "me/src"}, 1),
    ({"a.md": "`" + "/root" + "/.bashrc`"}, 1),
]
