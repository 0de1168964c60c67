"""Two patients who turn out to be one."""

from __future__ import annotations

from uuid import uuid4

import pytest
from sqlalchemy import select

from broker import NotYet
from contracts.billing import InvoiceChanged
from services.billing import commands
from services.billing.errors import PatientCannotMergeIntoThemselves
from services.billing.tables import Charge, Credit
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
    priced,
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
