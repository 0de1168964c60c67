"""Policies, and claims from their draft to what the payer answered."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal

import pytest

from broker import clock
from contracts.billing import AdjustmentPosted, BillingClaimSubmitted, CreditCreated
from services.billing import commands, rules
from services.billing.errors import (
    ClaimCannotBecome,
    ClaimNeedsADiagnosis,
    InvoiceIsClaimed,
    InvoiceIsClaimedAlready,
    PoliciesOverlap,
    PolicyIsNotInForce,
    PolicyIsOfAnotherPatient,
    RemittanceDoesNotAddUp,
    SecondaryClaimFollowsThePrimary,
    ThereIsNothingToClaim,
)
from services.billing.tables import InsuranceClaim, InsurancePolicy, Invoice
from tests.services.billing.given import (
    FACILITY,
    GLUCOSE,
    OTHER_PATIENT,
    PATIENT,
    completed,
    decisions,
    invoice_of,
    invoiced,
    merged,
    paid,
    patient,
    priced,
    usd,
)
from tests.services.kit import Workplace

LAST_YEAR = clock.now().date() - timedelta(days=365)
DIABETES = "E11.9"


async def covered(
    billing: Workplace, order: rules.CoverageOrder = "primary", *, since: date = LAST_YEAR, until: date | None = None
) -> InsurancePolicy:
    async with billing.transaction() as session:
        return await commands.add_policy(
            session,
            patient_id=PATIENT,
            facility_id=FACILITY,
            payer=f"The {order} payer",
            policy_number="P-1",
            coverage_order=order,
            effective_from=since,
            effective_to=until,
        )


async def drafted(billing: Workplace, invoice: Invoice, policy: InsurancePolicy) -> InsuranceClaim:
    async with billing.transaction() as session:
        return await commands.draft_claim(session, invoice.invoice_id, policy.policy_id, diagnosis_codes=[DIABETES], by="clerk")


async def accepted(billing: Workplace, invoice: Invoice, policy: InsurancePolicy) -> InsuranceClaim:
    """A claim that the payer looks at."""
    claim = await drafted(billing, invoice, policy)
    async with billing.transaction() as session:
        await commands.complete_claim(session, claim.claim_id, by="clerk")
        await commands.submit_claim(session, claim.claim_id, by="clerk")
        return await commands.accept_claim(session, claim.claim_id, by="clerk")


async def remitted(billing: Workplace, claim: InsuranceClaim, *answers: Sequence[str]) -> InsuranceClaim:
    """answers: for each line what is paid, CO and PR."""
    lines = [
        rules.RemittedLine(position=at, paid=usd(paid_), contractual=usd(co), patient_responsibility=usd(pr))
        for at, (paid_, co, pr) in enumerate(answers)
    ]
    async with billing.transaction() as session:
        return await commands.post_remittance(session, claim.claim_id, lines, by="clerk")


async def test_a_claim_asks_for_the_lines_of_its_invoice(billing: Workplace) -> None:
    """When it is submitted the payer hears of it, with the policy's number and nothing of the diagnosis."""
    invoice, policy = await invoiced(billing, "100.00", "50.00"), await covered(billing)
    claim = await accepted(billing, invoice, policy)
    assert [(line.code, line.claimed) for line in claim.lines] == [("line-0", usd("100.00")), ("line-1", usd("50.00"))]
    [event] = await billing.published(BillingClaimSubmitted)
    assert (event.total, event.payer, event.policy_number) == (usd("150.00"), "The primary payer", "P-1")
    assert DIABETES not in event.model_dump_json()


async def test_a_remittance_adjusts_what_nobody_is_asked_for(billing: Workplace) -> None:
    """CO lowers the line, PR stays with the patient, and what is paid arrives as a payment of its own."""
    invoice, policy = await invoiced(billing, "100.00", "50.00"), await covered(billing)
    claim = await accepted(billing, invoice, policy)
    posted = await remitted(billing, claim, ("60.00", "30.00", "10.00"), ("0.00", "0.00", "50.00"))
    assert posted.status == "paid"
    after = await invoice_of(billing, invoice.invoice_id)
    assert [line.balance for line in after.lines] == [usd("70.00"), usd("50.00")]
    await billing.deliver(paid("60.00", invoice_id=invoice.invoice_id))
    assert (await invoice_of(billing, invoice.invoice_id)).balance == usd("60.00")
    assert [event.amount for event in await billing.published(AdjustmentPosted)] == [usd("30.00")]
    assert (await decisions(billing))[-1] == ("remittance_posted", "clerk", Decimal("30.00"))


async def test_a_remittance_adds_up_line_by_line(billing: Workplace) -> None:
    """A cent less is refused, and the claim stays as it was."""
    invoice, policy = await invoiced(billing, "100.00"), await covered(billing)
    claim = await accepted(billing, invoice, policy)
    with pytest.raises(RemittanceDoesNotAddUp):
        await remitted(billing, claim, ("60.00", "30.00", "9.99"))
    assert (await remitted(billing, claim, ("60.00", "30.00", "10.00"))).status == "paid"
    with pytest.raises(ClaimCannotBecome):
        await remitted(billing, claim, ("60.00", "30.00", "10.00"))


async def test_a_patient_who_paid_in_advance_gets_what_the_payer_takes_off(billing: Workplace) -> None:
    """What they paid beyond what is still asked is their credit."""
    invoice, policy = await invoiced(billing, "100.00"), await covered(billing)
    claim = await accepted(billing, invoice, policy)
    await billing.deliver(paid("100.00", invoice_id=invoice.invoice_id))
    await remitted(billing, claim, ("60.00", "30.00", "10.00"))
    assert [event.amount for event in await billing.published(CreditCreated)] == [usd("30.00")]
    after = await invoice_of(billing, invoice.invoice_id)
    assert (after.status, after.allocated, after.adjusted) == ("paid", usd("70.00"), usd("30.00"))


async def test_the_secondary_payer_is_asked_for_the_patients_share(billing: Workplace) -> None:
    """Not before the primary one has decided, and for no more than that left to the patient."""
    invoice = await invoiced(billing, "100.00", "50.00")
    primary, secondary = await covered(billing), await covered(billing, "secondary")
    with pytest.raises(SecondaryClaimFollowsThePrimary):
        await drafted(billing, invoice, secondary)
    claim = await accepted(billing, invoice, primary)
    with pytest.raises(SecondaryClaimFollowsThePrimary):
        await drafted(billing, invoice, secondary)
    await remitted(billing, claim, ("60.00", "30.00", "10.00"), ("50.00", "0.00", "0.00"))
    second = await drafted(billing, invoice, secondary)
    assert [(line.position, line.claimed) for line in second.lines] == [(0, usd("10.00"))]


async def test_a_denied_claim_is_the_patients_or_is_appealed(billing: Workplace) -> None:
    """Denied, the patient owes all of it and the secondary payer is asked for it; appealed, the payer may pay after all."""
    invoice = await invoiced(billing, "100.00")
    claim = await accepted(billing, invoice, await covered(billing))
    async with billing.transaction() as session:
        await commands.deny_claim(session, claim.claim_id, "not covered", by="clerk")
    assert (await invoice_of(billing, invoice.invoice_id)).balance == usd("100.00")
    assert (await drafted(billing, invoice, await covered(billing, "secondary"))).total == usd("100.00")
    async with billing.transaction() as session:
        await commands.appeal_claim(session, claim.claim_id, "it is", by="clerk")
    assert (await remitted(billing, claim, ("100.00", "0.00", "0.00"))).status == "paid"


async def test_a_rejected_claim_is_claimed_anew(billing: Workplace) -> None:
    """Until then there is one claim for one invoice and policy."""
    invoice, policy = await invoiced(billing, "100.00"), await covered(billing)
    claim = await drafted(billing, invoice, policy)
    with pytest.raises(InvoiceIsClaimedAlready):
        await drafted(billing, invoice, policy)
    with pytest.raises(InvoiceIsClaimed):
        async with billing.transaction() as session:
            await commands.void_invoice(session, invoice.invoice_id, "wrong", by="clerk")
    async with billing.transaction() as session:
        await commands.complete_claim(session, claim.claim_id, by="clerk")
        await commands.submit_claim(session, claim.claim_id, by="clerk")
        await commands.reject_claim(session, claim.claim_id, "wrong number", by="clerk")
    assert (await drafted(billing, invoice, policy)).status == "draft"


async def test_every_step_of_a_claim_is_in_the_audit_log(billing: Workplace) -> None:
    """With who asks, or took down what the payer decided, and how much was claimed, whatever becomes of the claim."""
    invoice, policy = await invoiced(billing, "100.00"), await covered(billing)
    new = {"invoice_id": str(invoice.invoice_id), "policy_id": str(policy.policy_id), "diagnosis_codes": [DIABETES]}
    first, second = (("ready", "submit", "reject"), ("ready", "submit", "accept", "deny", "appeal"))
    async with billing.client("billing_clerk", at=FACILITY, subject="clerk") as clerk:
        for steps in (first, second):
            claim = (await clerk.post("/claims", json=new)).json()
            for step in steps:
                asked = {"diagnosis_codes": [DIABETES]} if step == "ready" else {"reason": "because"}
                assert (await clerk.post(f"/claims/{claim['claim_id']}/{step}", json=asked)).status_code == 200
    asked_for = ("claim_drafted", "claim_completed", "claim_submitted")
    decided = (*asked_for, "claim_rejected", *asked_for, "claim_accepted", "claim_denied", "claim_appealed")
    assert await decisions(billing) == [(action, "clerk", Decimal("100.00")) for action in decided]


async def test_a_claim_needs_a_diagnosis(billing: Workplace) -> None:
    """It is not ready without one."""
    invoice, policy = await invoiced(billing, "100.00"), await covered(billing)
    async with billing.transaction() as session:
        claim = await commands.draft_claim(session, invoice.invoice_id, policy.policy_id, by="clerk")
    with pytest.raises(ClaimNeedsADiagnosis):
        async with billing.transaction() as session:
            await commands.complete_claim(session, claim.claim_id, by="clerk")
    async with billing.transaction() as session:
        assert (await commands.complete_claim(session, claim.claim_id, [DIABETES], by="clerk")).status == "ready"


async def test_the_policy_covers_on_the_day_of_the_service(billing: Workplace) -> None:
    """Not on that of the invoice."""
    await priced(billing, GLUCOSE, "12.50")
    await billing.deliver(completed(GLUCOSE))
    async with billing.transaction() as session:
        invoice = await commands.issue_invoice(session, patient_id=PATIENT, facility_id=FACILITY)
    late = await covered(billing, since=date(2026, 3, 3))
    with pytest.raises(PolicyIsNotInForce):
        await drafted(billing, invoice, late)
    earlier = await covered(billing, since=date(2026, 1, 1), until=date(2026, 3, 2))
    assert (await drafted(billing, invoice, earlier)).total == usd("12.50")


async def test_policies_of_one_order_do_not_overlap(billing: Workplace) -> None:
    """Neither as they begin nor as one ends later; another order is another matter."""
    first = await covered(billing, since=date(2026, 1, 1), until=date(2026, 6, 30))
    with pytest.raises(PoliciesOverlap):
        await covered(billing, since=date(2026, 6, 30))
    await covered(billing, "secondary", since=date(2026, 6, 30))
    await covered(billing, since=date(2026, 7, 1))
    with pytest.raises(PoliciesOverlap):
        async with billing.transaction() as session:
            await commands.end_policy(session, first.policy_id, date(2026, 7, 1))
    async with billing.transaction() as session:
        assert (await commands.end_policy(session, first.policy_id, date(2026, 5, 31))).effective_to == date(2026, 5, 31)


async def test_insurance_follows_a_merge(billing: Workplace) -> None:
    """The policy is the other's, and covers no invoice that stayed behind."""
    await billing.deliver(patient(OTHER_PATIENT))
    settled = await invoiced(billing, "5.00")
    await billing.deliver(paid("5.00", invoice_id=settled.invoice_id))
    policy = await covered(billing)
    await billing.deliver(merged(PATIENT, OTHER_PATIENT))
    with pytest.raises(PolicyIsOfAnotherPatient):
        await drafted(billing, settled, policy)
    theirs = await invoiced(billing, "7.00", patient_id=OTHER_PATIENT)
    assert (await drafted(billing, theirs, policy)).patient_id == OTHER_PATIENT


async def test_there_must_be_something_to_claim(billing: Workplace) -> None:
    """What was all taken back by a credit note is asked of nobody."""
    invoice, policy = await invoiced(billing, "5.00"), await covered(billing)
    async with billing.transaction() as session:
        await commands.issue_credit_note(session, invoice.invoice_id, usd("5.00"), reason="wrong", by="clerk")
    with pytest.raises(ThereIsNothingToClaim):
        await drafted(billing, invoice, policy)
