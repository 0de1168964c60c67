"""From an event to a mail: who is told, once, and over which channel."""

from __future__ import annotations

from contracts.notification import NotificationDelivered, NotificationSent
from tests.services.notification.conftest import Desk
from tests.services.notification.given import NAME, PATIENT, PATIENT_MAIL, issued


async def test_a_patient_is_told_by_mail(desk: Desk) -> None:
    """It arrives, says what there is to say, and others hear that it was sent and delivered, not what it says."""
    await desk.hears(issued())
    mail = desk.mail(PATIENT_MAIL)
    assert mail.subject == "Invoice 2026-000007 of Nile Hospital"
    assert mail.body == f"Dear {NAME},\n\nyour invoice 2026-000007 of Nile Hospital is 40.00 USD, due on 2026-04-09.\n"
    assert await desk.states() == [("delivered", None)]
    [sent], [delivered] = await desk.work.published(NotificationSent), await desk.work.published(NotificationDelivered)
    assert (sent.topic, sent.channel, sent.recipient_id) == ("invoice.issued", "email", PATIENT)
    assert NAME not in sent.model_dump_json() + delivered.model_dump_json()
