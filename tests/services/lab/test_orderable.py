"""What keeps an order from being placed, on a real database."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from broker import NotYet, clock
from contracts.clinical import EncounterStatus, PatientDeceased
from contracts.lab import LabOrderCancelled, LabOrderPlaced
from services.lab import commands, errors
from services.lab.replicas import EncounterReference, FacilityReference
from tests.services.kit import Workplace
from tests.services.lab.bench import (
    FACILITY,
    GLUCOSE,
    POTASSIUM,
    catalogue,
    facility,
    known_encounter,
    known_patient,
    merge,
    patient,
    placed,
    policy,
    received,
)


@pytest.fixture(autouse=True)
async def filled(lab: Workplace) -> None:
    await catalogue(lab)


async def drafted(lab: Workplace, patient_id: UUID, encounter_id: UUID | None = None) -> UUID:
    async with lab.transaction() as session:
        draft = await commands.draft_order(session, patient_id=patient_id, tests=[POTASSIUM], encounter_id=encounter_id)
    return draft.order_id


async def send(lab: Workplace, order_id: UUID) -> None:
    async with lab.transaction() as session:
        await commands.send_order(session, order_id)


async def test_nothing_is_ordered_at_a_facility_that_is_not_active(lab: Workplace) -> None:
    """FacilityIsNotActive, for a draft that is sent too, until the facility is active again."""
    patient_id = await known_patient(lab)
    draft = await drafted(lab, patient_id)
    await lab.deliver(facility("inactive", version=2))
    with pytest.raises(errors.FacilityIsNotActive):
        await placed(lab, patient_id)
    with pytest.raises(errors.FacilityIsNotActive):
        await send(lab, draft)
    await lab.deliver(facility("active", version=3))
    await send(lab, draft)


async def test_an_order_waits_for_its_facility(lab: Workplace) -> None:
    """NotYet, while the lab has not heard of the patient's facility."""
    elsewhere = await known_patient(lab, facility_id=uuid4())
    with pytest.raises(NotYet) as waits:
        await placed(lab, elsewhere)
    assert waits.value.replica is FacilityReference


@pytest.mark.parametrize("status", ["finished", "cancelled", "entered_in_error"])
async def test_nothing_is_ordered_during_an_encounter_that_is_over(lab: Workplace, status: EncounterStatus) -> None:
    """EncounterIsOver, for a draft of before too."""
    patient_id = await known_patient(lab)
    encounter_id = await known_encounter(lab, patient_id)
    draft = await drafted(lab, patient_id, encounter_id)
    await known_encounter(lab, patient_id, status, encounter_id=encounter_id, version=2)
    with pytest.raises(errors.EncounterIsOver):
        await placed(lab, patient_id, encounter_id=encounter_id)
    with pytest.raises(errors.EncounterIsOver):
        await send(lab, draft)


async def test_an_order_waits_for_its_encounter(lab: Workplace) -> None:
    """NotYet, until the reference is there."""
    patient_id, encounter_id = await known_patient(lab), uuid4()
    with pytest.raises(NotYet) as waits:
        await placed(lab, patient_id, encounter_id=encounter_id)
    assert waits.value.replica is EncounterReference
    await known_encounter(lab, patient_id, "planned", encounter_id=encounter_id)
    await placed(lab, patient_id, encounter_id=encounter_id)


async def test_an_order_is_for_the_patient_of_its_encounter(lab: Workplace) -> None:
    """EncounterIsOfAnotherPatient, unless that one was merged into this one."""
    patient_id, other = await known_patient(lab), await known_patient(lab)
    encounter_id = await known_encounter(lab, other)
    with pytest.raises(errors.EncounterIsOfAnotherPatient):
        await placed(lab, patient_id, encounter_id=encounter_id)
    await merge(lab, other, patient_id)
    await placed(lab, patient_id, encounter_id=encounter_id)


def died(patient_id: UUID) -> PatientDeceased:
    return PatientDeceased(patient_id=patient_id, facility_id=FACILITY, deceased_on=clock.now().date())


async def test_nothing_is_ordered_for_a_patient_who_has_died(lab: Workplace) -> None:
    """PatientIsDeceased."""
    with pytest.raises(errors.PatientIsDeceased):
        await placed(lab, await known_patient(lab, status="deceased"))


async def test_a_death_ends_the_orders_that_have_no_sample(lab: Workplace) -> None:
    """Nobody takes it any more; what was taken before is measured."""
    patient_id = await known_patient(lab)
    unsampled, sampled = await placed(lab, patient_id), await placed(lab, patient_id)
    await received(lab, sampled)
    await lab.deliver(patient(patient_id, version=2, status="deceased"))
    await lab.deliver(died(patient_id))
    cancelled = await lab.published(LabOrderCancelled)
    assert [(event.order_id, event.reason) for event in cancelled] == [(unsampled, "patient deceased")]


async def test_no_order_slips_in_behind_a_death(lab: Workplace) -> None:
    """As long as something can be ordered for who died, the death is heard again."""
    patient_id = await known_patient(lab)
    await lab.arrive(died(patient_id))
    assert [state for state, _ in await lab.kept()] == ["retrying"]
    await placed(lab, patient_id)
    await lab.deliver(patient(patient_id, version=2, status="deceased"))
    await lab.retry()
    assert [event.reason for event in await lab.published(LabOrderCancelled)] == ["patient deceased"]
    assert await lab.kept() == []


async def test_nobody_dies_while_an_order_for_them_is_placed(lab: Workplace) -> None:
    """The lab hears of it when the order is there."""
    patient_id = await known_patient(lab)
    async with lab.transaction() as session:
        await commands.draft_order(session, patient_id=patient_id, tests=[POTASSIUM])
        hearing = asyncio.create_task(lab.deliver(patient(patient_id, version=2, status="deceased")))
        await lab.somebody_waits()
    await hearing


async def test_a_test_is_not_ordered_again_so_soon(lab: Workplace) -> None:
    """DuplicateOrder, which names the test and the order of before; not after the window, nor for another patient or test."""
    await policy(lab, duplicate_hours=4)
    patient_id = await known_patient(lab)
    first = await placed(lab, patient_id)
    with pytest.raises(errors.DuplicateOrder) as refused:
        await placed(lab, patient_id, GLUCOSE, POTASSIUM)
    assert refused.value.facts == {"test_code": POTASSIUM, "order_id": str(first)}
    await placed(lab, patient_id, GLUCOSE)
    await placed(lab, patient_id, GLUCOSE)
    await placed(lab, await known_patient(lab))
    clock.shift += timedelta(hours=4, minutes=1)
    await placed(lab, patient_id)


async def test_a_duplicate_has_a_reason(lab: Workplace) -> None:
    """With a reason, which is kept, the test is ordered again."""
    await policy(lab, duplicate_hours=4)
    patient_id = await known_patient(lab)
    await placed(lab, patient_id)
    async with lab.transaction() as session:
        again = await commands.place_order(
            session, patient_id=patient_id, tests=[POTASSIUM], duplicate_reason="given potassium meanwhile"
        )
    assert again.duplicate_reason == "given potassium meanwhile"


async def test_what_is_not_carried_out_makes_no_duplicate(lab: Workplace) -> None:
    """Neither a draft nor an order that was cancelled; a draft is looked at when it is sent."""
    await policy(lab, duplicate_hours=4)
    patient_id = await known_patient(lab)
    draft = await drafted(lab, patient_id)
    given_up = await placed(lab, patient_id)
    async with lab.transaction() as session:
        await commands.cancel_order(session, given_up, reason="wrong patient")
    await placed(lab, patient_id)
    with pytest.raises(errors.DuplicateOrder):
        await send(lab, draft)


async def test_a_merged_patients_orders_are_ones_own(lab: Workplace) -> None:
    """What was ordered under the other record counts."""
    await policy(lab, duplicate_hours=4)
    merged, survivor = await known_patient(lab), await known_patient(lab)
    await placed(lab, merged)
    await merge(lab, merged, survivor)
    with pytest.raises(errors.DuplicateOrder):
        await placed(lab, survivor)


async def test_a_recollected_test_is_no_duplicate(lab: Workplace) -> None:
    """The order for a new sample is placed at once, and is the one that counts."""
    await policy(lab, duplicate_hours=4)
    patient_id = await known_patient(lab)
    sample_id = await received(lab, await placed(lab, patient_id))
    async with lab.transaction() as session:
        again = await commands.reject_sample(session, sample_id, reason="clotted")
    with pytest.raises(errors.DuplicateOrder) as refused:
        await placed(lab, patient_id)
    assert refused.value.facts["order_id"] == str(again.order_id)


async def test_two_who_order_at_once_are_told_apart(lab: Workplace) -> None:
    """However two orders meet, one is placed and the other one is a duplicate."""
    await policy(lab, duplicate_hours=4)
    patient_id = await known_patient(lab)
    outcomes = await asyncio.gather(*(placed(lab, patient_id) for _ in range(4)), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes].count(errors.DuplicateOrder) == 3
    assert len(await lab.published(LabOrderPlaced)) == 1
