"""A message that nobody can handle is found, understood and let go in operations, which reaches into nobody's database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack
from typing import Any
from uuid import UUID

import httpx
import pytest

from broker.testing import Flow, Started
from contracts.operations import OperationRequested
from services.operations.rules import OPERATOR, VIEWER
from tests.flows.broken import SENT, broken
from tests.flows.running import Running


@pytest.fixture
async def operator(running: Running) -> AsyncIterator[httpx.AsyncClient]:
    token = running.deployment.token(OPERATOR, VIEWER, subject="amani")
    async with running.deployment.client("operations", token) as client:
        yield client


@pytest.fixture
async def position(running: Running) -> int:
    """The number of a dead letter of billing's."""
    return int((await broken(running)).partition("/")[2])


def asks(operator: httpx.AsyncClient, operation: str, position: int, **more: Any) -> Awaitable[httpx.Response]:
    """Wants billing to do something with a message."""
    body = {"service": "billing", "operation": operation, "messages": {"positions": [position]}, **more}
    return operator.post("/requests", json=body)


async def answer(running: Running, f: Started, operator: httpx.AsyncClient, reply: httpx.Response) -> Any:
    """What billing answers: in its own time, in a flow of its own."""
    assert reply.status_code == 202, reply.text
    request_id = reply.json()["request_id"]
    requested = await f.published(OperationRequested, by="operations", request_id=UUID(request_id)).once()
    await f.handled(requested, by="billing.operations")
    await running.settled()
    return (await operator.get(f"/requests/{request_id}")).json()["answer"]


async def dead(operator: httpx.AsyncClient) -> list[Any]:
    """What operations knows of billing's failed messages."""
    listed: list[Any] = (await operator.get("/failed-messages", params={"service": "billing"})).json()["items"]
    return listed


async def outcome(operator: httpx.AsyncClient, begun: Any) -> tuple[str, Any]:
    """What became of something that billing began to do."""
    actions = (await operator.get("/failure-actions")).json()["items"]
    [action] = [each for each in actions if each["id"] == begun["action_id"]]
    return action["state"], action["outcomes"]


async def test_a_broken_message_is_seen_understood_and_let_go(
    running: Running, flow: Flow, operator: httpx.AsyncClient, position: int
) -> None:
    """From its failure in billing to its end: by events alone, each way."""
    [message] = await dead(operator)
    assert (message["id"], message["state"]) == (f"billing/{position}", "dead")
    assert "breaks its contract" in message["reason"]
    async with flow.started_by(asks(operator, "show", position)) as f:
        [shown] = (await answer(running, f, operator, f.result))["messages"]
    assert SENT not in shown["body"]
    async with flow.started_by(asks(operator, "try", position)) as f:
        [tried] = (await answer(running, f, operator, f.result))["trials"]
    assert (tried["result"], tried["is_well"]) == ("not valid", False)
    async with flow.started_by(asks(operator, "discard", position, why="sent by an unknown program")) as f:
        begun = await answer(running, f, operator, f.result)
    await running.settled()
    assert await dead(operator) == []
    assert await outcome(operator, begun) == ("done", {"discarded": 1})


@pytest.mark.parametrize("away", ["the broker", "billing", "operations"])
async def test_a_request_outlives_whatever_is_away(
    running: Running, flow: Flow, operator: httpx.AsyncClient, position: int, away: str
) -> None:
    """It is carried out once, and answered, when all are back: what was asked of a service is not asked again."""
    async with flow.started_by() as f:
        async with AsyncExitStack() as outage:
            if away == "the broker":
                outage.enter_context(flow.without_broker())
            elif away == "billing":
                await outage.enter_async_context(flow.down("billing"))
            reply = await asks(operator, "discard", position, why="sent by an unknown program")
            if away == "operations":
                await outage.enter_async_context(flow.down("operations"))
        begun = await answer(running, f, operator, reply)
    await running.settled()
    assert await dead(operator) == []
    assert begun["total"] == 1
    assert await outcome(operator, begun) == ("done", {"discarded": 1})
