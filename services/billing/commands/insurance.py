"""Insurance: policies, and claims from their draft to what the payer answered."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from uuid import UUID, uuid4

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from broker import clock, publish
from contracts.billing import BillingClaimSubmitted
from contracts.money import Money
from services.billing import rules
from services.billing.commands.accounts import account_of, working_on
from services.billing.commands.adjustments import lower
from services.billing.commands.days import day_at
from services.billing.errors import InvoiceIsClaimedAlready, PolicyIsOfAnotherPatient, ThereIsNothingToClaim
from services.billing.tables import (
    BillingAuditEntry,
    Charge,
    ClaimLineItem,
    InsuranceClaim,
    InsurancePolicy,
    Invoice,
    InvoiceLineItem,
)


async def add_policy(
    session: AsyncSession,
    *,
    patient_id: UUID,
    facility_id: UUID,
    payer: str,
    policy_number: str,
    coverage_order: rules.CoverageOrder,
    effective_from: date,
    effective_to: date | None = None,
) -> InsurancePolicy:
    """Notes who pays for a patient. Raises PoliciesOverlap, PolicyEndsBeforeItBegins, NotYet."""
    account = await account_of(session, patient_id, alone=True)
    policy = InsurancePolicy(
        policy_id=uuid4(),
        patient_id=account.patient_id,
        recorded_for=patient_id,
        facility_id=facility_id,
        payer=payer,
        policy_number=policy_number,
        coverage_order=coverage_order,
        effective_from=effective_from,
        effective_to=effective_to,
    )
    rules.check_policy(policy, await _others(session, policy))
    session.add(policy)
    return policy


async def end_policy(session: AsyncSession, policy_id: UUID, on: date) -> InsurancePolicy:
    """The last day on which a policy covers. Raises PoliciesOverlap, PolicyEndsBeforeItBegins, NotFound."""
    policy = await InsurancePolicy.seen(session, policy_id)
    await account_of(session, policy.patient_id, alone=True)
    policy.effective_to = on
    rules.check_policy(policy, await _others(session, policy))
    return policy


async def draft_claim(
    session: AsyncSession, invoice_id: UUID, policy_id: UUID, *, diagnosis_codes: Sequence[str] = (), by: str
) -> InsuranceClaim:
    """Drafts what a payer is asked for: the invoice's lines; of a secondary payer, what the primary one left to the patient.

    Raises PolicyIsOfAnotherPatient, PolicyIsNotInForce, InvoiceIsClaimedAlready, SecondaryClaimFollowsThePrimary,
    ThereIsNothingToClaim, OnlyAnIssuedInvoiceIsClaimedOrCredited, InvoiceNotFound, NotFound.
    """
    invoice = await working_on(session, invoice_id)
    policy = await InsurancePolicy.held(session, policy_id)
    if (policy.patient_id, policy.facility_id) != (invoice.patient_id, invoice.facility_id):
        raise PolicyIsOfAnotherPatient
    rules.check_issued(invoice.status)
    rules.check_in_force(policy, await _service_dates(session, invoice))
    claims = await InsuranceClaim.of_invoice(session, invoice_id)
    if policy_id in {claim.policy_id for claim in claims}:
        raise InvoiceIsClaimedAlready
    asked = _asked_of(invoice, policy.coverage_order, _primary_of(claims))
    claim = InsuranceClaim(
        claim_id=uuid4(),
        invoice_id=invoice_id,
        policy_id=policy_id,
        patient_id=invoice.patient_id,
        recorded_for=invoice.recorded_for,
        facility_id=invoice.facility_id,
        coverage_order=policy.coverage_order,
        status="draft",
        diagnosis_codes=list(diagnosis_codes),
        total_amount=Money.total((amount for _, amount in asked), invoice.currency).amount,
        currency=invoice.currency,
        lines=[_line(line, amount) for line, amount in asked],
    )
    session.add_all([claim, BillingAuditEntry.on_claim(claim, "claim_drafted", by)])
    return claim


async def complete_claim(
    session: AsyncSession, claim_id: UUID, diagnosis_codes: Sequence[str] | None = None, *, by: str
) -> InsuranceClaim:
    """Nothing is missing any more: it is ready to be submitted. Raises ClaimNeedsADiagnosis, ClaimCannotBecome, NotFound."""
    claim = await InsuranceClaim.locked(session, claim_id)
    claim.move("ready")
    claim.diagnosis_codes = list(diagnosis_codes) if diagnosis_codes is not None else claim.diagnosis_codes
    rules.check_complete(claim.diagnosis_codes)
    session.add(BillingAuditEntry.on_claim(claim, "claim_completed", by))
    return claim


async def submit_claim(session: AsyncSession, claim_id: UUID, *, by: str) -> InsuranceClaim:
    """Asks the payer. Raises SecondaryClaimFollowsThePrimary, ClaimCannotBecome, NotFound."""
    claim = await InsuranceClaim.locked(session, claim_id)
    policy = await InsurancePolicy.seen(session, claim.policy_id)
    primary = _primary_of(await InsuranceClaim.of_invoice(session, claim.invoice_id))
    rules.check_order(claim.coverage_order, primary.status if primary else None)
    claim.move("submitted")
    claim.submitted_at = clock.now()
    session.add(BillingAuditEntry.on_claim(claim, "claim_submitted", by))
    publish(session, BillingClaimSubmitted.of(claim, payer=policy.payer, policy_number=policy.policy_number))
    return claim


async def accept_claim(session: AsyncSession, claim_id: UUID, *, by: str) -> InsuranceClaim:
    """The payer looks at it. Raises ClaimCannotBecome, NotFound."""
    claim = await InsuranceClaim.locked(session, claim_id)
    claim.move("accepted")
    session.add(BillingAuditEntry.on_claim(claim, "claim_accepted", by))
    return claim


async def reject_claim(session: AsyncSession, claim_id: UUID, reason: str, *, by: str) -> InsuranceClaim:
    """The payer did not look at it. Raises ClaimCannotBecome, NotFound."""
    claim = await InsuranceClaim.locked(session, claim_id)
    claim.move("rejected")
    claim.reason = reason
    session.add(BillingAuditEntry.on_claim(claim, "claim_rejected", by))
    return claim


async def deny_claim(session: AsyncSession, claim_id: UUID, reason: str, *, by: str) -> InsuranceClaim:
    """The payer pays nothing: the patient owes what they owed. Raises ClaimCannotBecome, NotFound."""
    claim = await InsuranceClaim.locked(session, claim_id)
    claim.move("denied")
    claim.reason, claim.decided_at = reason, clock.now()
    session.add(BillingAuditEntry.on_claim(claim, "claim_denied", by))
    return claim


async def appeal_claim(session: AsyncSession, claim_id: UUID, reason: str, *, by: str) -> InsuranceClaim:
    """Asks the payer to look at a denied claim again. Raises ClaimCannotBecome, NotFound."""
    claim = await InsuranceClaim.locked(session, claim_id)
    claim.move("appealed")
    claim.reason, claim.decided_at = reason, None
    session.add(BillingAuditEntry.on_claim(claim, "claim_appealed", by))
    return claim


async def post_remittance(
    session: AsyncSession, claim_id: UUID, remitted: Sequence[rules.RemittedLine], *, by: str
) -> InsuranceClaim:
    """Posts a payer's answer: CO is adjusted, PR stays with the patient; what is paid arrives as a payment of its own.

    Raises RemittanceNamesOtherLines, RemittanceDoesNotAddUp, ClaimCannotBecome, NotFound.
    """
    invoice = await working_on(session, (await InsuranceClaim.seen(session, claim_id)).invoice_id)
    claim = await InsuranceClaim.locked(session, claim_id)
    answers = rules.check_remittance(claim.lines, remitted)
    claim.move("paid")
    claim.decided_at = clock.now()
    for line in claim.lines:
        line.answer(answers[line.position])
    contractual = {line.line_id: answers[line.position].contractual for line in claim.lines}
    shares = [(line, min(contractual[line.line_id], line.asked)) for line in invoice.lines if line.line_id in contractual]
    adjusted = [(line, share) for line, share in shares if share]
    if adjusted:
        await lower(session, invoice, adjusted, "contractual", "contractual obligation", by)
    amount = Money.total((share for _, share in adjusted), invoice.currency)
    session.add(BillingAuditEntry.about(invoice, "remittance_posted", by, amount))
    return claim


def _asked_of(
    invoice: Invoice, order: rules.CoverageOrder, primary: InsuranceClaim | None
) -> list[tuple[InvoiceLineItem, Money]]:
    rules.check_order(order, primary.status if primary else None)
    asked = {line.line_id: line.asked for line in invoice.lines}
    if order == "secondary" and primary is not None and primary.status == "paid":
        left = {line.line_id: Money.of(line.patient_amount or 0, line.currency) for line in primary.lines}
        asked = {line_id: min(amount, left.get(line_id, amount - amount)) for line_id, amount in asked.items()}
    some = [(line, asked[line.line_id]) for line in invoice.lines if asked[line.line_id]]
    if not some:
        raise ThereIsNothingToClaim
    return some


def _line(line: InvoiceLineItem, amount: Money) -> ClaimLineItem:
    return ClaimLineItem(
        line_id=line.line_id, position=line.position, code=line.code, amount=amount.amount, currency=amount.currency
    )


def _primary_of(claims: Sequence[InsuranceClaim]) -> InsuranceClaim | None:
    return next((claim for claim in claims if claim.coverage_order == "primary"), None)


async def _service_dates(session: AsyncSession, invoice: Invoice) -> Sequence[date]:
    charges = [line.charge_id for line in invoice.lines if line.charge_id]
    dates = (await session.scalars(select(Charge.service_date).where(Charge.charge_id.in_(charges)).distinct())).all()
    issued = [await day_at(session, invoice.facility_id, invoice.issued_at)] if invoice.issued_at else []
    return dates or issued


async def _others(session: AsyncSession, policy: InsurancePolicy) -> Sequence[InsurancePolicy]:
    same = [InsurancePolicy.patient_id == policy.patient_id, InsurancePolicy.coverage_order == policy.coverage_order]
    return (await session.scalars(select(InsurancePolicy).where(*same, InsurancePolicy.policy_id != policy.policy_id))).all()
