"""A message that nobody can handle is found, understood and let go in operations, which reaches into nobody's database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from nilecare.demo.broken import break_a_message
from nilecare.token import development_token
from services.operations.rules import OPERATOR, VIEWER
from tests.flows.hospital import Hospital
from tests.flows.running import Running
from tests.waiting import until


@pytest.fixture
async def operator(running: Running) -> AsyncIterator[httpx.AsyncClient]:
    token = development_token([OPERATOR, VIEWER], subject="amani", file=running.key_file)
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=running.address("operations"), headers=headers, timeout=30) as client:
        yield client


async def asked(operator: httpx.AsyncClient, operation: str, position: int, **more: Any) -> Any:
    """What billing answers."""
    body = {"service": "billing", "operation": operation, "messages": {"positions": [position]}, **more}
    reply = await operator.post("/requests", json=body)
    assert reply.status_code == 202, reply.text
    request_id, found = reply.json()["request_id"], {}

    async def answered() -> bool:
        found.update((await operator.get(f"/requests/{request_id}")).json())
        return bool(found["state"] != "asked")

    await until(answered)
    return found


async def test_a_broken_message_is_seen_understood_and_let_go(
    running: Running, hospital: Hospital, operator: httpx.AsyncClient
) -> None:
    """From its failure in billing to its end: by events alone, each way."""
    platform = running.platform
    billing = running.runtimes["billing"].database
    handle = await break_a_message(platform.service_amqp_url("clinical"), platform.account("clinical"), billing)
    position = int(handle.partition("/")[2])

    async def known(count: int) -> bool:
        groups = (await operator.get("/failed-messages/groups", params={"service": "billing"})).json()
        return bool(sum(group["count"] for group in groups) == count)

    await until(lambda: known(1))
    (message,) = (await operator.get("/failed-messages", params={"service": "billing"})).json()["items"]
    assert (message["id"], message["state"]) == (handle, "dead")
    assert "breaks its contract" in message["reason"]
    shown = (await asked(operator, "show", position))["answer"]["messages"][0]
    assert "does not know the contract" not in shown["body"]
    tried = (await asked(operator, "try", position))["answer"]["trials"][0]
    assert (tried["result"], tried["is_well"]) == ("not valid", False)
    begun = (await asked(operator, "discard", position, why="sent by a program that does not know the contract"))["answer"]
    await until(lambda: known(0))

    async def is_done() -> bool:
        actions = (await operator.get("/failure-actions")).json()["items"]
        mine = [action for action in actions if action["id"] == begun["action_id"]]
        return bool(mine and mine[0]["state"] == "done" and mine[0]["outcomes"] == {"discarded": 1})

    await until(is_done)
    assert await running.rows("billing", "SELECT 1 FROM backbone.failed_message") == []
