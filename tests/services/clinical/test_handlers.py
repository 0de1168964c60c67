"""What other services say, in the patient's record."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select

from broker import clock
from contracts.billing import InvoicePaid
from contracts.lab import LabResultAvailable, LabResultCorrected
from contracts.money import Money
from services.clinical import commands, errors
from services.clinical.tables import PaidInvoiceEntry, ResultEntry
from tests.services.clinical.conftest import HERE
from tests.services.clinical.test_commands import register
from tests.services.kit import Workplace


def said(patient_id: UUID, **fields: Any) -> dict[str, Any]:
    return {
        "result_id": uuid4(),
        "order_id": uuid4(),
        "patient_id": patient_id,
        "facility_id": HERE,
        "encounter_id": None,
        "test_code": "2823-3",
        "test_name": "Potassium",
        "value": Decimal("6.8"),
        "text_value": None,
        "unit": "mmol/L",
        "reference_low": Decimal("3.5"),
        "reference_high": Decimal("5.0"),
        "flag": "HH",
        "is_abnormal": True,
        "is_critical": True,
        "status": "final",
        "resulted_at": clock.now(),
        **fields,
    }


def paid(patient_id: UUID) -> InvoicePaid:
    return InvoicePaid(
        invoice_id=uuid4(),
        patient_id=patient_id,
        facility_id=HERE,
        encounter_id=None,
        amount=Money.of("12.50"),
        paid_at=clock.now(),
    )


async def entries(clinical: Workplace) -> list[ResultEntry]:
    async with clinical.transaction() as session:
        return list(await session.scalars(select(ResultEntry).order_by(ResultEntry.entered_at)))


async def test_a_result_is_in_the_record_with_the_event_it_came_in(clinical: Workplace) -> None:
    """The entry says all that the event says, and which event that was."""
    patient_id = await register(clinical)
    result = LabResultAvailable(**said(patient_id, recorded_for=patient_id))
    message = await clinical.deliver(result)
    [entry] = await entries(clinical)
    assert (entry.source_event_id, entry.recorded_for) == (message, result.patient_id)
    assert LabResultAvailable.of(entry) == result


async def test_a_correction_stands_beside_what_it_corrects(clinical: Workplace) -> None:
    """Both entries stay to be seen, the second one with its reason."""
    first = LabResultAvailable(**said(await register(clinical)))
    fields = first.model_dump() | {"value": Decimal("4.8"), "status": "corrected", "flag": None}
    corrected = LabResultCorrected(**fields, previous_value=first.value, previous_text_value=None, reason="haemolysed")
    await clinical.deliver(first)
    await clinical.deliver(corrected)
    assert [(entry.value, entry.reason) for entry in await entries(clinical)] == [
        (Decimal("6.8"), None),
        (Decimal("4.8"), "haemolysed"),
    ]


async def test_a_result_for_a_merged_patient_goes_to_the_one_that_lives_on(clinical: Workplace) -> None:
    """The lab did not know of the merge yet; the record does."""
    merged, survivor = await register(clinical, "M-1"), await register(clinical, "M-2")
    async with clinical.transaction() as session:
        await commands.merge_patients(session, merged, into_patient_id=survivor)
    await clinical.deliver(LabResultAvailable(**said(merged)))
    [entry] = await entries(clinical)
    assert (entry.patient_id, entry.recorded_for) == (survivor, merged)


async def test_a_result_is_whose_the_test_was_ordered_for(clinical: Workplace) -> None:
    """Said of the survivor of a merge, it is the merged one's when the merge is taken back, whichever is heard first."""
    merged, survivor = await register(clinical, "M-1"), await register(clinical, "M-2")
    async with clinical.transaction() as session:
        await commands.merge_patients(session, merged, into_patient_id=survivor)
    result = LabResultAvailable(**said(survivor, recorded_for=merged))
    await clinical.deliver(result)
    assert [entry.patient_id for entry in await entries(clinical)] == [survivor]
    async with clinical.transaction() as session:
        await commands.unmerge_patient(session, merged)
    await clinical.deliver(result)
    assert [entry.patient_id for entry in await entries(clinical)] == [merged, merged]


async def test_a_result_for_an_unknown_patient_waits(clinical: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    """PatientIsNotKnownYet: it is tried again until the patient is registered, and then takes effect by itself, once."""
    monkeypatch.setattr(clock, "shift", timedelta())
    patient_id = uuid4()
    with pytest.raises(errors.PatientIsNotKnownYet):
        await clinical.deliver(LabResultAvailable(**said(patient_id)))
    await clinical.arrive(LabResultAvailable(**said(patient_id)))
    assert await clinical.kept() == [("retrying", None)]
    await register(clinical, patient_id=patient_id)
    clock.shift = timedelta(hours=1)
    await clinical.retry()
    assert [entry.patient_id for entry in await entries(clinical)] == [patient_id]
    assert await clinical.kept() == []


async def test_a_paid_invoice_is_in_the_record(clinical: Workplace) -> None:
    """The entry shows what was paid, and which event said so."""
    invoice = paid(await register(clinical))
    message = await clinical.deliver(invoice)
    async with clinical.transaction() as session:
        entry = (await session.scalars(select(PaidInvoiceEntry))).one()
    assert (entry.source_event_id, entry.invoice_id, entry.amount, entry.currency) == (
        message,
        invoice.invoice_id,
        Decimal("12.50"),
        "USD",
    )


async def test_one_event_twice_would_be_seen_twice(clinical: Workplace) -> None:
    """Nothing in these tables hides a second effect of one event: only the inbox prevents it."""
    result = LabResultAvailable(**said(await register(clinical)))
    message = await clinical.deliver(result)
    await clinical.deliver(result, id_=message)
    assert [entry.source_event_id for entry in await entries(clinical)] == [message, message]
