"""Insurance policies and claims, as the API takes and shows them."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated
from uuid import UUID

from pydantic import Field

from broker import Asked, Shown
from contracts.money import Money
from services.billing import rules
from services.billing.rules import ClaimStatus, CoverageOrder
from services.billing.views.fields import Day, NotNegative, Reason

DiagnosisCode = Annotated[str, Field(pattern=r"^[A-TV-Z][0-9][0-9A-Z](\.[0-9A-Z]{1,4})?$", description="ICD-10-CM")]
DiagnosisCodes = Annotated[tuple[DiagnosisCode, ...], Field(max_length=12, description="CMS-1500 takes twelve.")]


class NewPolicy(Asked):
    """Who pays for a patient, from a day on."""

    patient_id: UUID
    facility_id: UUID
    payer: Annotated[str, Field(min_length=1, max_length=200)]
    policy_number: Annotated[str, Field(min_length=1, max_length=64)]
    coverage_order: CoverageOrder
    effective_from: Day
    effective_to: Day | None = None


class EndOfPolicy(Asked):
    """The last day on which a policy covers."""

    effective_to: Day


class Policy(Shown):
    """A policy."""

    policy_id: UUID
    patient_id: UUID
    facility_id: UUID
    payer: str
    policy_number: str
    coverage_order: CoverageOrder
    effective_from: date
    effective_to: date | None


class NewClaim(Asked):
    """Under which policy an invoice is claimed."""

    invoice_id: UUID
    policy_id: UUID
    diagnosis_codes: DiagnosisCodes = ()


class Completion(Asked):
    """What the patient was treated for, when the draft did not say so."""

    diagnosis_codes: DiagnosisCodes | None = None


class Answer(Asked):
    """Why a payer did not look at a claim or pays nothing, or why it should look again."""

    reason: Reason


class RemittedLine(Asked):
    """A payer's answer to one line, as in ANSI X12 835."""

    position: Annotated[int, Field(ge=0, le=10_000)]
    paid: NotNegative
    contractual: NotNegative
    patient_responsibility: NotNegative

    def to_rule(self) -> rules.RemittedLine:
        """As the rules take it."""
        return rules.RemittedLine(**dict(self))


class Remittance(Asked):
    """A payer's answer to a claim."""

    lines: Annotated[list[RemittedLine], Field(min_length=1, max_length=1000)]


class ClaimLine(Shown):
    """A line of a claim; what the payer said to it is null until it did."""

    position: int
    code: str
    claimed: Money
    paid_amount: Decimal | None
    contractual_amount: Decimal | None
    patient_amount: Decimal | None


class ClaimSummary(Shown):
    """A claim without its lines."""

    claim_id: UUID
    invoice_id: UUID
    policy_id: UUID
    patient_id: UUID
    facility_id: UUID
    coverage_order: CoverageOrder
    status: ClaimStatus
    total: Money
    submitted_at: datetime | None
    decided_at: datetime | None


class Claim(ClaimSummary):
    """A claim."""

    diagnosis_codes: list[str]
    reason: str | None
    lines: list[ClaimLine]
