"""Invoices: their states, due dates and numbers, and those that another system calculated."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo
from decimal import Decimal
from typing import Protocol, TypeVar
from uuid import UUID

from broker import LifeCycle
from contracts.billing import InvoiceStatus
from contracts.money import Money
from services.billing.errors import (
    FacilityIsNotActive,
    InvoiceCannotBecome,
    InvoiceNeedsAtLeastOneLine,
    OnlyAnUnallocatedInvoiceCanBeVoided,
)

TERMS = timedelta(days=30)
"""From issue to due date."""

INVOICE = LifeCycle[InvoiceStatus](
    {
        "draft": {"issued", "void"},
        "issued": {"partially_paid", "paid", "overdue", "void", "written_off"},
        "partially_paid": {"issued", "paid", "overdue", "written_off"},
        "overdue": {"paid", "void", "written_off"},
        "paid": {"issued", "partially_paid", "overdue"},
        "written_off": {"issued", "partially_paid", "overdue"},
        "void": set(),
    },
    refused=InvoiceCannotBecome,
)
"""What was settled opens again when the money that settled it goes back to the payer."""

PAYABLE: frozenset[InvoiceStatus] = frozenset({"issued", "partially_paid", "overdue"})
"""The states in which money can be allocated to an invoice."""

SETTLED: frozenset[InvoiceStatus] = frozenset({"paid", "written_off"})
"""The states in which nothing is open on an invoice any more."""


class Settled(Protocol):
    """What is looked at to tell an invoice's state after money came or went."""

    @property
    def status(self) -> InvoiceStatus: ...
    @property
    def allocated(self) -> Money: ...
    @property
    def balance(self) -> Money: ...


class Reopened(Settled, Protocol):
    """The same, when money went."""

    @property
    def due_on(self) -> date | None: ...
    @property
    def is_held(self) -> bool: ...


def status_after_settling(invoice: Settled) -> InvoiceStatus:
    """Paid when nothing is open; an overdue invoice stays overdue until then."""
    if not invoice.balance:
        return INVOICE.moved(invoice.status, "paid")
    if invoice.status == "issued" and invoice.allocated:
        return INVOICE.moved(invoice.status, "partially_paid")
    return invoice.status


def status_after_reversal(invoice: Reopened, now: datetime, zone: tzinfo) -> InvoiceStatus:
    """What an invoice is again when money that had settled it is gone: by its due date, unless a dispute holds it."""
    if invoice.status == "overdue":
        return "overdue"
    if invoice.due_on is not None and overdue_from(invoice.due_on, zone) <= now and not invoice.is_held:
        to: InvoiceStatus = "overdue"
    else:
        to = "partially_paid" if invoice.allocated else "issued"
    return to if to == invoice.status else INVOICE.moved(invoice.status, to)


def check_facility(status: str) -> None:
    """Raises FacilityIsNotActive."""
    if status != "active":
        raise FacilityIsNotActive


class OpenInvoice(Protocol):
    """An invoice, as the choice of what to pay sees it."""

    @property
    def invoice_id(self) -> UUID: ...
    @property
    def status(self) -> InvoiceStatus: ...
    @property
    def due_on(self) -> date | None: ...
    @property
    def number(self) -> str | None: ...


Invoice = TypeVar("Invoice", bound=OpenInvoice)


def to_be_paid(invoices: Iterable[Invoice]) -> list[Invoice]:
    """Those that can be paid, in the order in which money on account settles them: the oldest due date first."""
    payable = [invoice for invoice in invoices if invoice.status in PAYABLE]
    return sorted(payable, key=lambda invoice: (invoice.due_on or date.max, invoice.number or "", invoice.invoice_id))


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedLine:
    """A line of an invoice that another system calculated. Lines of a lower `priority` are paid first."""

    code: str
    description: str
    amount: Money
    quantity: Decimal = Decimal(1)
    priority: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedInvoice:
    """An invoice that another system calculated; `external_reference` is what that system calls it.

    due_on: the terms apply when it is not given. issued_at: now, when it is not given.
    """

    external_reference: str
    patient_id: UUID
    facility_id: UUID
    lines: tuple[ImportedLine, ...]
    encounter_id: UUID | None = None
    due_on: date | None = None
    issued_at: datetime | None = None

    def total(self) -> Money:
        """What it asks for. Raises InvoiceNeedsAtLeastOneLine."""
        if not self.lines:
            raise InvoiceNeedsAtLeastOneLine(external_reference=self.external_reference)
        return Money.total(line.amount for line in self.lines)


def check_voidable(allocated: Money, adjusted: Money) -> None:
    """Raises OnlyAnUnallocatedInvoiceCanBeVoided; a credit note is the way out of an invoice that was paid on."""
    if allocated or adjusted:
        raise OnlyAnUnallocatedInvoiceCanBeVoided(allocated=allocated, adjusted=adjusted)


def due_after(issued_on: date) -> date:
    """The due date of an invoice issued on a day."""
    return issued_on + TERMS


def overdue_from(due_on: date, zone: tzinfo) -> datetime:
    """The moment after which an invoice is overdue: the end of its due date, in its facility's zone."""
    return datetime.combine(due_on + timedelta(days=1), time(), zone)


def invoice_number(counter: int) -> str:
    """The number of a facility's invoice, from its gapless counter."""
    return f"INV-{counter:06d}"
