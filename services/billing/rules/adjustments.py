"""What lowers a balance without money: reason codes, write-offs that two people decide, credit notes."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

from broker import LifeCycle
from contracts.billing import InvoiceStatus
from contracts.money import Money
from services.billing.errors import (
    ApproverMustBeAnotherPerson,
    BalanceGrewSinceTheRequest,
    CreditNoteIsMoreThanWasInvoiced,
    LargeWriteOffNeedsASecondApprover,
    OnlyAnIssuedInvoiceIsClaimedOrCredited,
    OnlyAnIssuedInvoiceIsLowered,
    WriteOffRequestCannotBecome,
)

Discretion = Literal["courtesy", "hardship", "billing_error", "prompt_payment", "other"]
"""Why a person lowers a balance."""

ReasonCode = Literal[Discretion, "contractual", "coupon", "credit_note", "write_off"]
"""Why a balance was lowered. `contractual` is what ANSI X12 835 calls CO: a provider does not ask anybody for it."""

WRITE_OFF_LIMIT = Decimal("500.00")
"""What one person may write off alone, in any currency."""

NOT_ISSUED: frozenset[InvoiceStatus] = frozenset({"draft", "void"})
"""The states in which an invoice does not count."""

RequestStatus = Literal["requested", "approved", "refused"]

WRITE_OFF_REQUEST = LifeCycle[RequestStatus](
    {
        "requested": {"approved", "refused"},
        "approved": set(),
        "refused": set(),
    },
    refused=WriteOffRequestCannotBecome,
)


def check_write_off(balance: Money, requested_by: str, approved_by: str | None) -> None:
    """Raises LargeWriteOffNeedsASecondApprover."""
    if balance.amount > WRITE_OFF_LIMIT and approved_by in {None, requested_by}:
        raise LargeWriteOffNeedsASecondApprover(limit=WRITE_OFF_LIMIT)


def check_approval(requested: Money, balance: Money, requested_by: str, decided_by: str) -> None:
    """Four eyes (COSO: segregation of duties). Raises ApproverMustBeAnotherPerson, BalanceGrewSinceTheRequest."""
    if decided_by == requested_by:
        raise ApproverMustBeAnotherPerson
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
