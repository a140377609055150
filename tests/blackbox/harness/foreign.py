"""Other people's objects on the same engine, some of which look like ours: made, looked at, removed again.

Each has the prefix of its run in its name, or is remembered by id: exactly those are removed at the end."""

import io
import json
import tarfile
import uuid
from urllib.parse import quote, urlencode

from .app import answer_binary
from .client import Client

LABEL = "dev.enclii."


def archive():
    """A root file system with one program in it."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        member = tarfile.TarInfo("answer")
        member.size = len(answer_binary())
        member.mode = 0o755
        tar.addfile(member, io.BytesIO(answer_binary()))
    return out.getvalue()


def without(value, *names):
    return {name: member for name, member in value.items() if name not in names}


class Foreign:
    def __init__(self, endpoint, prefix, installation):
        self.client = Client("unix:" + endpoint.removeprefix("unix:").replace("//", "/", 1), timeout=120)
        self.prefix = prefix
        self.installation = installation
        # Ours with another last digit, so that whoever compares a part of it only is found out.
        self.other = installation[:-1] + ("0" if installation[-1] != "0" else "1")
        self.tail = installation[-12:]
        self.known = {}  # (kind, name or id) → what it was like

    # --- making -----------------------------------------------------------------------------------------------

    def fill(self):
        try:
            self._fill()
        except BaseException:
            self.remove()
            raise

    def _fill(self):
        p = self.prefix
        looks_like_ours = {LABEL + "installation": self.other, LABEL + "role": "instance"}
        looks_like_ours |= {LABEL + key: str(uuid.uuid4()) for key in ("instance", "pair", "deployment")}
        self.image(f"{p}/app:1")
        self.image(f"enclii/{self.tail}/{p}/web:1")  # our repository by name, without our label
        self.image(f"enclii/{self.installation[:8]}/{p}/web:1")
        self.image(f"enclii/{self.other[-12:]}/{p}/web:1", installation=self.other)
        self.image(f"{p}/derived:1", installation=self.installation)  # as one that is built FROM an image of ours
        self.volume(f"{p}-data", {})
        self.volume(f"enclii-{self.tail}-{p}", {})
        self.volume(f"enclii-{self.other[-12:]}-{p}", {LABEL + "installation": self.other, LABEL + "role": "volume"})
        self.network(f"{p}-net", {})
        self.network(f"enclii-{self.tail}-{p}", {LABEL + "installation": self.other, LABEL + "role": "network"})
        mounts = {"Binds": [f"{p}-data:/data"], "NetworkMode": f"{p}-net", "RestartPolicy": {"Name": "always"}}
        self.container(f"{p}-running", HostConfig=mounts)
        self.container(f"{p}-stopped", starts=False)
        self.container(f"web-{p}-production-v1-0-{uuid.uuid4().hex[:12]}", Labels=looks_like_ours)
        self.container(f"enclii-{self.tail}-{p}", Labels=looks_like_ours, starts=False)
        self.container(f"{p}-by-hand", Image=f"{p}/derived:1")  # has our installation's label by its image

    def image(self, reference, installation=None):
        repository, tag = reference.rsplit(":", 1)
        changes = ['CMD ["/answer"]', f"LABEL run={reference}"]  # the latter, so that no two have one id
        if installation:
            changes.append(f"LABEL {LABEL}installation={installation}")
        query = urlencode({"fromSrc": "-", "repo": repository, "tag": tag, "changes": changes}, doseq=True)
        # The engine says 200 before it has begun; what follows tells.
        reply = self.client.call("POST", f"/images/create?{query}", archive(), {"Content-Type": "application/x-tar"})
        assert "error" not in reply.expect(200).body.decode(), str(reply)
        self.remember("image", reference)

    def volume(self, name, labels):
        self.client.post("/volumes/create", {"Name": name, "Labels": labels}).expect(201)
        self.remember("volume", name)

    def network(self, name, labels):
        body = {"Name": name, "CheckDuplicate": True, "Driver": "bridge", "Labels": labels}
        self.client.post("/networks/create", body).expect(201)
        self.remember("network", name)

    def container(self, name, starts=True, **more):
        body = {"Image": f"{self.prefix}/app:1", "HostConfig": {"NetworkMode": "none"}, **more}
        made = self.client.post(f"/containers/create?name={name}", body).expect(201).json["Id"]
        if starts:
            self.client.post(f"/containers/{made}/start").expect(204)
        self.remember("container", made)
        for network in self.of_kind("network"):
            self.remember("network", network)  # who is in it is a part of it
        return made

    def remember(self, kind, name):
        self.known[kind, name] = self.look(kind, name)

    def of_kind(self, kind):
        return [name for known, name in self.known if known == kind]

    # --- looking ----------------------------------------------------------------------------------------------

    PATHS = {"image": "/images/{}/json", "volume": "/volumes/{}", "network": "/networks/{}", "container": "/containers/{}/json"}

    def look(self, kind, name):
        """Everything that the engine says of it, but what others may change."""
        reply = self.client.get(self.PATHS[kind].format(quote(name, safe="/:")))
        if reply.status == 404:
            return None
        value = reply.expect(200).json
        if kind == "image":  # other tags on the same image are not its own affair
            return {**without(value, "RepoTags", "Metadata"), "tag": name in value["RepoTags"]}
        return value

    def changes(self):
        """In words; [] when all is as it was."""
        found = []
        for (kind, name), before in self.known.items():
            now = self.look(kind, name)
            if now != before:
                now = now or {}
                names = [key for key in before if before[key] != now.get(key)]
                words = json.dumps({key: [before[key], now.get(key)] for key in names})[:600] if now else "is gone"
                found.append(f"{kind} {before.get('Name', name)}: {words}")
        return found

    # --- removing ---------------------------------------------------------------------------------------------

    def remove(self):
        ways = {
            "container": "/containers/{}?force=1&v=1", "network": "/networks/{}", "volume": "/volumes/{}",
            "image": "/images/{}",
        }  # fmt: skip
        for kind, path in ways.items():
            for name in self.of_kind(kind):
                self.client.delete(path.format(quote(name, safe="/:")))
