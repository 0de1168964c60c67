"""What billing decides without asking anybody: prices, shares, states, due dates."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Protocol, TypeVar
from uuid import UUID

from contracts.billing import InvoiceStatus
from contracts.money import Money
from services.billing.errors import (
    AdjustmentIsMoreThanTheBalance,
    InvoiceCannotBecome,
    InvoiceNeedsAtLeastOneLine,
    LargeWriteOffNeedsASecondApprover,
    OnlyAnUnallocatedInvoiceCanBeVoided,
    PriceEndsBeforeItBegins,
)

TERMS = timedelta(days=30)
"""From issue to due date."""

WRITE_OFF_LIMIT = Decimal("500.00")
"""What one person may write off alone, in any currency."""

MOVES: Mapping[InvoiceStatus, frozenset[InvoiceStatus]] = {
    "draft": frozenset({"issued", "void"}),
    "issued": frozenset({"partially_paid", "paid", "overdue", "void", "written_off"}),
    "partially_paid": frozenset({"paid", "overdue", "written_off"}),
    "overdue": frozenset({"paid", "void", "written_off"}),
    "paid": frozenset(),
    "void": frozenset(),
    "written_off": frozenset(),
}

PAYABLE: frozenset[InvoiceStatus] = frozenset({"issued", "partially_paid", "overdue"})
"""The states in which money can be allocated to an invoice."""


def moved(status: InvoiceStatus, to: InvoiceStatus) -> InvoiceStatus:
    """The state after the move. Raises InvoiceCannotBecome."""
    if to not in MOVES[status]:
        raise InvoiceCannotBecome(status=status, to=to)
    return to


class Settled(Protocol):
    """What is looked at to tell an invoice's state after money came in."""

    @property
    def status(self) -> InvoiceStatus: ...
    @property
    def allocated(self) -> Money: ...
    @property
    def balance(self) -> Money: ...


def status_after_settling(invoice: Settled) -> InvoiceStatus:
    """Paid when nothing is open; an overdue invoice stays overdue until then."""
    if not invoice.balance:
        return moved(invoice.status, "paid")
    if invoice.status == "issued" and invoice.allocated:
        return moved(invoice.status, "partially_paid")
    return invoice.status


class Priced(Protocol):
    """A price and the days on which it applies."""

    @property
    def effective_from(self) -> date: ...
    @property
    def effective_to(self) -> date | None: ...
    @property
    def price(self) -> Money: ...


def price_on(day: date, prices: Iterable[Priced]) -> Money | None:
    """The price of a service given on `day`: the one that began last and has not ended; None when there is none."""
    begun = [price for price in prices if price.effective_from <= day]
    if not begun:
        return None
    latest = max(begun, key=lambda price: price.effective_from)
    return latest.price if latest.effective_to is None or day <= latest.effective_to else None


def check_period(effective_from: date, effective_to: date | None) -> None:
    """Raises PriceEndsBeforeItBegins."""
    if effective_to is not None and effective_to < effective_from:
        raise PriceEndsBeforeItBegins(effective_from=effective_from, effective_to=effective_to)


class OpenLine(Protocol):
    """A line of an invoice, as allocation sees it."""

    @property
    def priority(self) -> int: ...
    @property
    def position(self) -> int: ...
    @property
    def balance(self) -> Money: ...


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


Line = TypeVar("Line", bound=OpenLine)
Invoice = TypeVar("Invoice", bound=OpenInvoice)


def to_be_paid(invoices: Iterable[Invoice]) -> list[Invoice]:
    """Those that can be paid, in the order in which money on account settles them: the oldest due date first."""
    payable = [invoice for invoice in invoices if invoice.status in PAYABLE]
    return sorted(payable, key=lambda invoice: (invoice.due_on or date.max, invoice.number or "", invoice.invoice_id))


def cover(amount: Money, lines: Iterable[Line]) -> list[tuple[Line, Money]]:
    """How much of `amount` each open line gets: by priority, then as they stand, and never more than is open."""
    shares: list[tuple[Line, Money]] = []
    for line in sorted(lines, key=lambda line: (line.priority, line.position)):
        share = min(amount, line.balance)
        if share:
            shares.append((line, share))
            amount -= share
    return shares


def split(amount: Money, weights: Sequence[Money]) -> list[Money]:
    """`amount` in parts proportional to `weights`, each rounded half to even, the residual in the last.

    The parts are never negative and add up to `amount` exactly. Rounding up many parts may leave less than its due for a
    later one.
    """
    whole = Money.total(weights, amount.currency)
    if not whole:
        raise ValueError("the weights add up to zero")
    parts: list[Money] = []
    left = amount
    for weight in weights[:-1]:
        part = min(Money.of(amount.amount * weight.amount / whole.amount, amount.currency), left)
        parts.append(part)
        left -= part
    return [*parts, left]


def spread(amount: Money, lines: Sequence[Line]) -> list[tuple[Line, Money]]:
    """An adjustment's part on each line, proportional to what is open there.

    The residual falls on the last line; what is more than that line has open, on the ones before it.
    Raises AdjustmentIsMoreThanTheBalance.
    """
    balances = [line.balance for line in lines]
    if amount > Money.total(balances, amount.currency):
        raise AdjustmentIsMoreThanTheBalance(amount=amount)
    if not amount:
        return []
    parts = split(amount, balances)
    over = Money.of(0, amount.currency)
    for index in reversed(range(len(parts))):
        wanted = parts[index] + over
        parts[index] = min(wanted, balances[index])
        over = wanted - parts[index]
    return [(line, part) for line, part in zip(lines, parts, strict=True) if part]


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

    due_on: the terms apply when it is not given.
    """

    external_reference: str
    patient_id: UUID
    facility_id: UUID
    lines: tuple[ImportedLine, ...]
    encounter_id: UUID | None = None
    due_on: date | None = None

    def total(self) -> Money:
        """What it asks for. Raises InvoiceNeedsAtLeastOneLine."""
        if not self.lines:
            raise InvoiceNeedsAtLeastOneLine(external_reference=self.external_reference)
        return Money.total(line.amount for line in self.lines)


def check_voidable(allocated: Money, adjusted: Money) -> None:
    """Raises OnlyAnUnallocatedInvoiceCanBeVoided; a credit note is the way out of an invoice that was paid on."""
    if allocated or adjusted:
        raise OnlyAnUnallocatedInvoiceCanBeVoided(allocated=allocated, adjusted=adjusted)


def check_write_off(balance: Money, requested_by: str, approved_by: str | None) -> None:
    """Raises LargeWriteOffNeedsASecondApprover."""
    if balance.amount > WRITE_OFF_LIMIT and approved_by in {None, requested_by}:
        raise LargeWriteOffNeedsASecondApprover(limit=WRITE_OFF_LIMIT)


def due_after(issued_on: date) -> date:
    """The due date of an invoice issued on a day."""
    return issued_on + TERMS


def overdue_from(due_on: date) -> datetime:
    """The moment after which an invoice is overdue: the end of its due date, in UTC."""
    return datetime.combine(due_on + timedelta(days=1), time(), UTC)


def invoice_number(counter: int) -> str:
    """The number of a facility's invoice, from its gapless counter."""
    return f"INV-{counter:06d}"
