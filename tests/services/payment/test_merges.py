"""Two patients who turn out to be one, and two after all, while one of them pays."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest

from broker import Later
from contracts.clinical import PatientMerged, PatientUnmerged
from contracts.payment import PaymentSucceeded, RefundSucceeded
from services.payment import commands, rules
from tests.services.kit import Workplace
from tests.services.payment.given import (
    FACILITY,
    NOON,
    OTHER_PATIENT,
    PATIENT,
    cash,
    hear,
    initiated,
    invoice,
    patient,
    payment_of,
    recorded,
    refund_asked,
)

CAPTURED = rules.Word(outcome="captured", provider_payment_id="pay_1")


async def merge(payment: Workplace, merged: UUID = PATIENT, into: UUID = OTHER_PATIENT, *, version: int = 2) -> None:
    await payment.deliver(patient(merged, version=version, merged_into=into))
    await payment.deliver(PatientMerged(patient_id=merged, into_patient_id=into, facility_id=FACILITY, merged_at=NOON))


async def unmerge(payment: Workplace, merged: UUID = PATIENT, out_of: UUID = OTHER_PATIENT, *, version: int = 3) -> None:
    await payment.deliver(patient(merged, version=version))
    await payment.deliver(PatientUnmerged(patient_id=merged, from_patient_id=out_of, facility_id=FACILITY, unmerged_at=NOON))


async def taken(payment: Workplace, amount: str, *, of: UUID) -> UUID:
    """Cash that lies in the till, uncounted."""
    async with payment.transaction() as session:
        money = cash(amount, reference=str(uuid4()), invoice_id=None, patient_id=of)
        return (await commands.take_cash(session, money, "first")).payment_id


async def payer(payment: Workplace, payment_id: UUID) -> UUID:
    return (await payment_of(payment, payment_id)).patient_id


async def test_what_is_under_way_follows_a_merge(payment: Workplace) -> None:
    """What is over stays as it was."""
    settled, begun = await recorded(payment, cash("25.00")), await initiated(payment, "10.00")
    await merge(payment)
    assert await payer(payment, begun.payment_id) == OTHER_PATIENT
    assert await payer(payment, settled.payment_id) == PATIENT


async def test_what_is_under_way_goes_back_when_a_merge_is_taken_back(payment: Workplace) -> None:
    """To whom it was recorded for, and for whom was merged into them before; what was the other's stays."""
    third = uuid4()
    await payment.deliver(patient(third))
    theirs = [await taken(payment, "1.00", of=each) for each in (third, PATIENT)]
    others = await taken(payment, "1.00", of=OTHER_PATIENT)
    await merge(payment, third, PATIENT)
    await merge(payment)
    late = await taken(payment, "1.00", of=PATIENT)
    assert {await payer(payment, each) for each in (*theirs, late, others)} == {OTHER_PATIENT}
    await unmerge(payment)
    assert {await payer(payment, each) for each in (*theirs, late)} == {PATIENT}
    assert await payer(payment, others) == OTHER_PATIENT


async def test_what_is_over_does_not_go_back(payment: Workplace) -> None:
    """It was the other's when it came; a refund of it is whose it was recorded for."""
    await merge(payment)
    paid = await recorded(payment, cash("25.00"))
    await unmerge(payment)
    assert await payer(payment, paid.payment_id) == OTHER_PATIENT
    refund = await refund_asked(payment, paid, "5.00")
    async with payment.transaction() as session:
        await commands.pay_refund_out(session, refund.refund_id, "manager")
    assert [event.patient_id for event in await payment.published(RefundSucceeded)] == [PATIENT]


async def test_cash_that_is_counted_later_is_whose_it_was_recorded_for(payment: Workplace) -> None:
    """Or whom they were merged into, also where nobody has heard of the merge yet."""
    counted = [await taken(payment, "1.00", of=PATIENT) for _ in range(2)]
    states = [patient(PATIENT, version=2, merged_into=OTHER_PATIENT), patient(PATIENT, version=3)]
    for payment_id, state in zip(counted, states, strict=True):
        await payment.deliver(state)
        async with payment.transaction() as session:
            await commands.verify_cash(session, payment_id, "second")
    assert [event.patient_id for event in await payment.published(PaymentSucceeded)] == [OTHER_PATIENT, PATIENT]


async def test_what_a_provider_takes_is_of_the_invoices_patient(payment: Workplace) -> None:
    """Whose the invoice is when a merge is taken back, although the payment was begun for the other."""
    await merge(payment)
    await payment.deliver(invoice("100.00", version=2, patient_id=OTHER_PATIENT))
    begun = await initiated(payment, "10.00", "tok_visa")
    await unmerge(payment)
    await payment.deliver(invoice("100.00", version=3, patient_id=PATIENT))
    await hear(payment, begun, CAPTURED)
    assert [event.patient_id for event in await payment.published(PaymentSucceeded)] == [PATIENT]


async def test_commands_follow_the_redirect(payment: Workplace) -> None:
    """A payment begun or recorded for a merged patient is the other's; a patient who is not known here is not waited for."""
    await payment.deliver(patient(PATIENT, version=2, merged_into=OTHER_PATIENT))
    assert (await initiated(payment, "10.00")).patient_id == OTHER_PATIENT
    assert (await recorded(payment, cash("5.00"))).patient_id == OTHER_PATIENT
    stranger = uuid4()
    assert (await recorded(payment, cash("5.00", reference="till 2", patient_id=stranger))).patient_id == stranger


async def test_a_circle_of_merges_is_waited_out(payment: Workplace) -> None:
    """A merge and one that was taken back have met: the newer state is on its way, and nobody guesses whose the money is."""
    await payment.deliver(patient(PATIENT, version=2, merged_into=OTHER_PATIENT))
    await payment.deliver(patient(OTHER_PATIENT, version=2, merged_into=PATIENT))
    with pytest.raises(Later):
        await recorded(payment, cash("5.00"))
