"""Disputes over payments, whatever the order in which we hear of their steps."""

from __future__ import annotations

from typing import Literal

from broker import LifeCycle
from services.billing.errors import DisputeCannotBecome

DisputeStatus = Literal["opened", "won", "lost"]

DISPUTE = LifeCycle[DisputeStatus](
    {
        "opened": {"won", "lost"},
        "won": set(),
        "lost": set(),
    },
    refused=DisputeCannotBecome,
)


def is_news(known: DisputeStatus, told: DisputeStatus) -> bool:
    """Whether what we are told changes anything: not when it is known, or was overtaken by the decision.

    Raises DisputeCannotBecome when one and the same dispute would be both won and lost.
    """
    if told in {known, "opened"}:
        return False
    DISPUTE.moved(known, told)
    return True
