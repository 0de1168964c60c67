"""The platform in containers, as docker-compose.yml describes it."""

from __future__ import annotations

import shutil
import subprocess

from nilecare.stack.development import Development
from nilecare.stack.errors import StackError, Unavailable
from nilecare.stack.home import CHECKOUT


class Compose:
    """Docker Compose on this checkout's project."""

    def __init__(self, development: Development) -> None:
        self.development = development
        self._command = ["docker", "compose", "--project-directory", str(CHECKOUT)]

    @staticmethod
    def require() -> None:
        """Raises Unavailable where there is no engine or no Compose."""
        if shutil.which("docker") is None:
            raise Unavailable("docker is not installed")
        for question, missing in (("info", "no Docker Engine answers"), ("compose version", "docker compose is not installed")):
            if subprocess.run(["docker", *question.split()], capture_output=True, check=False).returncode:
                raise Unavailable(missing)

    def up(self) -> None:
        """Builds the image and starts everything; provisioning is over when this returns."""
        running = bool(self._run("ps", "--quiet", capture=True))
        self.development.choose_ports(ours=lambda _: running)
        self.development.use(self.development.local_servers)
        self.development.save()
        self._run("up", "--build", "--detach", "--remove-orphans")

    def down(self) -> None:
        """Stops and removes the containers; volumes stay."""
        if self.development.file.exists():
            self._run("down", "--remove-orphans", capture=True)

    def _run(self, *arguments: str, capture: bool = False) -> str:
        settings = ["--env-file", str(self.development.file)] if self.development.file.exists() else []
        done = subprocess.run([*self._command, *settings, *arguments], capture_output=capture, text=True, check=False)
        if done.returncode:
            raise StackError(f"docker compose {arguments[0]} failed" + (f": {done.stderr.strip()}" if capture else ""))
        return (done.stdout or "").strip()
