"""The store's tables behind switchyard's back, for checkers and for rows that a builder would have written."""

import sqlite3
import subprocess

from .postgresql import PROGRAMS


class Tables:
    def __init__(self, store_url):
        self.url = store_url

    def rows(self, text):
        """Rows of text columns, as lists of strings."""
        if self.url.startswith("sqlite:"):
            connection = sqlite3.connect(self.url.removeprefix("sqlite:"), timeout=30)
            try:
                found = connection.execute(text).fetchall()
                connection.commit()
            finally:
                connection.close()
            return [["" if value is None else str(value) for value in row] for row in found]
        command = [f"{PROGRAMS[-1]}/psql", self.url, "-qAt", "-F", "\x1f", "-R", "\x1e", "-c", text]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        # Commands tell their name; only what has columns is a row.
        return [row.split("\x1f") for row in done.stdout.rstrip("\n").split("\x1e") if row and not row.startswith("UPDATE ")]

    def count(self, text):
        return int(self.rows(text)[0][0])
