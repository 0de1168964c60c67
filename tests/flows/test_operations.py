"""A message that nobody can handle is found, understood and let go in operations, which reaches into nobody's database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
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


async def ask(operator: httpx.AsyncClient, operation: str, position: int, **more: Any) -> str:
    """Asks billing for something; gives the request's id."""
    body = {"service": "billing", "operation": operation, "messages": {"positions": [position]}, **more}
    reply = await operator.post("/requests", json=body)
    assert reply.status_code == 202, reply.text
    return str(reply.json()["request_id"])


async def answered(operator: httpx.AsyncClient, request_id: str) -> Any:
    """What billing answers."""
    found: dict[str, Any] = {}

    async def is_there() -> bool:
        found.update((await operator.get(f"/requests/{request_id}")).json())
        return bool(found["state"] != "asked")

    await until(is_there)
    return found["answer"]


async def failed(running: Running, operator: httpx.AsyncClient) -> int:
    """Sends billing what it cannot read; gives the number of the dead letter, once operations knows of it."""
    platform, billing = running.platform, running.runtimes["billing"].database
    handle = await break_a_message(platform.service_amqp_url("clinical"), platform.account("clinical"), billing)
    await until(lambda: knows(operator, 1))
    return int(handle.partition("/")[2])


async def knows(operator: httpx.AsyncClient, count: int) -> bool:
    """Whether operations knows of so many failed messages of billing."""
    groups = (await operator.get("/failed-messages/groups", params={"service": "billing"})).json()
    return bool(sum(group["count"] for group in groups) == count)


async def test_a_broken_message_is_seen_understood_and_let_go(
    running: Running, hospital: Hospital, operator: httpx.AsyncClient
) -> None:
    """From its failure in billing to its end: by events alone, each way."""
    position = await failed(running, operator)
    (message,) = (await operator.get("/failed-messages", params={"service": "billing"})).json()["items"]
    assert (message["id"], message["state"]) == (f"billing/{position}", "dead")
    assert "breaks its contract" in message["reason"]
    shown = (await answered(operator, await ask(operator, "show", position)))["messages"][0]
    assert "does not know the contract" not in shown["body"]
    tried = (await answered(operator, await ask(operator, "try", position)))["trials"][0]
    assert (tried["result"], tried["is_well"]) == ("not valid", False)
    begun = await answered(operator, await ask(operator, "discard", position, why="sent by an unknown program"))
    await until(lambda: knows(operator, 0))

    async def is_done() -> bool:
        actions = (await operator.get("/failure-actions")).json()["items"]
        mine = [action for action in actions if action["id"] == begun["action_id"]]
        return bool(mine and mine[0]["state"] == "done" and mine[0]["outcomes"] == {"discarded": 1})

    await until(is_done)
    assert await running.rows("billing", "SELECT 1 FROM backbone.failed_message") == []


@pytest.mark.parametrize("away", ["the broker", "billing", "operations"])
async def test_a_request_outlives_whatever_is_away(
    running: Running, hospital: Hospital, operator: httpx.AsyncClient, away: str
) -> None:
    """It is carried out once, and answered, when all are back: what was asked of a service is not asked again."""
    position = await failed(running, operator)
    async with AsyncExitStack() as outage:
        if away == "the broker":
            outage.enter_context(running.without_broker())
        elif away == "billing":
            await outage.enter_async_context(running.down("billing"))
        request_id = await ask(operator, "discard", position, why="sent by an unknown program")
        if away == "operations":
            await outage.enter_async_context(running.down("operations"))
    begun = await answered(operator, request_id)
    await until(lambda: knows(operator, 0))
    assert begun["total"] == 1
    done = "SELECT outcome FROM backbone.action_message WHERE action = :action"
    assert [row.outcome for row in await running.rows("billing", done, action=begun["action_id"])] == ["discarded"]
