"""The platform in containers, as docker-compose.yml describes it."""

from __future__ import annotations

import os
import shutil
import subprocess

from broker.servers.errors import StackError, Unavailable
from broker.servers.home import CHECKOUT
from nilecare.stack.development import Development


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
        if self.development.is_new and (volumes := self._volumes()):
            raise StackError(
                f"{self.development.file} is gone, and with it the passwords of what is stored: docker volume rm {volumes}"
            )
        running = self.development.file.exists() and bool(self._run("ps", "--quiet", capture=True))
        self.development.choose_ports(keep=running)
        self.development.use(self.development.local_servers)
        self.development.save()
        self._run("up", "--build", "--detach", "--remove-orphans")

    def down(self) -> int:
        """Stops and removes the containers, volumes stay; how many containers there were."""
        if not self.development.file.exists():
            return 0
        running = len(self._run("ps", "--all", "--quiet", capture=True).splitlines())
        self._run("down", "--remove-orphans", capture=True)
        return running

    def _volumes(self) -> str:
        project = self.development.values["COMPOSE_PROJECT_NAME"]
        question = ["docker", "volume", "ls", "--quiet", "--filter", f"label=com.docker.compose.project={project}"]
        return " ".join(subprocess.run(question, capture_output=True, text=True, check=True).stdout.split())

    def _run(self, *arguments: str, capture: bool = False) -> str:
        command = [*self._command, "--env-file", str(self.development.file), *arguments]
        # Compose lets a variable of the environment win over the file.
        environment = {name: value for name, value in os.environ.items() if name not in self.development.values}
        done = subprocess.run(command, env=environment, capture_output=capture, text=True, check=False)
        if done.returncode:
            raise StackError(f"docker compose {arguments[0]} failed" + (f": {done.stderr.strip()}" if capture else ""))
        return (done.stdout or "").strip()
