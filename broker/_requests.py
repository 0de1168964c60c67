"""How a service hears what people ask of it in the service `operations`: kept until `broker._operating` has answered it."""

from __future__ import annotations

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from broker._clock import clock
from broker._subscriptions import Subscription
from broker._tables import operation
from contracts.operations import OperationRequested


def subscription_to_requests(service: str) -> Subscription:
    """The subscription `operations` of a service."""

    async def take_request(event: OperationRequested, session: AsyncSession) -> None:
        """Keeps what is asked of this service, until it is answered."""
        if event.service == service:
            row = {"id": event.request_id, "request": event.model_dump(mode="json"), "requested_at": clock.now()}
            await session.execute(insert(operation).values(row).on_conflict_do_nothing())

    return Subscription(name="operations", events=(OperationRequested,), handler=take_request, on_failure="pass")
