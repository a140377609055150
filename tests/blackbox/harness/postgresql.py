"""A PostgreSQL server of the tests' own, on loopback, with databases for the asking."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from glob import glob
from pathlib import Path

PROGRAMS = sorted(glob("/usr/lib/postgresql/*/bin"), key=lambda path: int(path.split("/")[4]))


class PostgreSQL:
    @staticmethod
    def why_not():
        return None if PROGRAMS else "PostgreSQL is not installed (tools/install-deps test)"

    def __init__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="sy-pg-", dir="/tmp"))
        self.data = self.folder / "data"
        self.port = free_port()
        self.count = 0
        # It refuses to run as root.
        self.user = "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
        if os.geteuid() == 0:
            account = pwd.getpwnam("postgres")
            os.chown(self.folder, account.pw_uid, account.pw_gid)
        self.run("initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync", "--locale=C")
        self.start()

    def run(self, program, *arguments):
        command = [f"{PROGRAMS[-1]}/{program}", *map(str, arguments)]
        if os.geteuid() == 0:
            command = ["runuser", "-u", "postgres", "--", *command]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd=self.folder)
        assert done.returncode == 0, f"{program}: {done.stderr or done.stdout}"
        return done.stdout

    def start(self):
        options = f"-k {self.folder} -p {self.port} -c listen_addresses=127.0.0.1 -c max_connections=60"
        # stdout would be held open by the server: it gets a log file of its own.
        self.run("pg_ctl", "-D", self.data, "-l", self.folder / "log", "-w", "-t", "60", "-o", options, "start")

    def stop(self, mode="fast"):
        self.run("pg_ctl", "-D", self.data, "-m", mode, "-w", "stop")

    def new_database(self):
        """The URL of an empty database."""
        self.count += 1
        name = f"enclii_{self.count}"
        self.query("postgres", f"CREATE DATABASE {name}")
        return f"postgresql://postgres@127.0.0.1:{self.port}/{name}"

    def query(self, database, text):
        return self.run("psql", "-h", "127.0.0.1", "-p", self.port, "-U", "postgres", "-d", database, "-qAt", "-c", text)

    def close(self):
        self.stop("immediate")
        shutil.rmtree(self.folder)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
