"""Instalment plans: how a balance is cut into parts, when they are due, and which of them are settled."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_DOWN, Decimal
from itertools import accumulate
from typing import Literal

from broker import LifeCycle
from contracts.billing import InvoiceStatus
from contracts.money import CENT, Money
from services.payment.errors import (
    FirstInstallmentIsInThePast,
    InstallmentCannotBecome,
    InstallmentsAreTooSmall,
    InvoiceIsBeingPaid,
    PlanCannotBecome,
)

PlanStatus = Literal["active", "completed", "defaulted", "cancelled"]

PLAN = LifeCycle[PlanStatus](
    {"active": {"completed", "defaulted", "cancelled"}, "completed": set(), "defaulted": set(), "cancelled": set()},
    refused=PlanCannotBecome,
)
"""A plan ends with its invoice, or when too many instalments are missed."""

ENDS_AS: Mapping[InvoiceStatus, PlanStatus] = {"paid": "completed", "void": "cancelled", "written_off": "cancelled"}
"""How a plan ends with its invoice: completed once nothing is open, cancelled when nobody will pay it any more."""

InstallmentStatus = Literal["scheduled", "due", "overdue", "paid"]

INSTALLMENT = LifeCycle[InstallmentStatus](
    {
        "scheduled": {"due", "paid"},
        "due": {"overdue", "paid"},
        "overdue": {"paid"},
        "paid": {"scheduled"},
    },
    refused=InstallmentCannotBecome,
)
"""One that was settled is scheduled anew when its invoice is open again: the money was refunded, or lost in a dispute."""

GRACE_DAYS = 7
"""Days after its due date in which an instalment is not overdue yet, if nothing else was agreed."""

MISSED_UNTIL_DEFAULT = 2
"""Instalments that are overdue at the same time when a plan is given up, if nothing else was agreed."""


@dataclass(frozen=True, slots=True)
class Part:
    """An instalment, as it is agreed."""

    number: int
    due_on: date
    amount: Money


def agreed_parts(balance: Money, count: int, first_due_on: date, *, today: date, under_way: Money) -> list[Part]:
    """The balance in `count` parts, a month apart. They sum exactly to it: what does not divide is on the last.

    Raises InvoiceIsBeingPaid, FirstInstallmentIsInThePast, InstallmentsAreTooSmall.
    """
    if under_way:
        raise InvoiceIsBeingPaid(under_way=under_way)
    if first_due_on < today:
        raise FirstInstallmentIsInThePast
    part = Money.of((balance.amount / count).quantize(CENT, rounding=ROUND_DOWN), balance.currency)
    if not part:
        raise InstallmentsAreTooSmall
    amounts = [part] * (count - 1) + [balance - part * (count - 1)]
    return [Part(number, months_after(first_due_on, number - 1), amount) for number, amount in enumerate(amounts, 1)]


def months_after(first: date, months: int) -> date:
    """The same day, that many months later; the last day of a month that is too short, and of none after it."""
    years, month = divmod(first.month - 1 + months, 12)
    year, month = first.year + years, month + 1
    return date(year, month, min(first.day, monthrange(year, month)[1]))


def settled(amounts: Sequence[Decimal], open_amount: Decimal, *, returned: Decimal = Decimal(0)) -> list[Decimal]:
    """How much of each instalment is settled when `open_amount` is open on the invoice: the oldest first.

    However it was settled: paid, with a credit, or not asked for any more. returned: what was paid before the plan was agreed
    and went back since; it is open beside the plan.
    """
    in_all = sum(amounts, Decimal(0)) - (open_amount - returned)
    before = [Decimal(0), *accumulate(amounts)]
    return [min(max(in_all - start, Decimal(0)), amount) for start, amount in zip(before, amounts, strict=False)]


def is_defaulted(statuses: Sequence[InstallmentStatus], missed_until_default: int) -> bool:
    """Whether the payer has missed too many instalments."""
    return statuses.count("overdue") >= missed_until_default
