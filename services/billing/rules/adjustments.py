"""What lowers a balance without money: reason codes, and what one person decides alone or two together."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal, get_args

from broker import LifeCycle
from contracts.billing import InvoiceStatus
from contracts.money import Money
from services.billing.errors import (
    ApproverMustBeAnotherPerson,
    BalanceGrewSinceTheRequest,
    CreditNoteIsMoreThanWasInvoiced,
    LargeAdjustmentNeedsASecondApprover,
    LargeCreditNoteNeedsASecondApprover,
    LargeWriteOffNeedsASecondApprover,
    OnlyAnIssuedInvoiceIsClaimedOrCredited,
    OnlyAnIssuedInvoiceIsLowered,
    RequestCannotBecome,
)

Discretion = Literal["courtesy", "hardship", "billing_error", "prompt_payment", "other"]
"""Why a person lowers a balance."""

ReasonCode = Literal[Discretion, "contractual", "coupon", "credit_note", "write_off"]
"""Why a balance was lowered. `contractual` is what ANSI X12 835 calls CO: a provider does not ask anybody for it."""

GIVEN_UP: frozenset[ReasonCode] = frozenset({*get_args(Discretion), "write_off", "credit_note"})
"""Why a balance was lowered that nobody but a person wanted lowered."""

WRITE_OFF_LIMIT = Decimal("500.00")
"""What one person may write off of an invoice, take back or lower it at their discretion, alone and in all, in any currency."""

NOT_ISSUED: frozenset[InvoiceStatus] = frozenset({"draft", "void"})
"""The states in which an invoice does not count."""

RequestStatus = Literal["requested", "approved", "refused"]

REQUEST = LifeCycle[RequestStatus](
    {
        "requested": {"approved", "refused"},
        "approved": set(),
        "refused": set(),
    },
    refused=RequestCannotBecome,
)


def check_discretion(amount: Money, given_up: Money, posted_by: str, approved_by: str | None) -> None:
    """given_up: what nobody else approved of the same invoice before. Raises LargeAdjustmentNeedsASecondApprover."""
    if _is_alone_beyond_the_limit(given_up + amount, posted_by, approved_by):
        raise LargeAdjustmentNeedsASecondApprover(limit=WRITE_OFF_LIMIT)


def check_write_off(balance: Money, requested_by: str, approved_by: str | None) -> None:
    """balance: with what nobody else approved of the same invoice before. Raises LargeWriteOffNeedsASecondApprover."""
    if _is_alone_beyond_the_limit(balance, requested_by, approved_by):
        raise LargeWriteOffNeedsASecondApprover(limit=WRITE_OFF_LIMIT)


def check_credit_note_alone(amount: Money, given_up: Money, issued_by: str, approved_by: str | None) -> None:
    """given_up: what nobody else approved of the same invoice before. Raises LargeCreditNoteNeedsASecondApprover."""
    if _is_alone_beyond_the_limit(given_up + amount, issued_by, approved_by):
        raise LargeCreditNoteNeedsASecondApprover(limit=WRITE_OFF_LIMIT)


def _is_alone_beyond_the_limit(amount: Money, by: str, approved_by: str | None) -> bool:
    return amount.amount > WRITE_OFF_LIMIT and approved_by in {None, by}


def check_approver(requested_by: str, decided_by: str) -> None:
    """Four eyes (COSO: segregation of duties). Raises ApproverMustBeAnotherPerson."""
    if decided_by == requested_by:
        raise ApproverMustBeAnotherPerson


def check_approval(requested: Money, balance: Money, requested_by: str, decided_by: str) -> None:
    """Of a write-off, which is over what is open then. Raises ApproverMustBeAnotherPerson, BalanceGrewSinceTheRequest."""
    check_approver(requested_by, decided_by)
    if balance > requested:
        raise BalanceGrewSinceTheRequest(requested=requested)


def check_lowerable(status: InvoiceStatus) -> None:
    """Raises OnlyAnIssuedInvoiceIsLowered."""
    if status in NOT_ISSUED:
        raise OnlyAnIssuedInvoiceIsLowered(state=status)


def check_issued(status: InvoiceStatus) -> None:
    """Raises OnlyAnIssuedInvoiceIsClaimedOrCredited."""
    if status in NOT_ISSUED:
        raise OnlyAnIssuedInvoiceIsClaimedOrCredited(state=status)


def check_credit_note(amount: Money, invoiced: Money) -> None:
    """invoiced: what the invoice still asks for, paid or not. Raises CreditNoteIsMoreThanWasInvoiced."""
    if amount > invoiced:
        raise CreditNoteIsMoreThanWasInvoiced(amount=amount)


def credit_note_number(counter: int) -> str:
    """The number of a facility's credit note, from its gapless counter."""
    return f"CRN-{counter:06d}"
