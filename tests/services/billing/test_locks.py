"""Who works on a patient's money and who merges the patient at the same time wait for each other, not both at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select

from contracts.billing import InvoiceDue
from contracts.event import Event
from services.billing import commands, rules
from services.billing.tables import BillingAccount, Charge, CollectionCase, Credit, InsuranceClaim, Invoice
from tests.services.billing.given import (
    ENCOUNTER,
    FACILITY,
    OTHER_PATIENT,
    PATIENT,
    SODIUM,
    cancelled,
    completed,
    defaulted,
    disputed,
    invoiced,
    merged,
    paid,
    patient,
    refunded,
    usd,
)
from tests.services.kit import Workplace

LONG_AGO = date(2026, 1, 1)


class Desk:
    """A patient's money: invoices that are paid, half paid and not, with credit, a claim, a case and an unpriced charge."""

    def __init__(self, billing: Workplace) -> None:
        self.billing = billing

    async def opens(self) -> None:
        """All of it, recorded for the patient."""
        billing = self.billing
        await billing.deliver(patient(OTHER_PATIENT))
        self.half, self.whole = await invoiced(billing, "10.00", due_on=LONG_AGO), await invoiced(billing, "4.00")
        self.claimed, self.free = await invoiced(billing, "8.00"), await invoiced(billing, "6.00")
        self.cash, self.card = paid("5.00", invoice_id=self.half.invoice_id), paid("7.00", invoice_id=self.whole.invoice_id)
        for event in (self.cash, self.card, completed(SODIUM, encounter_id=ENCOUNTER)):
            await billing.deliver(event)
        await billing.deliver(InvoiceDue(invoice_id=self.half.invoice_id))
        async with billing.transaction() as session:
            terms: dict[str, Any] = {"stacking": "stackable", "percent": Decimal(10), "most_redemptions": 9}
            terms |= {"valid_from": LONG_AGO, "valid_to": date(2099, 1, 1)}
            await commands.make_coupon(session, facility_id=FACILITY, code="C", **terms)
            self.credit_id = (await session.scalars(select(Credit.credit_id))).one()
            self.case = await commands.send_to_collections(session, PATIENT, FACILITY, "USD", by="manager")
        await self._claims()

    async def _claims(self) -> None:
        covers: dict[str, Any] = {"payer": "A payer", "policy_number": "P-1", "coverage_order": "primary"}
        covers |= {"patient_id": PATIENT, "facility_id": FACILITY, "effective_from": LONG_AGO}
        async with self.billing.transaction() as session:
            policy = await commands.add_policy(session, **covers)
            asked = {"diagnosis_codes": ["E11.9"]}
            self.claim = await commands.draft_claim(session, self.claimed.invoice_id, policy.policy_id, **asked, by="clerk")
            await commands.complete_claim(session, self.claim.claim_id, by="clerk")
            await commands.submit_claim(session, self.claim.claim_id, by="clerk")
            await commands.accept_claim(session, self.claim.claim_id, by="clerk")

    async def asks(self, command: Callable[..., Awaitable[object]], *args: object, **named: object) -> None:
        """A command in a transaction of its own."""
        async with self.billing.transaction() as session:
            await command(session, *args, **named)

    async def hears(self, event: Event) -> None:
        """An event in a transaction of its own."""
        await self.billing.deliver(event)


def remitted() -> rules.RemittedLine:
    return rules.RemittedLine(position=0, paid=usd("5.00"), contractual=usd("3.00"), patient_responsibility=usd("0.00"))


PRICE: dict[str, Any] = {"facility_id": FACILITY, "code": SODIUM, "price": usd("8.00"), "effective_from": LONG_AGO}
WORK: dict[str, Callable[[Desk], Awaitable[None]]] = {
    "adjustment": lambda at: at.asks(
        commands.post_adjustment, at.half.invoice_id, usd("1.00"), reason="poor", posted_by="clerk"
    ),
    "write-off": lambda at: at.asks(commands.write_off, at.half.invoice_id, reason="lost", requested_by="clerk"),
    "credit note": lambda at: at.asks(
        commands.issue_credit_note, at.whole.invoice_id, usd("2.00"), reason="wrong", by="manager"
    ),
    "coupon": lambda at: at.asks(commands.redeem_coupon, at.half.invoice_id, "C", by="clerk"),
    "remittance": lambda at: at.asks(commands.post_remittance, at.claim.claim_id, [remitted()], by="clerk"),
    "void": lambda at: at.asks(commands.void_invoice, at.free.invoice_id, "wrong", by="manager"),
    "applied credit": lambda at: at.asks(commands.apply_credit, at.credit_id, at.half.invoice_id, None, by="clerk"),
    "recall": lambda at: at.asks(commands.recall_from_collections, at.case.case_id, by="manager"),
    "price": lambda at: at.asks(commands.set_price, **PRICE),
    "refund": lambda at: at.hears(refunded(at.card, "7.00")),
    "lost dispute": lambda at: at.hears(disputed(at.card, "7.00")[2]),
    "dispute": lambda at: at.hears(disputed(at.cash, "5.00")[0]),
    "payment": lambda at: at.hears(paid("20.00", invoice_id=at.half.invoice_id)),
    "payment on account": lambda at: at.hears(paid("20.00")),
    "default": lambda at: at.hears(defaulted(at.free)),
    "due date": lambda at: at.hears(InvoiceDue(invoice_id=at.half.invoice_id)),
    "cancellation": lambda at: at.hears(cancelled()),
}
"""All that touches two things of a patient."""


async def owners(billing: Workplace) -> set[UUID]:
    """Whose everything is that goes with a patient."""
    async with billing.transaction() as session:
        found = set(await session.scalars(select(Invoice.patient_id).where(Invoice.status.in_(rules.PAYABLE))))
        found |= set(await session.scalars(select(Charge.patient_id).where(Charge.status != "invoiced")))
        for patient_id in (Credit.patient_id, InsuranceClaim.patient_id, CollectionCase.patient_id):
            found |= set(await session.scalars(select(patient_id)))
    return found


@pytest.mark.parametrize("what", WORK)
async def test_a_merge_and_work_at_once_are_both_done(billing: Workplace, what: str) -> None:
    """Neither is aborted for the other's sake, and all of it is the other patient's then."""
    desk = Desk(billing)
    await desk.opens()
    async with billing.transaction() as session:
        await BillingAccount.opened(session, PATIENT, FACILITY, alone=True)  # what a merge does first
        working = asyncio.ensure_future(WORK[what](desk))
        await billing.somebody_waits()
        await commands.merge_patient(session, PATIENT, OTHER_PATIENT, FACILITY)
    await working
    assert await owners(billing) == {OTHER_PATIENT}


@pytest.mark.parametrize("what", WORK)
async def test_a_merge_is_taken_back_while_somebody_works(billing: Workplace, what: str) -> None:
    """Neither is aborted either, and what was recorded for the merged patient is theirs again."""
    desk = Desk(billing)
    await desk.opens()
    await billing.deliver(merged(PATIENT, OTHER_PATIENT))
    async with billing.transaction() as session:
        await BillingAccount.opened(session, PATIENT, FACILITY, alone=True)  # what taking it back does first
        working = asyncio.ensure_future(WORK[what](desk))
        await billing.somebody_waits()
        await commands.unmerge_patient(session, PATIENT, FACILITY)
    await working
    assert await owners(billing) == {PATIENT}
