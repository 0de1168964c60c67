"""Transfers on a public ledger: anybody can send anything, with any memo. What pays what, and what waits for a person."""

from __future__ import annotations

from datetime import datetime
from decimal import ROUND_DOWN, Decimal
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from broker import LifeCycle
from contracts.money import CENT, Money
from contracts.payment import PaymentStatus
from services.payment.errors import TransferCannotBecome, TransferIsMoreThanThePayment, TransferIsOfAnotherAsset

TransferStatus = Literal["unmatched", "assigned", "sent_back"]

TRANSFER = LifeCycle[TransferStatus](
    {"unmatched": {"assigned", "sent_back"}, "assigned": set(), "sent_back": set()}, refused=TransferCannotBecome
)
"""What waits is assigned to a payment, or sent back, by a person, once."""

Mismatch = Literal["another_asset", "no_memo", "memo_unknown", "payment_is_over", "underpaid", "overpaid"]
"""Why a transfer, or what it was too much, waits for a person."""

Quantity = Annotated[Decimal, Field(ge=0, max_digits=20, decimal_places=7)]
"""An amount on the ledger, which counts in ten-millionths (stroops)."""


class Asset(BaseModel):
    """What is transferred. The same code of another issuer is another asset, and may be worth nothing."""

    code: str
    issuer: str | None


class Transfer(BaseModel):
    """Something that arrived at our account. cursor: where in the ledger; what is read on from."""

    id: str
    cursor: int
    asset: Asset
    quantity: Quantity
    memo: str | None
    at: datetime


def mismatch(transfer: Transfer, ours: Asset, asked: Money | None, status: PaymentStatus | None) -> Mismatch | None:
    """Why a transfer does not pay the payment of its memo, exactly; None when it does.

    asked, status: of that payment; None when there is none. Overpaid pays it all the same, and what is too much waits.
    """
    if transfer.asset != ours:
        return "another_asset"
    if transfer.memo is None or asked is None:
        return "no_memo" if transfer.memo is None else "memo_unknown"
    if status != "requires_action":
        return "payment_is_over"
    if transfer.quantity < asked.amount:
        return "underpaid"
    return "overpaid" if excess(transfer.quantity, asked) >= CENT else None


def excess(quantity: Decimal, asked: Money) -> Decimal:
    """What a transfer is too much; less than a cent is no money in any book, and stays."""
    return quantity - asked.amount


def check_assigned(reason: Mismatch, quantity: Decimal, asked: Money) -> Money:
    """What a transfer that a person assigns is worth to a payment of `asked`: whole cents, and so less may be paid.

    Raises TransferIsOfAnotherAsset, TransferIsMoreThanThePayment.
    """
    if reason == "another_asset":
        raise TransferIsOfAnotherAsset
    worth = Money.of(quantity.quantize(CENT, rounding=ROUND_DOWN), asked.currency)
    if worth > asked:
        raise TransferIsMoreThanThePayment(asked=asked)
    return worth
