"""An engine full of other people's objects: random operations change none of them. The seed is printed; ENCLII_TEST_SEED
repeats a run, as far as time lets it."""

import os
import random
import time

import pytest
from harness.app import App
from harness.cli import Cli
from harness.engine import Engine
from harness.foreign import LABEL, Foreign
from harness.process import wait_until

pytestmark = [pytest.mark.engine, pytest.mark.slow]

SHORT, LONG = 150, 10_000
REFUSALS = (400, 404, 409, 422)  # an operation may make no sense just now; it must say so


class Operations:
    """What users and operators do, each once when asked; most of it is not waited for."""

    def __init__(self, daemon, folder, foreign, run, chance):
        self.daemon = daemon
        self.folder = folder
        self.foreign = foreign
        self.run = run
        self.chance = chance
        self.n_projects = 0
        self.n_versions = 0
        self.impostors = 0
        self.done = {}
        self.new_project()

    def new_project(self):
        self.n_projects += 1
        name = f"{self.run}-{self.n_projects}"
        cli = Cli(f"unix:{self.daemon.socket}", self.folder)
        self.app = App(self.daemon, cli, self.folder / name, name)
        quick = {"health": {"path": "/healthz", "interval": "1s", "grace": "20s"}, "stop": {"grace": "1s"}}
        self.app.spec(web=quick, store={**quick, "volumes": {"data": "/data"}, "public": False})

    WEIGHTS = {
        "deploy": 22, "scale": 20, "rollback": 12, "restart": 6, "variable": 8, "kill": 10, "remove": 8, "impostor": 4,
        "gc": 6, "up": 2, "delete_service": 1, "delete_environment": 1, "delete_project": 1, "kill_switchyard": 3,
        "stop_switchyard": 2, "teardown": 1,
    }  # fmt: skip

    def once(self):
        services = self.services()
        name = self.chance.choices(list(self.WEIGHTS), self.WEIGHTS.values())[0] if services else "up"
        self.done[name] = self.done.get(name, 0) + 1
        getattr(self, name)(*([services] if name in NEED_SERVICES else []))
        return name

    def call(self, method, path, body=None):
        reply = self.daemon.client.call(method, path, body)
        assert reply.status < 300 or reply.status in REFUSALS, str(reply)
        return reply

    def services(self):
        reply = self.daemon.client.get(f"/v1/projects/{self.app.project}/services")
        return reply.json["services"] if reply.status == 200 else []

    def environment(self):
        return self.chance.choice(("production", "production", "preview"))

    def pick(self, services):
        return f"/v1/services/{self.chance.choice(services)['id']}"

    # --- users ------------------------------------------------------------------------------------------------

    def up(self):
        self.n_versions += 1
        self.app.set_version(f"v{self.n_versions}")
        done = self.app.cli("up", "-e", self.environment(), "--timeout", "60s")
        assert done.code in (0, 30, 40), str(done)  # what went on beside it may make it fail

    def deploy(self, services):
        self.call("POST", self.pick(services) + "/deploy", {"release_id": "latest", "environment_name": self.environment()})

    def scale(self, services):
        body = {"environment_name": self.environment(), "replicas": self.chance.randrange(4)}
        self.call("POST", self.pick(services) + "/scale", body)

    def rollback(self, services):
        latest = self.call("GET", self.pick(services) + f"/deployments/latest?environment={self.environment()}")
        if latest.status == 200 and latest.json.get("deployment"):
            self.call("POST", f"/v1/deployments/{latest.json['deployment']['id']}/rollback", {})

    def restart(self, services):
        self.call("POST", self.pick(services) + "/restart", {"environment_name": self.environment()})

    def variable(self, services):
        body = {"environment_variables": [{"key": "COLOUR", "value": str(self.chance.random())}]}
        self.call("POST", self.pick(services) + f"/env-vars/bulk?deploy=true&environment={self.environment()}", body)

    def delete_service(self, services):
        self.call("DELETE", self.pick(services))

    def delete_environment(self, services):
        self.call("DELETE", f"/v1/projects/{self.app.project}/environments/preview?force=true")

    def delete_project(self, services):
        self.call("DELETE", f"/v1/projects/{self.app.project}?force=true")
        self.new_project()

    # --- operators --------------------------------------------------------------------------------------------

    def gc(self):
        self.call("POST", "/v1/system/gc?everything=true", {})

    def kill_switchyard(self):
        self.daemon.kill()
        self.daemon.start()

    def stop_switchyard(self):
        self.daemon.stop()
        self.daemon.start()

    def teardown(self):
        """All of ours goes, and comes back with the next start."""
        self.daemon.stop()
        done = self.daemon.teardown()
        assert done.returncode == 0, done.stdout + done.stderr
        self.daemon.start()

    # --- accidents --------------------------------------------------------------------------------------------

    def ours(self):
        listing = self.foreign.client.get("/containers/json?all=1").expect(200).json
        mine = self.daemon_installation()
        return [
            c for c in listing if c["Labels"].get(LABEL + "installation") == mine and c["Labels"].get(LABEL + "instance")
        ]

    def daemon_installation(self):
        return (self.daemon.data / "installation").read_text().strip()

    def victim(self):
        return self.chance.choice(sorted(self.ours(), key=lambda c: c["Names"]) or [None])

    def kill(self):
        if victim := self.victim():
            self.foreign.client.post(f"/containers/{victim['Id']}/kill")

    def remove(self):
        if victim := self.victim():
            self.foreign.client.delete(f"/containers/{victim['Id']}?force=1")

    def impostor(self):
        """One of ours is removed, and somebody else's takes its name before it is made again."""
        victim = self.victim()
        if not victim or self.foreign.client.delete(f"/containers/{victim['Id']}?force=1").status != 204:
            return
        try:
            self.foreign.container(victim["Names"][0].removeprefix("/"), starts=self.chance.random() < 0.5)
            self.impostors += 1
        except AssertionError:
            pass  # it was made again already


NEED_SERVICES = {
    "deploy", "scale", "rollback", "restart", "variable", "delete_service", "delete_environment", "delete_project",
}  # fmt: skip


def test_foreign_objects_are_as_they_were(switchyard, engine, haproxy, tmp_path, run, is_long):
    seed = int(os.environ.get("ENCLII_TEST_SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"\nseed {seed}")
    daemon = switchyard(engine=engine, roles="api,reconcile,build").start()
    foreign = Foreign(engine, run, (daemon.data / "installation").read_text().strip())
    foreign.fill()
    operations = Operations(daemon, tmp_path, foreign, run, random.Random(seed))
    happened = []
    try:
        for _ in range(LONG if is_long else SHORT):
            happened.append(operations.once())
            # The moment is the experiment.
            time.sleep(operations.chance.uniform(0, 0.15))
            if happened[-1] in ("gc", "teardown", "delete_project", "kill_switchyard"):
                assert not foreign.changes(), f"seed {seed}, after {happened[-5:]}: {foreign.changes()}"
        comes_to_rest(daemon, operations, seed)
        assert not foreign.changes(), f"seed {seed}: {foreign.changes()}"
        daemon.stop()
        done = daemon.teardown()
        assert done.returncode == 0, done.stdout + done.stderr
        assert not foreign.changes(), f"seed {seed}, after the last teardown: {foreign.changes()}\n{done.stdout}"
        assert not operations.ours(), f"seed {seed}: left after teardown: {[c['Names'] for c in operations.ours()]}"
    finally:
        print(f"{len(happened)} operations {operations.done}, {operations.impostors} impostors")
        foreign.remove()


def comes_to_rest(daemon, operations, seed):
    """Impostors and accidents notwithstanding: what is wanted runs, and nothing else of ours."""
    operations.up()

    def deploy():
        """After a teardown it is refused until the controller has seen that what served is gone."""
        result = operations.app.cli("deploy", "--timeout", "90s")
        return "NO_WAY_BACK" not in result.stderr and result

    done = wait_until(deploy, 60, "a deploy is taken")
    assert done.code == 0, f"seed {seed}: {done}"
    for name in ("web", "store"):
        wait_until(lambda: operations.app.status("production", name)["status"] == "running", 60, f"{name} runs")
    assert operations.app.version() == f"v{operations.n_versions}"


def test_name_that_somebody_else_has_taken_is_given_up(switchyard, engine, haproxy, tmp_path, run):
    daemon = switchyard(engine=engine, roles="api,reconcile,build").start()
    foreign = Foreign(engine, run, (daemon.data / "installation").read_text().strip())
    app = App(daemon, Cli(f"unix:{daemon.socket}", tmp_path), tmp_path / "app", run)
    app.spec(web={"replicas": 2})
    app.cli("up", "-e", "production").expect(0)
    old = Engine(engine).of_deployment(app.deployments()[0]["id"])
    assert len(old) == 2
    daemon.stop()
    try:
        foreign.image(f"{run}/app:1")
        for container in old:
            Engine(engine).remove(container)
            foreign.container(container["Names"][0].removeprefix("/"))
        daemon.start()
        wait_until(lambda: app.status("production")["status"] == "running", 30, "two others run")
        assert app.version() == "one"
        new = {name for c in Engine(engine).of_deployment(app.deployments()[0]["id"]) for name in c["Names"]}
        assert len(new) == 2 and not new & {name for c in old for name in c["Names"]}
        assert not foreign.changes(), foreign.changes()
    finally:
        foreign.remove()


def test_our_tag_on_an_image_of_somebody_else_goes_and_the_image_stays(switchyard, engine, haproxy, tmp_path, run):
    daemon = switchyard(engine=engine, roles="api,reconcile,build").start()
    foreign = Foreign(engine, run, (daemon.data / "installation").read_text().strip())
    app = App(daemon, Cli(f"unix:{daemon.socket}", tmp_path), tmp_path / "app", run)
    app.spec(web={"build": None, "image": f"{run}/app:1"})
    prefix = f"enclii/{foreign.tail}/"

    def ours():
        tags = [tag for image in foreign.client.get("/images/json").json for tag in image["RepoTags"] or []]
        return [tag for tag in tags if tag.startswith(prefix)]

    try:
        foreign.image(f"{run}/app:1")
        foreign.image(f"{prefix}{run}/web:theirs")
        app.cli("up", "-e", "production").expect(0)
        assert sorted(ours()) == [f"{prefix}{run}/web:theirs", f"{prefix}{run}/web:v1"]
        daemon.stop()
        done = daemon.teardown()
        assert done.returncode == 0, done.stdout + done.stderr
        assert ours() == [f"{prefix}{run}/web:theirs"], done.stdout
        assert not foreign.changes(), foreign.changes()
    finally:
        foreign.remove()
