"""What was collected for a person, sent as one mail."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from broker import clock
from contracts.notification import RecipientKind
from services.notification.commands.dispatching import compose, dispatch, goes_by_mail, suppress
from services.notification.commands.people import Person, contact_hours
from services.notification.errors import VariableIsMissing
from services.notification.tables import Notification
from services.notification.topics import DIGEST


async def send_digest(session: AsyncSession, kind: RecipientKind, id_: UUID) -> None:
    """Sends what waits for a person's digest; nothing where nothing waits.

    Meanwhile they may have left, or said something else: what is not to go to them by mail any more goes its own way.
    """
    collected = await _collected(session, kind, id_)
    person = await Person.of(session, kind, id_)
    carried = []
    for each in collected:
        if person is None or not await goes_by_mail(session, each, person):
            each.is_collected = False
            await dispatch(session, each)
        elif await _is_rendered(session, each, person):
            carried.append(each)
    if person is not None and carried:
        await _carry(session, carried, person)


async def _collected(session: AsyncSession, kind: RecipientKind, id_: UUID) -> list[Notification]:
    waits = {"recipient_kind": kind, "recipient_id": id_, "is_collected": True, "status": "queued"}
    query = select(Notification).filter_by(**waits).order_by(Notification.queued_at, Notification.notification_id)
    return list(await session.scalars(query.with_for_update()))


async def _is_rendered(session: AsyncSession, notification: Notification, person: Person) -> bool:
    _, zone = await contact_hours(session, person)
    try:
        content, _ = await compose(session, notification, person, "email", zone)
    except VariableIsMissing:
        await suppress(session, notification, "missing_variable")
        return False
    notification.subject, notification.body = content.subject, content.body
    return True


async def _carry(session: AsyncSession, carried: list[Notification], person: Person) -> None:
    """The digest is a notification of its own; those that it carries share its fate."""
    first = carried[0]
    digest = Notification(
        recipient_kind=person.kind,
        recipient_id=person.id,
        facility_id=None,
        topic=DIGEST,
        fact=str(first.notification_id),
        status="queued",
        variables={"items": [each.subject for each in carried]},
        is_collected=False,
        flow=first.flow,
        queued_at=clock.now(),
    )
    session.add(digest)
    await session.flush()
    for each in carried:
        each.is_collected, each.digest_id = False, digest.notification_id
    await dispatch(session, digest)
