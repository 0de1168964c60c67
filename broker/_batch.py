"""One batch of deliveries of a subscription, as one transaction; blame falls on nobody until an event stands alone."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from broker._delivery import Delivery
from broker._envelope import Envelope
from broker._subscriptions import Subscription


class Processor(Protocol):
    """What a subscription's deliveries are given to."""

    async def process(self, deliveries: Sequence[Delivery]) -> None:
        """Gives each delivery its effect, or records why it has none; when it returns, they may all be acknowledged.

        May be called again with deliveries that it has seen. Raises what tells that the database is out of reach, and
        then nothing is acknowledged.
        """


class Failures(Protocol):
    """Where messages that cannot be handled are kept: `broker._failures.Failures`, as far as a batch needs it."""

    async def lock_held(self, session: AsyncSession, subscription: Subscription, keys: Collection[str]) -> set[str]:
        """Locks those of `keys` that open failed messages hold, in sorted order, and says which they are."""

    async def record(
        self,
        session: AsyncSession,
        subscription: Subscription,
        delivery: Delivery,
        envelope: Envelope | None,
        exception: Exception,
        *,
        attempts: int = 1,
    ) -> None:
        """Keeps a message that failed, and holds its key. Without an envelope nothing in it is believed or held."""

    async def hold(self, session: AsyncSession, subscription: Subscription, delivery: Delivery, envelope: Envelope) -> None:
        """Lays a message behind the failed one of its key."""

    async def known(self, session: AsyncSession, subscription: Subscription, ids: Collection[UUID]) -> set[UUID]:
        """Those of `ids` that took effect, or failed and are kept."""
