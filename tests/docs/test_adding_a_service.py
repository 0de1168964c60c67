"""docs/adding-a-service.md, done word for word in a copy of the project: it adds a service, and the service works."""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import shutil
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import ModuleType
from urllib.parse import urlsplit

import asyncpg
import httpx
import pytest

from broker import Service
from broker.servers import Servers
from broker.testing.scratch import drop_platform, prepare
from nilecare.addresses import Platform
from nilecare.platform import services
from tests.docs.pages import ROOT, blocks, commands
from tests.waiting import until

PAGE = "docs/adding-a-service.md"
COPIED = ("contracts", "broker", "services", "nilecare", "tests", "docs")
SINGLE = ("pyproject.toml", "docker-compose.yml", "Makefile")
KNOWN = ".mypy_cache"
"""What mypy knows of the modules that are there, where it has looked at them already."""
NEW = [block.file for block in blocks(PAGE) if block.file and block.file.endswith(".py")]
RUN, *OTHERS = reversed(commands(PAGE))
FACILITY = "0198c2a4-0000-7000-8000-00000000000a"
HOUSE = {"name": "Khartoum General", "kind": "hospital", "time_zone": "Africa/Khartoum", "currency": "USD"}

pytestmark = pytest.mark.timeout(400)


class Checkout:
    """A copy of the project in which one follows the page."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in COPIED:
            shutil.copytree(ROOT / name, folder / name)
        if (known := ROOT / KNOWN).exists():
            shutil.copytree(known, folder / KNOWN)
        for name in SINGLE:
            shutil.copy(ROOT / name, folder / name)
        for block in blocks(PAGE):
            if block.file is not None:
                block.put_into(folder)

    async def start(self, command: str, environment: dict[str, str] | None = None) -> Process:
        """Starts a command of the page, with the copy's modules and this environment's programs."""
        scripts = str(Path(sys.executable).parent)
        path = {"PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(self.folder)}
        return await asyncio.create_subprocess_exec(
            *command.split(),
            cwd=self.folder,
            env={**os.environ, **path, **(environment or {})},
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=PIPE,
        )

    async def do(self, command: str, environment: dict[str, str] | None = None) -> str:
        """What a command prints; fails when it fails."""
        process = await self.start(command, environment)
        out, err = await process.communicate()
        assert process.returncode == 0, f"{command}\n{out.decode()}\n{err.decode()}"
        return out.decode()

    def checks(self) -> list[str]:
        """What `make check` does here: everything that looks at the whole, and of what looks at each file, the new ones."""
        lines = re.findall(r"^\t\$\(BIN\)/(.+)$", (self.folder / "Makefile").read_text(), re.MULTILINE)
        assert "mypy" in lines
        new = " ".join(NEW)
        return [f"{line} {new}" if line.startswith(("ruff", "mypy")) else line for line in lines]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """The project, with the files of the page."""
    return Checkout(tmp_path_factory.mktemp("checkout"))


async def test_the_commands_of_the_page_succeed(checkout: Checkout, servers: Servers) -> None:
    """Migration, schemas, event map, every check, the architecture and the service's own tests, on it as the page has it."""
    for command in reversed(OTHERS):
        for one in checkout.checks() if command == "make check" else [command]:
            await checkout.do(one, servers.environment())
    assert "`visitors.end_visits`" in (checkout.folder / "docs/event-map.md").read_text()
    assert (checkout.folder / "contracts/schemas/visit.ended.v1.json").exists()


async def test_the_new_service_takes_part(checkout: Checkout, servers: Servers) -> None:
    """A patient registered and discharged in clinical is a visit begun and ended in visitors, which then says so itself."""
    async with running(checkout, servers) as (platform, addresses, token):
        headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": secrets.token_hex()}
        async with (
            httpx.AsyncClient(base_url=f"{addresses['facility']}/api/v1", headers=headers) as facility,
            httpx.AsyncClient(base_url=f"{addresses['clinical']}/api/v1", headers=headers) as clinical,
            httpx.AsyncClient(base_url=f"{addresses['visitors']}/api/v1", headers=headers) as desk,
        ):
            (await facility.put(f"/facilities/{FACILITY}", json=HOUSE)).raise_for_status()
            patient_id = str(await until(lambda: registered(clinical)))
            encounter_id = await begun_encounter(clinical, patient_id)

            async def let_in() -> str | None:
                reply = await desk.post("/visits", json={"patient_id": patient_id, "visitor": "A. Friend"})
                return str(reply.json()["visit_id"]) if reply.status_code == 201 else None

            visit_id = await until(let_in)
            (await clinical.post(f"/encounters/{encounter_id}/discharge", json={})).raise_for_status()

            async def is_over() -> bool:
                [visit] = (await desk.get("/visits")).raise_for_status().json()["items"]
                return visit["ended_at"] is not None

            await until(is_over)

        async def has_said_so() -> bool:
            connection = await asyncpg.connect(platform.database_url("visitors"))
            said = await connection.fetch("SELECT type, key FROM backbone.published WHERE type LIKE 'visit.%'")
            await connection.close()
            return [tuple(row) for row in said] == [("visit.ended", visit_id)]

        await until(has_said_so)


@asynccontextmanager
async def running(checkout: Checkout, servers: Servers) -> AsyncIterator[tuple[Platform, dict[str, str], str]]:
    """What the page's last command starts: the platform, where each service is, and a token for them.

    The services that were there before have their databases already; the new one's is made by the command.
    """
    prefix = f"test_{secrets.token_hex(4)}"
    environment = {
        "NILECARE_POSTGRES_URL": servers.postgres_url,
        "NILECARE_AMQP_URL": urlsplit(servers.amqp_url)._replace(path=f"/{prefix}").geturl(),
        "NILECARE_MANAGEMENT_URL": servers.management_url,
        "NILECARE_SECRET": secrets.token_hex(),
        "NILECARE_PREFIX": prefix,
        "NILECARE_JOURNAL": "1",
        "NILECARE_FACILITY_PORT": "0",
        "NILECARE_CLINICAL_PORT": "0",
        "NILECARE_VISITORS_PORT": "0",
    }
    platform = Platform.from_environment(environment)
    await prepare(platform, services())
    roles = "--role receptionist --role facility_manager --role registrar --role clinician"
    token = (await checkout.do(f"nilecare token {roles} --everywhere", environment)).strip()
    process = await checkout.start(f"{RUN} --log-level ERROR", environment)
    try:
        yield platform, await listening(process, len(RUN.split()) - 2), token
        process.terminate()
        assert await asyncio.wait_for(process.wait(), 30) == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        await drop(platform)


async def listening(process: Process, count: int) -> dict[str, str]:
    """Where so many services say that they listen."""
    assert process.stdout is not None
    async with asyncio.timeout(60):
        lines = [(await process.stdout.readline()).decode().split() for _ in range(count)]
    assert all(lines), f"it ended: {(await process.communicate())[1].decode()}"
    return {line[0]: line[1] for line in lines}


async def registered(clinical: httpx.AsyncClient) -> str | None:
    """A new patient; None while clinical has not heard of the facility."""
    asked = {
        "facility_id": FACILITY,
        "medical_record_number": "MRN-1",
        "full_name": "Nadia Osman",
        "birth_date": "1980-01-01",
        "sex": "female",
    }
    reply = await clinical.post("/patients", json=asked)
    return None if reply.status_code == 409 else str(reply.raise_for_status().json()["patient_id"])


async def begun_encounter(clinical: httpx.AsyncClient, patient_id: str) -> str:
    """An encounter of the patient that is in progress."""
    asked = {"patient_id": patient_id, "encounter_class": "inpatient"}
    encounter_id = str((await clinical.post("/encounters", json=asked)).raise_for_status().json()["encounter_id"])
    for step in ("arrive", "start"):
        (await clinical.post(f"/encounters/{encounter_id}/{step}", json={})).raise_for_status()
    return encounter_id


async def drop(platform: Platform) -> None:
    """Removes all that the platform made on the servers."""
    visitors = Service(name="visitors", port=0, contracts=ModuleType("contracts.visitors"))
    await drop_platform(platform, [*services(), visitors])
    async with httpx.AsyncClient(timeout=30) as client:
        await client.delete(f"{platform.management_url}/api/vhosts/{platform.vhost}")
