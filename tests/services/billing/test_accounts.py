"""Two patients who turn out to be one."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select

from broker import NotYet
from contracts.billing import InvoiceChanged, InvoiceDue
from services.billing import commands
from services.billing.errors import PatientCannotMergeIntoThemselves
from services.billing.tables import Charge, CollectionCase, Credit, Invoice
from tests.services.billing.given import (
    FACILITY,
    GLUCOSE,
    OTHER_PATIENT,
    PATIENT,
    completed,
    invoice_of,
    invoiced,
    merged,
    paid,
    patient,
    performed,
    priced,
    refunded,
    unmerged,
    usd,
)
from tests.services.kit import Workplace


@pytest.fixture(autouse=True)
async def other_patient(billing: Workplace) -> None:
    await billing.deliver(patient(OTHER_PATIENT))


async def test_what_is_open_follows_a_merge(billing: Workplace) -> None:
    """Open invoices, charges and credits are the other's; a settled invoice stays as it was."""
    settled, still_open = await invoiced(billing, "5.00"), await invoiced(billing, "9.00")
    await billing.deliver(paid("6.00", invoice_id=settled.invoice_id))
    await billing.deliver(completed(GLUCOSE))
    await billing.deliver(merged(PATIENT, OTHER_PATIENT))
    assert (await invoice_of(billing, still_open.invoice_id)).patient_id == OTHER_PATIENT
    assert (await invoice_of(billing, settled.invoice_id)).patient_id == PATIENT
    async with billing.transaction() as session:
        assert set(await session.scalars(select(Charge.patient_id))) == {OTHER_PATIENT}
        assert set(await session.scalars(select(Credit.patient_id))) == {OTHER_PATIENT}
    assert (await billing.published(InvoiceChanged))[-1].patient_id == OTHER_PATIENT


async def test_commands_follow_the_redirect(billing: Workplace) -> None:
    """What comes for the merged patient later is the other's from the start, over several merges too."""
    third = uuid4()
    await billing.deliver(patient(third))
    await billing.deliver(merged(PATIENT, OTHER_PATIENT))
    await billing.deliver(merged(OTHER_PATIENT, third))
    await priced(billing, GLUCOSE, "12.50")
    await billing.deliver(completed(GLUCOSE, patient_id=PATIENT))
    async with billing.transaction() as session:
        invoice = await commands.issue_invoice(session, patient_id=PATIENT, facility_id=FACILITY)
    assert (invoice.patient_id, invoice.total) == (third, usd("12.50"))


async def test_money_is_where_the_merge_has_put_it(billing: Workplace) -> None:
    """Not where the copy of the patient says it will be, or had been: that is heard of sooner or later than the merge."""
    invoice = await invoiced(billing, "10.00")
    await billing.deliver(patient(PATIENT, version=2, merged_into=OTHER_PATIENT))
    await billing.deliver(paid("4.00"))
    assert (await invoice_of(billing, invoice.invoice_id)).balance == usd("6.00")
    async with billing.client("cashier", at=FACILITY) as cashier:
        assert (await cashier.get(f"/accounts/{PATIENT}")).json()["owed"] == [{"amount": "6.00", "currency": "USD"}]
    await billing.deliver(merged(PATIENT, OTHER_PATIENT))
    await billing.deliver(patient(PATIENT, version=3))
    await billing.deliver(paid("1.00"))
    after = await invoice_of(billing, invoice.invoice_id)
    assert (after.balance, after.patient_id) == (usd("5.00"), OTHER_PATIENT)
    async with billing.client("cashier", at=FACILITY) as cashier:
        assert (await cashier.get(f"/accounts/{PATIENT}")).json()["owed"] == [{"amount": "5.00", "currency": "USD"}]


async def test_a_merge_waits_for_whom_it_is_merged_into(billing: Workplace) -> None:
    """And nothing is moved before."""
    stranger = uuid4()
    with pytest.raises(NotYet):
        await billing.deliver(merged(PATIENT, stranger))


async def test_nobody_is_merged_into_themselves(billing: Workplace) -> None:
    """Neither at once nor in a circle."""
    with pytest.raises(PatientCannotMergeIntoThemselves):
        await billing.deliver(merged(PATIENT, PATIENT))
    await billing.deliver(merged(PATIENT, OTHER_PATIENT))
    with pytest.raises(PatientCannotMergeIntoThemselves):
        await billing.deliver(merged(OTHER_PATIENT, PATIENT))


async def test_a_merge_taken_twice_is_one_merge(billing: Workplace) -> None:
    """The second time there is nothing left to move."""
    invoice = await invoiced(billing, "9.00")
    await billing.deliver(merged(PATIENT, OTHER_PATIENT))
    await billing.deliver(merged(PATIENT, OTHER_PATIENT))
    assert (await invoice_of(billing, invoice.invoice_id)).patient_id == OTHER_PATIENT


async def issued(billing: Workplace, patient_id: UUID) -> Invoice:
    async with billing.transaction() as session:
        return await commands.issue_invoice(session, patient_id=patient_id, facility_id=FACILITY)


async def test_a_merge_that_was_taken_back_parts_the_accounts(billing: Workplace) -> None:
    """What was recorded for the merged patient is theirs again, and so is what comes for them; the other keeps their own."""
    mine, theirs = await invoiced(billing, "9.00"), await invoiced(billing, "8.00", patient_id=OTHER_PATIENT)
    await billing.deliver(merged(PATIENT, OTHER_PATIENT))
    meanwhile = await invoiced(billing, "7.00")
    await billing.deliver(unmerged(PATIENT, OTHER_PATIENT))
    owners = [(await invoice_of(billing, each.invoice_id)).patient_id for each in (mine, meanwhile, theirs)]
    assert owners == [PATIENT, PATIENT, OTHER_PATIENT]
    await priced(billing, GLUCOSE, "12.50")
    await billing.deliver(completed(GLUCOSE))
    invoice = await issued(billing, PATIENT)
    assert (invoice.patient_id, invoice.total) == (PATIENT, usd("12.50"))
    assert (await billing.published(InvoiceChanged))[-1].patient_id == PATIENT


async def test_charges_and_credits_come_back(billing: Workplace) -> None:
    """Those from before the merge and those that came while it lasted."""
    await billing.deliver(paid("2.00"))
    await billing.deliver(completed(GLUCOSE))
    await billing.deliver(merged(PATIENT, OTHER_PATIENT))
    await billing.deliver(paid("3.00"))
    await billing.deliver(paid("4.00", patient_id=OTHER_PATIENT))
    await billing.deliver(completed(GLUCOSE))
    await billing.deliver(completed(GLUCOSE, patient_id=OTHER_PATIENT))
    await billing.deliver(unmerged(PATIENT, OTHER_PATIENT))
    async with billing.transaction() as session:
        charged = list(await session.scalars(select(Charge.patient_id)))
        credited = {row.amount: row.patient_id for row in await session.scalars(select(Credit))}
    assert sorted(charged) == sorted([PATIENT, PATIENT, OTHER_PATIENT])
    assert credited == {Decimal(2): PATIENT, Decimal(3): PATIENT, Decimal(4): OTHER_PATIENT}


async def test_what_is_done_for_a_merged_patient_comes_back(billing: Workplace) -> None:
    """A test and a procedure of theirs that are done while it lasts: said of the survivor, recorded for them."""
    await billing.deliver(merged(PATIENT, OTHER_PATIENT))
    done = completed(GLUCOSE).model_copy(update={"patient_id": OTHER_PATIENT, "recorded_for": PATIENT})
    sutured = performed("12345").model_copy(update={"patient_id": OTHER_PATIENT, "recorded_for": PATIENT})
    await billing.deliver(done)
    await billing.deliver(sutured)
    async with billing.transaction() as session:
        assert set(await session.scalars(select(Charge.patient_id))) == {OTHER_PATIENT}
    await billing.deliver(unmerged(PATIENT, OTHER_PATIENT))
    async with billing.transaction() as session:
        assert set(await session.scalars(select(Charge.patient_id))) == {PATIENT}


async def test_merges_are_taken_back_one_by_one(billing: Workplace) -> None:
    """Of three who were one, the middle one leaves with whom was merged into them before."""
    third = uuid4()
    await billing.deliver(patient(third))
    invoice = await invoiced(billing, "9.00")
    await billing.deliver(merged(OTHER_PATIENT, third))
    await billing.deliver(merged(PATIENT, OTHER_PATIENT))
    assert (await invoice_of(billing, invoice.invoice_id)).patient_id == third
    await billing.deliver(unmerged(OTHER_PATIENT, third))
    assert (await invoice_of(billing, invoice.invoice_id)).patient_id == OTHER_PATIENT
    await billing.deliver(unmerged(PATIENT, OTHER_PATIENT))
    await billing.deliver(unmerged(PATIENT, OTHER_PATIENT))
    assert (await invoice_of(billing, invoice.invoice_id)).patient_id == PATIENT


async def test_what_opens_again_after_an_unmerge_is_owed_by_whom_it_was_recorded_for(billing: Workplace) -> None:
    """A settled invoice stays where it was settled until its money goes back."""
    invoice, payment = await invoiced(billing, "10.00"), paid("10.00")
    await billing.deliver(merged(PATIENT, OTHER_PATIENT))
    await billing.deliver(payment)
    await billing.deliver(unmerged(PATIENT, OTHER_PATIENT))
    assert (await invoice_of(billing, invoice.invoice_id)).patient_id == OTHER_PATIENT
    await billing.deliver(refunded(payment, "10.00"))
    assert (await invoice_of(billing, invoice.invoice_id)).patient_id == PATIENT


async def test_what_was_invoiced_for_two_stays_the_others(billing: Workplace) -> None:
    """Voided, its charges can be invoiced again, there."""
    await priced(billing, GLUCOSE, "12.50")
    await billing.deliver(completed(GLUCOSE))
    await billing.deliver(completed(GLUCOSE, patient_id=OTHER_PATIENT))
    await billing.deliver(merged(PATIENT, OTHER_PATIENT))
    invoice = await issued(billing, OTHER_PATIENT)
    await billing.deliver(unmerged(PATIENT, OTHER_PATIENT))
    assert (await invoice_of(billing, invoice.invoice_id)).patient_id == OTHER_PATIENT
    async with billing.transaction() as session:
        await commands.void_invoice(session, invoice.invoice_id, "for two", by="clerk")
    assert (await issued(billing, OTHER_PATIENT)).total == usd("25.00")


async def test_no_case_of_collections_is_over_the_debts_of_two(billing: Workplace) -> None:
    """When a merge is taken back, an invoice leaves the case of the other and is looked at again."""
    mine = await invoiced(billing, "9.00", due_on=date(2026, 1, 1))
    theirs = await invoiced(billing, "8.00", due_on=date(2026, 1, 1), patient_id=OTHER_PATIENT)
    await billing.deliver(merged(PATIENT, OTHER_PATIENT))
    for invoice in (mine, theirs):
        await billing.deliver(InvoiceDue(invoice_id=invoice.invoice_id))
    async with billing.transaction() as session:
        await commands.send_to_collections(session, OTHER_PATIENT, FACILITY, "USD", by="manager")
    await billing.deliver(unmerged(PATIENT, OTHER_PATIENT))
    assert (await invoice_of(billing, mine.invoice_id)).collection_case_id is None
    await billing.deliver(InvoiceDue(invoice_id=mine.invoice_id))
    async with billing.transaction() as session:
        cases = {case.patient_id: (case.status, case.amount) for case in await session.scalars(select(CollectionCase))}
    assert cases == {OTHER_PATIENT: ("open", Decimal(17)), PATIENT: ("open", Decimal(9))}
