"""A project folder around apps/answer, deployed with the command line and asked through the edge."""

import copy
import subprocess
from functools import cache
from pathlib import Path

import yaml

from .process import BUILD, ROOT, wait_until

SOURCES = [ROOT / "tests/blackbox/apps/answer" / name for name in ("answer.c", "streams.c")]


@cache
def answer_binary():
    """Compiled here, once, static: its image needs no base and no network."""
    program = BUILD / "answer"
    subprocess.run(["gcc", "-O2", "-static", "-pthread", "-w", "-o", str(program), *map(str, SOURCES)], check=True)
    return program.read_bytes()


class App:
    """One service, `web`, unless the spec says otherwise."""

    def __init__(self, daemon, cli, folder, project):
        self.daemon = daemon
        self.project = project
        self.folder = Path(folder)
        self.folder.mkdir(exist_ok=True)
        self.cli = cli.at(self.folder)
        (self.folder / "answer").write_bytes(answer_binary())
        (self.folder / "answer").chmod(0o755)
        (self.folder / "Dockerfile").write_text(
            'FROM scratch\nCOPY answer /answer\nCOPY version /version\nENTRYPOINT ["/answer"]\n'
        )
        self.set_version("one")
        self.spec(web={})

    def set_version(self, word):
        (self.folder / "version").write_text(word + "\n")

    def spec(self, **services):
        common = {"build": ".", "port": 8080, "health": {"path": "/healthz", "interval": "1s", "grace": "20s"}}
        merged = {}
        for name, own in services.items():
            merged[name] = {key: copy.deepcopy(value) for key, value in {**common, **own}.items() if value is not None}
        (self.folder / "enclii.yaml").write_text(yaml.safe_dump({"project": self.project, "services": merged}))

    # --- what is known about it -------------------------------------------------------------------------------

    def service(self, name="web"):
        services = self.daemon.client.get(f"/v1/projects/{self.project}/services").expect(200).json["services"]
        return next(service for service in services if service["name"] == name)

    def status(self, environment, name="web"):
        path = f"/v1/services/{self.service(name)['id']}/status?environment={environment}"
        return self.daemon.client.get(path).expect(200).json

    def releases(self, name="web"):
        return self.daemon.client.get(f"/v1/services/{self.service(name)['id']}/releases").expect(200).json["releases"]

    def deployments(self, name="web"):
        path = f"/v1/services/{self.service(name)['id']}/deployments"
        return self.daemon.client.get(path).expect(200).json["deployments"]

    # --- what it answers --------------------------------------------------------------------------------------

    def host(self, environment="production", name="web"):
        stem = name if name == self.project else f"{name}-{self.project}"
        return f"{stem}.localhost" if environment == "production" else f"{stem}-{environment}.localhost"

    def ask(self, path="/", environment="production", name="web"):
        return self.daemon.edge.get(path, Host=self.host(environment, name))

    def text(self, path="/", environment="production", name="web"):
        return self.ask(path, environment, name).expect(200).body.decode().strip()

    def version(self, environment="production"):
        return self.text("/", environment).split()[1]

    def instances(self, environment="production", tries=30):
        """The different instances that answered."""
        return {self.text("/", environment).split()[3] for _ in range(tries)}

    def wait_for_version(self, word, environment="production", seconds=30):
        wait_until(lambda: self.ask("/", environment).body.split()[1:2] == [word.encode()], seconds, f"{word} answers")
