"""What tests of operations begin with: failed messages that services tell of."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from contracts.backbone import FailedMessageChanged
from contracts.billing import InvoiceChanged
from contracts.money import Money

EARLIER = datetime(2026, 3, 1, 8, tzinfo=UTC)


def invoice(number: str) -> InvoiceChanged:
    """Billing's word on an invoice."""
    hundred = Money.of("100.00", "USD")
    return InvoiceChanged(
        invoice_id=uuid4(), patient_id=uuid4(), facility_id=uuid4(), number=number, kind="patient", status="issued",
        total=hundred, balance=hundred, due_on=None, state_version=1,
    )  # fmt: skip


def failed(service: str, position: int, *, version: int = 1, **fields: Any) -> FailedMessageChanged:
    """A service's word on a failed message."""
    said: dict[str, Any] = {
        "message_id": uuid4(),
        "subscription": "allocate_payment",
        "state": "dead",
        "type": "payment.succeeded",
        "type_version": 1,
        "aggregate": str(uuid4()),
        "flow": uuid4(),
        "error": "InvoiceIsClosed",
        "reason": "An invoice that is closed takes no money.",
        "fingerprint": "InvoiceIsClosed in services.billing.commands.payments.allocate_payment",
        "attempts": 1,
        "due_at": None,
        "waits_for": None,
        "waits_key": None,
        "first_failed_at": EARLIER,
        "last_failed_at": EARLIER,
    }
    named = {"failed_message_id": f"{service}/{position}", "service": service, "position": position}
    return FailedMessageChanged(**said | named | {"state_version": version} | fields)
