"""Refunds: states, who may pay them out, and how much can go back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict

from broker import LifeCycle
from contracts.money import Money
from contracts.payment import PaymentStatus
from services.payment.errors import (
    AmountIsMoreThanCanBeRefunded,
    OnlyMoneyThatWeHaveIsRefunded,
    ProviderPaysThisRefund,
    RefundCannotBecome,
    RefundNeedsASecondPerson,
)
from services.payment.rules.payments import check_amount, check_currency

RefundStatus = Literal["requested", "pending", "succeeded", "failed"]

REFUND = LifeCycle[RefundStatus](
    {
        "requested": {"pending", "failed"},
        "pending": {"succeeded", "failed"},
        "failed": {"succeeded"},
        "succeeded": set(),
    },
    refused=RefundCannotBecome,
)
"""Pending is also what nobody knows the outcome of. A provider that gave the money back after it refused is believed."""

CLAIMED: frozenset[RefundStatus] = frozenset({"requested", "pending", "succeeded"})
"""The states in which a refund has taken, or may take, its part of what was captured."""

RefundOutcome = Literal["pending", "succeeded", "failed"]
"""What a provider says became of a refund."""

REFUND_STATUS_OF: Mapping[RefundOutcome, RefundStatus] = {"pending": "pending", "succeeded": "succeeded", "failed": "failed"}

REFUSED_BY_HAND = "refused"
"""The reason of a refund that a second person did not agree to."""


class RefundWord(BaseModel):
    """What a provider says became of a refund."""

    model_config = ConfigDict(frozen=True)

    outcome: RefundOutcome
    provider_refund_id: str | None = None
    failure_code: str | None = None


def check_refund(status: PaymentStatus, refundable: Money, amount: Money) -> None:
    """Whether `amount` can go back.

    refundable: what was captured, less other refunds, less what is or was successfully disputed. Raises
    AmountMustBeAboveZero, OnlyMoneyThatWeHaveIsRefunded, AmountIsInAnotherCurrency, AmountIsMoreThanCanBeRefunded.
    """
    check_amount(amount)
    if status != "succeeded":
        raise OnlyMoneyThatWeHaveIsRefunded(state=status)
    check_currency(amount, refundable.currency)
    if amount > refundable:
        raise AmountIsMoreThanCanBeRefunded(refundable=max(refundable, Money.of(0, refundable.currency)))


def check_payer_out(provider: str | None, requested_by: str, decided_by: str) -> None:
    """Four eyes: who hands money out is not who asked for it. Raises ProviderPaysThisRefund, RefundNeedsASecondPerson."""
    if provider is not None:
        raise ProviderPaysThisRefund
    if requested_by == decided_by:
        raise RefundNeedsASecondPerson
