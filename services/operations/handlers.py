"""What operations hears of services."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncSession

from broker import on
from contracts.backbone import OperationAnswered
from services.operations import commands


@on(OperationAnswered, on_failure="pass")
async def take_answer(event: OperationAnswered, session: AsyncSession) -> None:
    """What was asked of a service is answered."""
    await commands.take_answer(session, event)
