"""The container engine, asked beside switchyard's back: what is really there."""

import json

from .client import Client

LABEL = "dev.enclii.installation"


class Engine:
    def __init__(self, endpoint):
        self.client = Client("unix:" + endpoint.removeprefix("unix:").replace("//", "/", 1))

    def containers(self, project_host_part, all_states=True):
        """Containers whose name, labels or networks say this word."""
        listing = self.client.get(f"/containers/json?all={int(all_states)}").expect(200).json
        return [c for c in listing if LABEL in c["Labels"] and project_host_part in json.dumps(c)]

    def of_deployment(self, deployment_id):
        return [c for c in self.containers(deployment_id) if c["Labels"].get("dev.enclii.deployment") == deployment_id]

    def kill(self, container):
        self.client.post(f"/containers/{container['Id']}/kill").expect(204)

    def remove(self, container):
        self.client.delete(f"/containers/{container['Id']}?force=1").expect(204)

    def inspect(self, container):
        return self.client.get(f"/containers/{container['Id']}/json").expect(200).json
