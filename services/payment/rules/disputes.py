"""Disputes: states, and until when evidence is taken.

Source: the card networks' chargebacks, as https://docs.stripe.com/disputes/how-disputes-work describes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict

from broker import LifeCycle
from contracts.money import Money
from services.payment.errors import DisputeCannotBecome, EvidenceIsTooLate, EvidenceWasSentAlready

DisputeStatus = Literal["open", "evidence_sent", "won", "lost"]

DISPUTE = LifeCycle[DisputeStatus](
    {"open": {"evidence_sent", "won", "lost"}, "evidence_sent": {"won", "lost"}, "won": set(), "lost": set()},
    refused=DisputeCannotBecome,
)

NOT_OURS: frozenset[DisputeStatus] = frozenset({"open", "evidence_sent", "lost"})
"""The states in which disputed money is not ours to give back: it is on hold, or gone."""

DisputeOutcome = Literal["opened", "under_review", "won", "lost"]
"""What a provider says became of a dispute."""

DISPUTE_STATUS_OF: Mapping[DisputeOutcome, DisputeStatus] = {
    "opened": "open",
    "under_review": "evidence_sent",
    "won": "won",
    "lost": "lost",
}


class DisputeWord(BaseModel):
    """What a provider says became of a dispute; each says all that is needed to know of it, as any may come first."""

    model_config = ConfigDict(frozen=True)

    outcome: DisputeOutcome
    provider_dispute_id: str
    amount: Money
    reason: str
    evidence_due_at: AwareDatetime


def is_dispute_news(status: DisputeStatus, word: DisputeWord) -> bool:
    """Whether it takes a dispute further; what is decided stays decided, whatever comes late."""
    return DISPUTE.allows(status, DISPUTE_STATUS_OF[word.outcome])


def check_evidence(status: DisputeStatus, due_at: datetime, *, is_sent: bool, now: datetime) -> None:
    """Raises DisputeCannotBecome, EvidenceWasSentAlready, EvidenceIsTooLate."""
    if is_sent:
        raise EvidenceWasSentAlready
    DISPUTE.moved(status, "evidence_sent")
    if now > due_at:
        raise EvidenceIsTooLate(due_at=due_at)
