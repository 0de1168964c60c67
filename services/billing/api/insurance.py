"""Insurance policies and claims over HTTP."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select

from broker import Idempotent, Page, PageRequest, Reading, Router, Transaction
from services.billing import commands, tables, views
from services.billing.api.roles import Clerk, Reader, seen
from services.billing.rules import ClaimStatus

router = Router()


@router.post("/insurance-policies", status_code=201)
async def add_policy(asked: views.NewPolicy, who: Clerk, session: Transaction, key: Idempotent) -> views.Policy:
    """Notes who pays for a patient."""
    who.at(asked.facility_id)
    return views.Policy.model_validate(await commands.add_policy(session, **dict(asked)))


@router.get("/insurance-policies")
async def list_policies(who: Reader, session: Reading, page: PageRequest, patient_id: UUID | None = None) -> Page[views.Policy]:
    """Policies, the oldest first."""
    policy = tables.InsurancePolicy
    query = select(policy).where(who.within(policy.facility_id))
    if patient_id is not None:
        query = query.where(policy.patient_id == patient_id)
    return await page.read(session, query, by=[policy.effective_from, policy.policy_id], view=views.Policy.model_validate)


@router.post("/insurance-policies/{policy_id}/end")
async def end_policy(policy_id: UUID, asked: views.EndOfPolicy, who: Clerk, session: Transaction) -> views.Policy:
    """Sets the last day on which a policy covers."""
    await seen(session, tables.InsurancePolicy, policy_id, who)
    return views.Policy.model_validate(await commands.end_policy(session, policy_id, asked.effective_to))


@router.post("/claims", status_code=201)
async def draft_claim(asked: views.NewClaim, who: Clerk, session: Transaction, key: Idempotent) -> views.Claim:
    """Drafts what a payer is asked for an invoice."""
    await seen(session, tables.Invoice, asked.invoice_id, who)
    return views.Claim.model_validate(await commands.draft_claim(session, **dict(asked), by=who.subject))


@router.get("/claims")
async def list_claims(
    who: Reader,
    session: Reading,
    page: PageRequest,
    invoice_id: UUID | None = None,
    status: ClaimStatus | None = None,
) -> Page[views.ClaimSummary]:
    """Claims."""
    claim = tables.InsuranceClaim
    query = select(claim).where(who.within(claim.facility_id))
    if invoice_id is not None:
        query = query.where(claim.invoice_id == invoice_id)
    if status is not None:
        query = query.where(claim.status == status)
    return await page.read(session, query, by=[claim.claim_id], view=views.ClaimSummary.model_validate)


@router.get("/claims/{claim_id}")
async def show_claim(claim_id: UUID, who: Reader, session: Reading) -> views.Claim:
    """A claim with its lines."""
    return views.Claim.model_validate(await seen(session, tables.InsuranceClaim, claim_id, who))


@router.post("/claims/{claim_id}/ready")
async def complete_claim(claim_id: UUID, asked: views.Completion, who: Clerk, session: Transaction) -> views.Claim:
    """Nothing is missing any more."""
    await seen(session, tables.InsuranceClaim, claim_id, who)
    claim = await commands.complete_claim(session, claim_id, asked.diagnosis_codes, by=who.subject)
    return views.Claim.model_validate(claim)


@router.post("/claims/{claim_id}/submit")
async def submit_claim(claim_id: UUID, who: Clerk, session: Transaction) -> views.Claim:
    """Asks the payer."""
    await seen(session, tables.InsuranceClaim, claim_id, who)
    return views.Claim.model_validate(await commands.submit_claim(session, claim_id, by=who.subject))


@router.post("/claims/{claim_id}/accept")
async def accept_claim(claim_id: UUID, who: Clerk, session: Transaction) -> views.Claim:
    """The payer looks at it."""
    await seen(session, tables.InsuranceClaim, claim_id, who)
    return views.Claim.model_validate(await commands.accept_claim(session, claim_id, by=who.subject))


@router.post("/claims/{claim_id}/reject")
async def reject_claim(claim_id: UUID, asked: views.Answer, who: Clerk, session: Transaction) -> views.Claim:
    """The payer did not look at it."""
    await seen(session, tables.InsuranceClaim, claim_id, who)
    return views.Claim.model_validate(await commands.reject_claim(session, claim_id, asked.reason, by=who.subject))


@router.post("/claims/{claim_id}/deny")
async def deny_claim(claim_id: UUID, asked: views.Answer, who: Clerk, session: Transaction) -> views.Claim:
    """The payer pays nothing."""
    await seen(session, tables.InsuranceClaim, claim_id, who)
    return views.Claim.model_validate(await commands.deny_claim(session, claim_id, asked.reason, by=who.subject))


@router.post("/claims/{claim_id}/appeal")
async def appeal_claim(claim_id: UUID, asked: views.Answer, who: Clerk, session: Transaction) -> views.Claim:
    """Asks the payer to look again."""
    await seen(session, tables.InsuranceClaim, claim_id, who)
    return views.Claim.model_validate(await commands.appeal_claim(session, claim_id, asked.reason, by=who.subject))


@router.post("/claims/{claim_id}/remittance")
async def post_remittance(claim_id: UUID, asked: views.Remittance, who: Clerk, session: Transaction) -> views.Claim:
    """Posts what the payer answers; what it pays is recorded in payment, as a payment with the method insurance."""
    await seen(session, tables.InsuranceClaim, claim_id, who)
    remitted = [line.to_rule() for line in asked.lines]
    return views.Claim.model_validate(await commands.post_remittance(session, claim_id, remitted, by=who.subject))
