"""`nilecare run --all` and `nilecare status`: the platform as it is, in a process of its own, on servers with nothing of it."""

from __future__ import annotations

import asyncio
import json
import os
import re
import secrets
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from broker._management import Management
from broker.servers import Servers
from nilecare.addresses import Platform
from nilecare.platform import services
from nilecare.token import development_token
from tests.nilecare.test_rights import Ground
from tests.waiting import until

ALL = services()


@dataclass(slots=True)
class Running:
    """The platform at work: its environment, its process, and where each service is."""

    environment: dict[str, str]
    process: Process
    addresses: dict[str, str]

    @property
    def platform(self) -> Platform:
        """Where its servers are."""
        return Platform.from_environment(self.environment)

    async def status(self, *words: str) -> str:
        """What `nilecare status` prints."""
        asked = await nilecare(self.environment, "status", *words)
        out, err = await asyncio.wait_for(asked.communicate(), 60)
        assert asked.returncode == 0, err.decode()
        return out.decode()


async def nilecare(environment: dict[str, str], *words: str) -> Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "nilecare.cli", *words, env=environment, stdout=PIPE, stderr=PIPE
    )


@pytest.fixture(scope="module")
async def running(servers: Servers) -> AsyncIterator[Running]:
    prefix = f"test_{secrets.token_hex(4)}"
    amqp_url = str(httpx.URL(servers.amqp_url).copy_with(path=f"/{prefix}"))
    environment = dict(os.environ) | {
        "NILECARE_POSTGRES_URL": servers.postgres_url,
        "NILECARE_AMQP_URL": amqp_url,
        "NILECARE_MANAGEMENT_URL": servers.management_url,
        "NILECARE_SECRET": secrets.token_hex(),
        "NILECARE_PREFIX": prefix,
        **{f"NILECARE_{service.name.upper()}_PORT": "0" for service in ALL},
    }
    ground = Ground(Platform.from_environment(environment), tuple(ALL))
    process = await nilecare(environment, "run", "--all", "--log-level", "WARNING")
    try:
        yield Running(environment, process, await _addresses(process, environment))
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        await ground.drop()


async def _addresses(process: Process, environment: dict[str, str]) -> dict[str, str]:
    """Where each service says that it listens; `environment` says so from then on."""
    assert process.stdout is not None
    addresses: dict[str, str] = {}
    async with asyncio.timeout(60):
        for _ in ALL:
            name, address = (await process.stdout.readline()).decode().split()
            addresses[name] = address
            environment[f"NILECARE_{name.upper()}_PORT"] = address.rpartition(":")[2]
    return addresses


OPEN = {f"/api/v1/{name}" for name in ("register", "verify", "login", "refresh", "oauth/token", "jwks")}
"""What leads to a token at auth, and the keys to verify one with."""


async def test_every_service_is_closed(running: Running) -> None:
    """No route of any service answers without a token, but those that lead to one; a webhook asks for a signature."""
    async with httpx.AsyncClient() as client:
        for name, address in running.addresses.items():
            document = (await client.get(f"{address}/api/v1/openapi.json")).json()
            for path, operations in document["paths"].items():
                if name == "auth" and path in OPEN:
                    continue
                for method, operation in operations.items() if path.startswith("/api/") else ():
                    somewhere = re.sub(r"\{[^}]*\}", "00000000-0000-7000-8000-000000000000", path)
                    response = await client.request(method, address + somewhere)
                    refused = {401} if "security" in operation else {400, 401}
                    assert response.status_code in refused, f"{method} {path} says {response.status_code}"


async def test_a_development_token_is_accepted(running: Running) -> None:
    """What `nilecare token` issues is known to services that were started in development."""
    token = development_token(["nobody"])
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {token}"}) as client:
        response = await client.get(f"{running.addresses['clinical']}/api/v1/patients")
    assert response.status_code == 403


async def test_status(running: Running) -> None:
    """Status knows each service's health, outbox, queues with their consumers, failed messages and replicas."""

    async with Management(running.platform.management_url, running.platform.vhost) as rabbitmq:

        async def all_consume() -> bool:
            queues = await rabbitmq.all_of("queues")
            return all(queue.get("consumers") for queue in queues if not queue["name"].endswith(".dead"))

        await until(all_consume, within=60)

    async def all_well() -> dict[str, Any] | None:
        told: dict[str, Any] = {each["name"]: each for each in json.loads(await running.status("--json"))["services"]}
        queues = [queue for each in told.values() for name, queue in each["queues"].items() if not name.endswith(".dead")]
        well = all(each["health"] == "well" for each in told.values()) and all(queue["consumers"] for queue in queues)
        return told if well else None

    told = await until(all_well, within=60)
    assert told is not None
    assert set(told) == {service.name for service in ALL}
    for service in ALL:
        status = told[service.name]
        assert status["outbox_events"] is not None
        assert set(status["queues"]) == {*map(service.queue, service.subscriptions), service.dead_queue}
        assert set(status["replicas"]) == {replica.__tablename__ for replica in service.replicated}
        assert status["trouble"] is None
        assert all(set(queue["failed"]) <= {"retrying", "waiting", "held", "dead"} for queue in status["queues"].values())


async def test_the_end(running: Running) -> None:
    """Asked to end, it ends well and says nothing; status then says that nothing runs."""
    running.process.send_signal(signal.SIGINT)
    _, err = await asyncio.wait_for(running.process.communicate(), 30)
    assert running.process.returncode == 0
    assert err.decode() == ""
    shown = await running.status()
    assert shown.count("not running") == len(ALL)
    assert all(address.removeprefix("http://") in shown for address in running.addresses.values())
    assert f"asked as the environment says: PostgreSQL at {httpx.URL(running.platform.postgres_url).netloc.decode()}" in shown
    assert "no service answers there: start them (make up, or nilecare run --all)" in shown
