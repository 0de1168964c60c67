"""Who follows what, over HTTP."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select

from broker import Idempotent, Page, PageRequest, Reading, Router, Transaction
from services.notification import commands, tables, views
from services.notification.api.access import Manager

router = Router(prefix="/subscriptions")


@router.post("", status_code=201)
async def follow(asked: views.NewSubscription, who: Manager, session: Transaction, key: Idempotent) -> views.Subscription:
    """Lets one user, or all who have a role at a facility, hear of a topic there."""
    who.at(asked.facility_id)
    return views.Subscription.model_validate(await commands.follow(session, **dict(asked)))


@router.get("")
async def list_subscriptions(who: Manager, session: Reading, page: PageRequest) -> Page[views.Subscription]:
    """Who follows what, the oldest first."""
    followed = tables.Subscription
    query = select(followed).where(who.within(followed.facility_id))
    by = [followed.since, followed.subscription_id]
    return await page.read(session, query, by=by, view=views.Subscription.model_validate)


@router.delete("/{subscription_id}", status_code=204)
async def unfollow(subscription_id: UUID, who: Manager, session: Transaction) -> None:
    """Ends it."""
    subscription = await tables.Subscription.locked(session, subscription_id)
    who.at(subscription.facility_id)
    await commands.unfollow(session, subscription)
