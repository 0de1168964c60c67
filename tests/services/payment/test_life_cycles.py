"""What a plan, an instalment, a refund, a dispute, a webhook, a finding and a trace cannot become."""

from __future__ import annotations

from typing import Any

import pytest

from broker import LifeCycle, RuleBroken
from services.payment import rules
from services.payment.errors import (
    DisputeCannotBecome,
    FindingCannotBecome,
    InstallmentCannotBecome,
    PlanCannotBecome,
    RefundCannotBecome,
    TraceCannotBecome,
    WebhookCannotBecome,
)


@pytest.mark.parametrize(
    ("cycle", "state", "asked", "rule"),
    [
        (rules.PLAN, "defaulted", "active", PlanCannotBecome),
        (rules.PLAN, "completed", "cancelled", PlanCannotBecome),
        (rules.INSTALLMENT, "scheduled", "overdue", InstallmentCannotBecome),
        (rules.INSTALLMENT, "paid", "overdue", InstallmentCannotBecome),
        (rules.REFUND, "requested", "succeeded", RefundCannotBecome),
        (rules.REFUND, "succeeded", "failed", RefundCannotBecome),
        (rules.DISPUTE, "won", "lost", DisputeCannotBecome),
        (rules.DISPUTE, "evidence_sent", "open", DisputeCannotBecome),
        (rules.WEBHOOK, "received", "applied", WebhookCannotBecome),
        (rules.FINDING, "resolved", "matched", FindingCannotBecome),
        (rules.TRACE, "confirmed", "refused", TraceCannotBecome),
    ],
)
def test_what_is_over_or_was_left_out_is_refused(cycle: LifeCycle[Any], state: str, asked: str, rule: type[RuleBroken]) -> None:
    """By a name that says of what, with the state and what was asked."""
    with pytest.raises(rule) as refused:
        cycle.moved(state, asked)
    assert refused.value.facts == {"state": state, "asked": asked}
