"""A failed message in full, for a person: what it says, as far as they may see it, what it said before, and what was done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from broker._actions import Action, Asker, Part, past_of
from broker._corrections import reveal
from broker._dead_letters import FailedMessage, Filter, find
from broker._masking import masked
from broker._replay import Retrier
from broker._tables import correction


@dataclass(frozen=True, slots=True)
class Inspected:
    """A message with its body, the bodies that corrections replaced, and what people did about it, the oldest first.

    headers: the envelope's, of our own making. Any other may hold what its sender liked.
    """

    message: FailedMessage
    headers: dict[str, Any]
    body: str
    before: list[str]
    past: list[tuple[Action, Part]]


async def inspect(
    session: AsyncSession, retrier: Retrier, wanted: Filter, *, limit: int, asker: Asker | None = None
) -> list[Inspected]:
    """The messages that are wanted, oldest first; personal data is masked but for an `asker`, who is written down."""
    found = await find(session, wanted, limit=limit, with_stack=True, with_body=True)
    if asker is not None and found:
        await reveal(session, Filter(positions=tuple(each.position for each in found)), asker)
    return [await _inspected(session, retrier, each, is_masked=asker is None) for each in found]


async def _inspected(session: AsyncSession, retrier: Retrier, message: FailedMessage, *, is_masked: bool) -> Inspected:
    subscription = retrier.subscriptions.get(message.subscription)
    event = subscription.contract(message.type) if subscription else None

    def said(body: bytes) -> str:
        return masked(body, event) if is_masked else body.decode("utf-8", "replace")

    replaced = select(correction.c.before).where(correction.c.position == message.position).order_by(correction.c.action)
    headers = (message.properties or {}).get("headers") or {}
    return Inspected(
        message,
        {name: value for name, value in headers.items() if message.id and name.startswith("cloudEvents:")},
        said(message.body or b""),
        [said(before) for before in await session.scalars(replaced)],
        await past_of(session, message.position),
    )
