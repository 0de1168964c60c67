"""How a service hears what people ask of it in the service `operations`: kept until `broker._operating` has answered it."""

from __future__ import annotations

from sqlalchemy import delete
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from broker._clock import clock
from broker._publishing import publish
from broker._subscriptions import Subscription
from broker._tables import operation
from contracts.backbone import OperationAnswered
from contracts.operations import OperationRequested, OperationWithdrawn


def subscription_to_requests(service: str) -> Subscription:
    """The subscription `operations` of a service."""

    async def take_request(said: OperationRequested | OperationWithdrawn, session: AsyncSession) -> None:
        """Keeps what is asked of this service, until it is answered; lets go what is withdrawn before it was begun."""
        if said.service != service:
            return
        if isinstance(said, OperationWithdrawn):
            await _let_go(session, said)
        else:
            row = {"id": said.request_id, "request": said.model_dump(mode="json"), "requested_at": clock.now()}
            await session.execute(insert(operation).values(row).on_conflict_do_nothing())

    events = (OperationRequested, OperationWithdrawn)
    return Subscription(name="operations", events=events, handler=take_request, on_failure="pass")


async def _let_go(session: AsyncSession, withdrawn: OperationWithdrawn) -> None:
    """One that is being carried out is waited for: it is answered, and goes on."""
    waiting = delete(operation).where(operation.c.id == withdrawn.request_id).returning(operation.c.id)
    if await session.scalar(waiting) is not None:
        refusal = f"{withdrawn.withdrawn_by} withdrew it before it was begun"
        publish(session, OperationAnswered(request_id=withdrawn.request_id, service=withdrawn.service, refusal=refusal))
