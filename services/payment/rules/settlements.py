"""Reconciliation: whether what a provider says it settled is what our books say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from broker import LifeCycle
from contracts.money import Money
from services.payment.errors import FindingCannotBecome, SettlementNamesAPaymentTwice

FindingStatus = Literal["matched", "mismatched", "resolved"]

FINDING = LifeCycle[FindingStatus](
    {"mismatched": {"matched", "resolved"}, "matched": set(), "resolved": set()}, refused=FindingCannotBecome
)
"""A later settlement, or a later word of the provider, may make a mismatch match; a person resolves it with a reason."""

Difference = Literal["missing_here", "missing_there", "amount_differs"]
"""They settled what we do not have; we have what they did not settle; both have it, with different amounts."""

SettledKind = Literal["payment", "refund"]


@dataclass(frozen=True, slots=True)
class SettledLine:
    """A line of a provider's settlement: a payment that it took for us, or a refund that it gave."""

    kind: SettledKind
    provider_payment_id: str
    amount: Money
    fee: Money


def difference(ours: Money | None, theirs: Money | None) -> Difference | None:
    """What is wrong with an amount that we, and they, have; None if nothing is."""
    if ours == theirs:
        return None
    if ours is None:
        return "missing_here"
    return "missing_there" if theirs is None else "amount_differs"


def check_settlement(lines: Sequence[SettledLine]) -> None:
    """Raises SettlementNamesAPaymentTwice."""
    counted = Counter((line.kind, line.provider_payment_id) for line in lines)
    twice = sum(1 for times in counted.values() if times > 1)
    if twice:
        raise SettlementNamesAPaymentTwice(payments=twice)
