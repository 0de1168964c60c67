"""Samples, on a real database, and what the lab says of them."""

from __future__ import annotations

import asyncio
from typing import get_args
from uuid import UUID

import pytest
from sqlalchemy import select

from contracts.clinical import EncounterStatus
from contracts.lab import (
    LabOrderCancelled,
    LabOrderCompleted,
    LabOrderPlaced,
    LabSampleCollected,
    LabSampleRejected,
    RejectionReason,
)
from services.lab import commands, errors
from services.lab.tables import LabOrder, Sample
from tests.services.kit import Workplace
from tests.services.lab.bench import (
    GLUCOSE,
    LABEL,
    POTASSIUM,
    accepted,
    catalogue,
    entered,
    known_encounter,
    known_patient,
    mmol,
    patient,
    placed,
    received,
    verified,
)


@pytest.fixture(autouse=True)
async def filled(lab: Workplace) -> None:
    await catalogue(lab)


async def reject(lab: Workplace, sample_id: UUID, reason: RejectionReason = "haemolysed") -> UUID:
    async with lab.transaction() as session:
        return (await commands.reject_sample(session, sample_id, reason=reason)).order_id


async def status_of(lab: Workplace, order_id: UUID) -> str:
    async with lab.transaction() as session:
        return (await LabOrder.seen(session, order_id)).status


async def test_a_sample_from_the_patient_to_the_bin(lab: Workplace) -> None:
    """Collected, sent, received, accepted, stored, disposed of; the order is in process when it is accepted."""
    order_id = await placed(lab, await known_patient(lab))
    sample_id = await accepted(lab, order_id)
    assert await status_of(lab, order_id) == "in_process"
    async with lab.transaction() as session:
        await commands.store_sample(session, sample_id)
        assert (await commands.dispose_of_sample(session, sample_id)).status == "disposed"
    assert [event.sample_id for event in await lab.published(LabSampleCollected)] == [sample_id]


async def test_only_the_kinds_of_identifiers_are_kept(lab: Workplace) -> None:
    """The sample's row says which identifiers its label shows, not what they are."""
    await received(lab, await placed(lab, await known_patient(lab)))
    async with lab.transaction() as session:
        assert await session.scalar(select(Sample.identifiers)) == ["full_name", "medical_record_number"]


async def test_a_sample_of_somebody_else_is_not_taken(lab: Workplace) -> None:
    """SampleLabelDoesNotMatchThePatient, and nothing is announced."""
    order_id = await placed(lab, await known_patient(lab))
    with pytest.raises(errors.SampleLabelDoesNotMatchThePatient):
        async with lab.transaction() as session:
            await commands.collect_sample(session, order_id, label=LABEL | {"full_name": "Somebody Else"})
    assert await lab.published(LabSampleCollected) == []


async def test_one_sample_for_each_test(lab: Workplace) -> None:
    """SampleWasTakenForThisTestAlready, for a second one; TestIsNotPartOfTheOrder, for a test that was not ordered."""
    order_id = await placed(lab, await known_patient(lab), POTASSIUM, GLUCOSE)
    await received(lab, order_id, POTASSIUM)
    with pytest.raises(errors.SampleWasTakenForThisTestAlready):
        await received(lab, order_id, POTASSIUM)
    with pytest.raises(errors.TestIsNotPartOfTheOrder):
        await received(lab, order_id, "1-8")
    await received(lab, order_id)
    with pytest.raises(errors.SampleWasTakenForThisTestAlready):
        await received(lab, order_id)


@pytest.mark.parametrize("reason", get_args(RejectionReason))
async def test_a_rejected_sample_is_ordered_again(lab: Workplace, reason: RejectionReason) -> None:
    """The first order is cancelled without a charge, a new one is placed for the same tests, and both are told."""
    order_id = await placed(lab, await known_patient(lab))
    again = await reject(lab, await received(lab, order_id), reason)
    [rejected] = await lab.published(LabSampleRejected)
    assert (rejected.order_id, rejected.recollect_order_id, rejected.reason) == (order_id, again, reason)
    assert [event.order_id for event in await lab.published(LabOrderPlaced)] == [order_id, again]
    assert [event.order_id for event in await lab.published(LabOrderCancelled)] == [order_id]
    async with lab.transaction() as session:
        assert (await LabOrder.seen(session, again)).recollects == order_id


async def test_a_second_sample_is_charged_once(lab: Workplace) -> None:
    """Only the order that brings the results completes."""
    again = await reject(lab, await received(lab, await placed(lab, await known_patient(lab))))
    await accepted(lab, again)
    await verified(lab, again, mmol("4"))
    assert [event.order_id for event in await lab.published(LabOrderCompleted)] == [again]


async def test_each_test_is_charged_with_the_order_that_brings_its_result(lab: Workplace) -> None:
    """Of two samples one is rejected: the first order completes with the test that has a result, the other test moves on."""
    order_id = await placed(lab, await known_patient(lab), POTASSIUM, GLUCOSE)
    await accepted(lab, order_id, POTASSIUM)
    await verified(lab, order_id, mmol("4"))
    again = await reject(lab, await received(lab, order_id, GLUCOSE))
    await accepted(lab, again)
    await verified(lab, again, mmol("5"), GLUCOSE)
    charged = [(event.order_id, [test.code for test in event.tests]) for event in await lab.published(LabOrderCompleted)]
    assert charged == [(order_id, [POTASSIUM]), (again, [GLUCOSE])]


async def test_an_order_goes_on_with_its_other_sample(lab: Workplace) -> None:
    """Of two samples one is rejected before any result: the order goes on with the other one."""
    order_id = await placed(lab, await known_patient(lab), POTASSIUM, GLUCOSE)
    await accepted(lab, order_id, POTASSIUM)
    await reject(lab, await received(lab, order_id, GLUCOSE))
    assert await status_of(lab, order_id) == "in_process"
    await verified(lab, order_id, mmol("4"))
    assert await status_of(lab, order_id) == "completed"


async def test_a_rejected_sample_is_not_measured(lab: Workplace) -> None:
    """TestHasNoAcceptedSample, as for one that has not been accepted yet or was never taken."""
    order_id = await placed(lab, await known_patient(lab), POTASSIUM, GLUCOSE)
    sample_id = await received(lab, order_id, POTASSIUM)
    for test in (POTASSIUM, GLUCOSE):
        with pytest.raises(errors.TestHasNoAcceptedSample):
            await entered(lab, order_id, mmol("4"), test)
    await reject(lab, sample_id)
    with pytest.raises(errors.TestHasNoAcceptedSample):
        await entered(lab, order_id, mmol("4"))


@pytest.mark.parametrize("called_off", [None, "cancelled", "entered_in_error"])
async def test_no_other_sample_is_ordered_that_nobody_can_take(lab: Workplace, called_off: EncounterStatus | None) -> None:
    """The tests are given up, and nobody awaits a sample; the order ends with what it has, and its end is said."""
    patient_id = await known_patient(lab)
    encounter_id = await known_encounter(lab, patient_id)
    order_id = await placed(lab, patient_id, POTASSIUM, GLUCOSE, encounter_id=encounter_id)
    unmeasured = await placed(lab, patient_id, encounter_id=encounter_id)
    await accepted(lab, order_id, POTASSIUM)
    await verified(lab, order_id, mmol("4"))
    samples = [await received(lab, order_id), await received(lab, unmeasured)]
    if called_off is None:
        await lab.deliver(patient(patient_id, version=2, status="deceased"))
    else:
        await known_encounter(lab, patient_id, called_off, encounter_id=encounter_id, version=2)
    assert [await reject(lab, sample) for sample in samples] == [order_id, unmeasured]
    assert await lab.published(LabSampleRejected) == []
    assert len(await lab.published(LabOrderPlaced)) == 2
    [completed], [cancelled] = await lab.published(LabOrderCompleted), await lab.published(LabOrderCancelled)
    assert (completed.order_id, [test.code for test in completed.tests]) == (order_id, [POTASSIUM])
    assert (cancelled.order_id, cancelled.reason) == (unmeasured, "sample haemolysed")


async def test_another_sample_is_ordered_after_the_encounter(lab: Workplace) -> None:
    """What was ordered during an encounter is still owed when it is finished."""
    patient_id = await known_patient(lab)
    encounter_id = await known_encounter(lab, patient_id)
    order_id = await placed(lab, patient_id, encounter_id=encounter_id)
    sample_id = await received(lab, order_id)
    await known_encounter(lab, patient_id, "finished", encounter_id=encounter_id, version=2)
    again = await reject(lab, sample_id)
    assert again != order_id
    assert (await lab.published(LabOrderPlaced))[-1].encounter_id == encounter_id


async def test_nobody_dies_while_another_sample_is_ordered(lab: Workplace) -> None:
    """The lab hears of it when the new order is there, and cancels that."""
    patient_id = await known_patient(lab)
    sample_id = await received(lab, await placed(lab, patient_id))
    async with lab.transaction() as session:
        await commands.reject_sample(session, sample_id, reason="clotted")
        hearing = asyncio.create_task(lab.deliver(patient(patient_id, version=2, status="deceased")))
        await lab.somebody_waits()
    await hearing


async def test_the_sample_of_an_order_that_ended_is_not_recollected(lab: Workplace) -> None:
    """OrderCannotBecome: nobody wants another sample."""
    order_id = await placed(lab, await known_patient(lab))
    sample_id = await received(lab, order_id)
    async with lab.transaction() as session:
        await commands.cancel_order(session, order_id, reason="not needed")
    with pytest.raises(errors.OrderCannotBecome):
        await reject(lab, sample_id)
