"""An image registry on the loopback: Debian's docker-registry (OCI Distribution 1.0), without TLS, which engines allow there.

    with Registry(folder, engine) as registry:
        name = registry.push("base:1", answer="…")    # 127.0.0.1:PORT/base:1; the engine forgets it again
        registry.stop()                               # nobody answers on its port"""

import io
import shutil
import socket
import subprocess
import tarfile
import urllib.request

from .process import wait_until

CONFIGURATION = """version: 0.1
log: {{level: warn}}
storage: {{filesystem: {{rootdirectory: {folder}}}}}
http: {{addr: 127.0.0.1:{port}}}
"""


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


class Registry:
    def __init__(self, folder, engine):
        self.folder = folder
        self.docker = [shutil.which("docker", path="/usr/bin:/usr/local/bin"), "-H", "unix://" + engine.removeprefix("unix:")]
        self.port = free_port()
        self.process = None
        self.made = set()  # ids

    @staticmethod
    def why_not():
        return None if shutil.which("docker-registry") else "docker-registry is not installed (tools/install-deps test)"

    def name(self, image):
        return f"127.0.0.1:{self.port}/{image}"

    def start(self):
        configuration = self.folder / "registry.yml"
        configuration.write_text(CONFIGURATION.format(folder=self.folder / "registry", port=self.port))
        with open(self.folder / "registry.log", "ab") as log:
            command = ["docker-registry", "serve", str(configuration)]
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_until(self._answers, 20, "the registry answers")
        return self

    def _answers(self):
        assert self.process.poll() is None, (self.folder / "registry.log").read_text()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/v2/", timeout=2) as reply:
                return reply.status == 200
        except OSError:
            return False

    def stop(self):
        if self.process is not None:
            self.process.terminate()
            self.process.wait(20)
            self.process = None

    def engine(self, *arguments, **more):
        return subprocess.run([*self.docker, *arguments], check=True, capture_output=True, timeout=120, **more)

    def make(self, name, **files):
        """An image of these files alone, in the engine."""
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as tar:
            for path, content in files.items():
                data = content if isinstance(content, bytes) else content.encode()
                entry = tarfile.TarInfo(path)
                entry.size, entry.mode = len(data), 0o755
                tar.addfile(entry, io.BytesIO(data))
        done = self.engine("import", "--change", 'ENTRYPOINT ["/answer"]', "-", name, input=archive.getvalue())
        self.made.add(done.stdout.decode().strip())

    def push(self, image, **files):
        """The same as a registry has it; the engine forgets it again."""
        name = self.name(image)
        self.make(name, **files)
        self.engine("push", name)
        self.engine("rmi", name)
        return name

    def engine_has(self, name):
        return subprocess.run([*self.docker, "image", "inspect", name], capture_output=True, timeout=60).returncode == 0

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()
        for image in self.made:  # those that a container still has are refused
            subprocess.run([*self.docker, "rmi", "-f", image], capture_output=True, timeout=60)
