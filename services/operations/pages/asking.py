"""Asking a service, and waiting for its answer as long as a person waits for a page."""

from __future__ import annotations

import asyncio
import time
from typing import Any, cast

from fastapi import Request

from broker import Principal
from contracts.operations import Operation, Wanted
from services.operations import commands, overview
from services.operations.tables import OperationRequest

PATIENCE = 8.0
"""Seconds to wait for an answer."""

BRIEFLY = 1.0
"""Seconds to wait for one of a service that is known to be down."""

LOOK = 0.1
"""Seconds between two looks for it."""


class NoAnswer(Exception):
    """The service has not answered: it may be down. It begins what was asked when it is back, if that is soon enough."""

    def __init__(self, request: OperationRequest) -> None:
        super().__init__(f"{request.service} has not answered: it may be down.")
        self.request = request


class Refusal(Exception):
    """The service will not do it; the text says why."""


async def ask(
    request: Request, who: Principal, service: str, operation: Operation, why: str, wanted: Wanted, **more: Any
) -> OperationRequest:
    """Asks, and gives what was answered. Raises NoAnswer, Refusal, and as `commands.ask`."""
    database = request.app.state.database
    async with database.transaction() as session:
        asked = await commands.ask(session, who, service, operation, why, wanted, **more)
        is_down = await overview.is_down(session, service)
    until = time.monotonic() + (BRIEFLY if is_down else PATIENCE)
    while time.monotonic() < until:
        async with database.transaction() as session:
            found = cast("OperationRequest", await session.get(OperationRequest, asked.request_id))
            if found.state == "refused":
                raise Refusal(found.refusal)
            if found.state == "answered":
                return found
        await asyncio.sleep(LOOK)
    raise NoAnswer(asked)
