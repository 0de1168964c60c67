"""Notification at work over a database of its own, with a mail server and a message gateway that it really speaks to."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from broker import clock
from broker._calls import CallWorkers
from broker._listener import Listener
from broker._schedule import Scheduler
from contracts.event import Event
from contracts.notification import DigestDue, NotificationDue
from nilecare.simulator import Mail, MailSink, MessageGateway
from services.notification.app import service
from tests.services.kit import Workplace
from tests.services.notification.given import NOON, facility, patient, user
from tests.services.shared import Workplaces

SECRET = "gw_test"
OPEN = "SELECT count(*) FROM backbone.call WHERE state NOT IN ('answered', 'given_up')"


@dataclass
class Desk:
    """Notification, what it posts with, and where that arrives."""

    work: Workplace
    workers: CallWorkers
    mails: MailSink
    messages: MessageGateway
    told: set[str] = field(default_factory=set)

    async def hears(self, *events: Event) -> None:
        """Something happens, and whatever follows at once is over."""
        for event in events:
            await self.work.deliver(event)
        await self.settle()

    async def settle(self) -> None:
        """Everything that was handed to a channel is over, with the receipts."""
        while True:
            await self.workers.run_once()
            await self.workers.idle()
            for receipts in (self.mails.receipts, self.messages.receipts):
                await receipts.idle()
            [(left,)] = await self.rows(OPEN)
            if not left:
                return

    async def at(self, moment: datetime) -> None:
        """It is this time now, and what was due by then has happened."""
        clock.shift = moment - datetime.now(UTC)
        await Scheduler(self.work.database).run_once()
        for event in [*await self.work.published(NotificationDue), *await self.work.published(DigestDue)]:
            if event.model_dump_json() not in self.told:
                await self.work.deliver(event)
        await self.work_off_due()
        await self.settle()

    async def later(self, **by: float) -> None:
        """Some time passes."""
        await self.at(clock.now() + timedelta(**by))

    async def work_off_due(self) -> None:
        """What was due has been handled once; it may become due again."""
        async with self.work.transaction() as session:
            await session.execute(
                text("DELETE FROM backbone.outbox WHERE type IN ('notification.due', 'notification.digest.due')")
            )

    async def rows(self, query: str, **values: object) -> list[Any]:
        """What the database says."""
        async with self.work.database.engine.connect() as connection:
            return list((await connection.execute(text(query), values)).all())

    async def states(self, topic: str | None = None, of: UUID | None = None) -> list[tuple[str, str | None]]:
        """State and reason of each notification, the oldest first."""
        rows = await self.rows(
            "SELECT status, reason, topic, recipient_id FROM notifications ORDER BY queued_at, notification_id"
        )
        return [(row.status, row.reason) for row in rows if topic in (None, row.topic) and of in (None, row.recipient_id)]

    async def attempts(self) -> list[tuple[str, str]]:
        """Channel and state of each attempt, in order."""
        rows = await self.rows("SELECT channel, status FROM deliveries ORDER BY asked_at, attempt")
        return [(row.channel, row.status) for row in rows]

    def mail(self, to: str) -> Mail:
        """The one mail for an address."""
        [mail] = self.mails.mails_to(to)
        return mail


@pytest.fixture
async def desk(workplaces: Workplaces) -> AsyncIterator[Desk]:
    """Noon, with a facility, a patient and a clinician, who are reached by mail and phone."""
    async with workplaces.of(service) as workplace:
        workplace.app.state.outside = {"message_gateway_secret": SECRET}
        listener = Listener(workplace.app, "127.0.0.1", 0)
        await listener.start()
        url = f"http://127.0.0.1:{listener.port}/api/v1/receipts"
        mails = MailSink(secret=SECRET, receipts_url=url)
        messages = MessageGateway(secret=SECRET, receipts_url=url, mails=mails)
        async with mails.serving() as smtp, messages.serving() as gateway:
            outside = {
                "smtp": smtp,
                "mail_from": "Nile Hospital <hospital@nile.example>",
                "message_gateway": gateway,
                "message_gateway_secret": SECRET,
            }
            workers = CallWorkers(workplace.database, service.calls, outside, first_pause=1e-6)
            desk = Desk(workplace, workers, mails, messages)
            clock.shift = NOON - datetime.now(UTC)
            await desk.hears(facility(), patient(), user())
            yield desk
            await workers.close()
        await listener.stop()
