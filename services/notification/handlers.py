"""How notification reacts: to what others tell (announcements.py says whom of what), to its own clock, and to the channels."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncSession

from broker import Envelope, on
from contracts.auth import UserErased
from contracts.event import Event
from contracts.notification import DigestDue, NotificationDue
from services.notification import commands
from services.notification.announcements import AT_ONCE, IN_TURN
from services.notification.outside import Answer, Mail, ShortMessage, send_mail, send_short_message


@on(*AT_ONCE, on_failure="pass")
async def tell_at_once(event: Event, session: AsyncSession, envelope: Envelope) -> None:
    """What cannot wait has a queue of its own, where it stands behind nothing else, not even of the same account or result."""
    await commands.announce(session, event, envelope.time, at_once=True)


@on(*IN_TURN)
async def tell_in_turn(event: Event, session: AsyncSession, envelope: Envelope) -> None:
    """Everything else that people are told of."""
    await commands.announce(session, event, envelope.time, at_once=False)


@on(NotificationDue)
async def go_on(event: NotificationDue, session: AsyncSession) -> None:
    """Quiet hours are over, or a channel has been left alone for long enough."""
    await commands.go_on(session, event.notification_id)


@on(DigestDue)
async def send_digest(event: DigestDue, session: AsyncSession) -> None:
    """The hour has come at which somebody wants to hear of everything together."""
    await commands.send_digest(session, event.recipient_kind, event.recipient_id)


@on(UserErased)
async def erase_user(event: UserErased, session: AsyncSession) -> None:
    """What a user was told, and where, is forgotten."""
    await commands.erase_user(session, event.user_id)


@send_mail.then
async def hear_of_mail(session: AsyncSession, request: Mail, answer: Answer) -> None:
    """The mail server took it, or did not."""
    await commands.hear(session, request.delivery_id, answer.verdict, answer.code)


@send_short_message.then
async def hear_of_short_message(session: AsyncSession, request: ShortMessage, answer: Answer) -> None:
    """The gateway took it, or did not."""
    await commands.hear(session, request.delivery_id, answer.verdict, answer.code)
