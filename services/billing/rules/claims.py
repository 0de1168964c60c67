"""Insurance: who covers whom when, a provider's claims, and what a payer answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal, Protocol

from broker import LifeCycle
from contracts.money import Money
from services.billing.errors import (
    ClaimCannotBecome,
    ClaimNeedsADiagnosis,
    PoliciesOverlap,
    PolicyEndsBeforeItBegins,
    PolicyIsNotInForce,
    RemittanceDoesNotAddUp,
    RemittanceNamesOtherLines,
    SecondaryClaimFollowsThePrimary,
)

CoverageOrder = Literal["primary", "secondary"]
ClaimStatus = Literal["draft", "ready", "submitted", "accepted", "rejected", "paid", "denied", "appealed"]

CLAIM = LifeCycle[ClaimStatus](
    {
        "draft": {"ready"},
        "ready": {"submitted"},
        "submitted": {"accepted", "rejected"},
        "accepted": {"paid", "denied"},
        "denied": {"appealed"},
        "appealed": {"paid", "denied"},
        "rejected": set(),
        "paid": set(),
    },
    refused=ClaimCannotBecome,
)
"""A rejected claim was never looked at (ANSI X12 277CA): what it asked for is claimed anew."""

DECIDED: frozenset[ClaimStatus] = frozenset({"paid", "denied"})


class Period(Protocol):
    """The days on which a policy covers; without an end, for good."""

    @property
    def effective_from(self) -> date: ...
    @property
    def effective_to(self) -> date | None: ...


def check_policy(new: Period, others: Iterable[Period]) -> None:
    """others: the patient's policies of the same coverage order. Raises PolicyEndsBeforeItBegins, PoliciesOverlap."""
    new_end = new.effective_to or date.max
    if new_end < new.effective_from:
        raise PolicyEndsBeforeItBegins(effective_from=new.effective_from, effective_to=new_end)
    for other in others:
        if new.effective_from <= (other.effective_to or date.max) and other.effective_from <= new_end:
            raise PoliciesOverlap(effective_from=other.effective_from)


def check_in_force(policy: Period, service_dates: Iterable[date]) -> None:
    """Raises PolicyIsNotInForce."""
    for day in service_dates:
        if not policy.effective_from <= day <= (policy.effective_to or date.max):
            raise PolicyIsNotInForce(service_date=day)


def check_complete(diagnosis_codes: Sequence[str]) -> None:
    """Raises ClaimNeedsADiagnosis: a payer pays for the treatment of something (CMS-1500, box 21)."""
    if not diagnosis_codes:
        raise ClaimNeedsADiagnosis


def check_order(order: CoverageOrder, primary: ClaimStatus | None) -> None:
    """primary: the state of the primary claim on the same invoice. Raises SecondaryClaimFollowsThePrimary."""
    if order == "secondary" and primary not in DECIDED:
        raise SecondaryClaimFollowsThePrimary(primary=primary)


class Claimed(Protocol):
    """A line of a claim."""

    @property
    def position(self) -> int: ...
    @property
    def claimed(self) -> Money: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RemittedLine:
    """A payer's answer to a line of a claim, as in ANSI X12 835: paid, CO (nobody is asked), PR (the patient is asked)."""

    position: int
    paid: Money
    contractual: Money
    patient_responsibility: Money


def check_remittance(lines: Iterable[Claimed], remitted: Sequence[RemittedLine]) -> Mapping[int, RemittedLine]:
    """The answers by the position of their lines: one for each, and each adds up to what its line claims (835 balancing).

    Raises RemittanceNamesOtherLines, RemittanceDoesNotAddUp.
    """
    claimed = {line.position: line.claimed for line in lines}
    answers = {answer.position: answer for answer in remitted}
    if answers.keys() != claimed.keys() or len(answers) != len(remitted):
        raise RemittanceNamesOtherLines
    for position, answer in answers.items():
        parts = (answer.paid, answer.contractual, answer.patient_responsibility)
        amounts = [part.amount for part in parts]  # their sum may be more than Money takes
        in_one_currency = {part.currency for part in parts} == {claimed[position].currency}
        if not in_one_currency or sum(amounts) != claimed[position].amount or min(amounts) < 0:
            raise RemittanceDoesNotAddUp(position=position)
    return answers
