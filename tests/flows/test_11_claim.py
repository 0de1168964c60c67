"""A claim (flow 11, the provider's end of it): submitted, and what the payer answers posted to the invoice."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import UUID

from broker.testing import Flow
from contracts.billing import AdjustmentPosted, BillingClaimSubmitted, InvoicePaid, InvoicePartiallyPaid
from contracts.payment import PaymentSucceeded
from services.payment.replicas import InvoiceReference
from tests.flows.hospital import Hospital, Person, Reply, money
from tests.flows.till import takes


async def claimed(hospital: Hospital, person: Person, invoice: Any) -> str:
    """A claim for an invoice that is ready to be submitted."""
    policy = {
        "patient_id": person.id,
        "facility_id": hospital.id,
        "payer": "The payer",
        "policy_number": hospital.secret("P"),
        "coverage_order": "primary",
        "effective_from": "2020-01-01",
    }
    policy_id = (await hospital.ask("billing", "POST", "/insurance-policies", policy))["policy_id"]
    asked = {"invoice_id": invoice["invoice_id"], "policy_id": policy_id, "diagnosis_codes": ["E11.9"]}
    claim = str((await hospital.ask("billing", "POST", "/claims", asked))["claim_id"])
    await step(hospital, claim, "ready", {})
    return claim


async def step(hospital: Hospital, claim: str, name: str, body: object = None) -> Reply:
    return await hospital.ask("billing", "POST", f"/claims/{claim}/{name}", body)


async def test_what_the_payer_pays_and_forgives_lowers_the_invoice(flow: Flow, hospital: Hospital) -> None:
    """Of 12.50 nobody owes 2.50, and 8.00 the payer, whose money comes on its own; the rest is the patient's."""
    person = await hospital.registers()
    invoice = await hospital.invoices(person)
    claim = await claimed(hospital, person, invoice)
    async with flow.started_by(step(hospital, claim, "submit")) as f:
        submitted = await f.published(BillingClaimSubmitted, by="billing", claim_id=UUID(claim)).once()
        assert str(submitted.event.total.amount) == "12.50"
    await step(hospital, claim, "accept")
    line = {"position": 0, "paid": money("8.00"), "contractual": money("2.50"), "patient_responsibility": money("2.00")}
    async with flow.started_by(step(hospital, claim, "remittance", {"lines": [line]})) as f:
        adjusted = await f.published(AdjustmentPosted, by="billing", invoice_id=UUID(invoice["invoice_id"])).once()
        assert str(adjusted.event.amount.amount) == "2.50"
        await f.replica(InvoiceReference, adjusted.event.invoice_id).reaches(open_amount=Decimal("10.00"))
        f.never(InvoicePaid)
    async with flow.started_by(takes(hospital, person, "8.00", invoice, method="insurance")) as f:
        await f.handled(await f.published(PaymentSucceeded, by="payment").once(), by="billing")
        await f.published(InvoicePartiallyPaid, by="billing").once()
        await f.replica(InvoiceReference, adjusted.event.invoice_id).reaches(open_amount=Decimal("2.00"))
    left = await hospital.shows("billing", f"/invoices/{invoice['invoice_id']}")
    async with flow.started_by(hospital.pays(left, "tok_visa")) as f:
        await f.handled(await f.published(InvoicePaid, by="billing").once(), by="clinical")
    shown = await hospital.shows("billing", f"/invoices/{invoice['invoice_id']}")
    assert (shown["status"], shown["balance"]) == ("paid", money("0.00"))


async def test_a_denied_claim_leaves_all_of_it_to_the_patient(flow: Flow, hospital: Hospital) -> None:
    """Until the payer, asked to look again, pays after all."""
    person = await hospital.registers()
    invoice = await hospital.invoices(person)
    claim = await claimed(hospital, person, invoice)
    await step(hospital, claim, "submit")
    await step(hospital, claim, "accept")
    async with flow.started_by(step(hospital, claim, "deny", {"reason": "not covered"})) as f:
        f.never(AdjustmentPosted)
    shown = await hospital.shows("billing", f"/invoices/{invoice['invoice_id']}")
    assert (shown["status"], shown["balance"]) == ("issued", invoice["total"])
    await step(hospital, claim, "appeal", {"reason": "it is covered"})
    line = {"position": 0, "paid": money("10.00"), "contractual": money("2.50"), "patient_responsibility": money("0.00")}
    async with flow.started_by(step(hospital, claim, "remittance", {"lines": [line]})) as f:
        await f.published(AdjustmentPosted, by="billing").once()
    assert (await hospital.shows("billing", f"/claims/{claim}"))["status"] == "paid"
