"""Orders, on a real database, and what the lab says of them."""

from __future__ import annotations

import asyncio
from uuid import UUID, uuid4

import pytest

from broker import NotFound, NotYet, clock
from contracts.clinical import EncounterCancelled, PatientMerged, PatientUnmerged
from contracts.lab import (
    LabOrderCancelled,
    LabOrderCompleted,
    LabOrderPlaced,
    LabResultAvailable,
    LabResultCorrected,
    LabTestChanged,
)
from services.lab import commands, errors
from services.lab.app import service
from services.lab.replicas import PatientReference
from services.lab.rules import GivenRange
from services.lab.tables import LabOrder, LabTest
from tests.services.kit import Workplace
from tests.services.lab.bench import (
    FACILITY,
    GLUCOSE,
    LABEL,
    POTASSIUM,
    accepted,
    catalogue,
    entered,
    known_encounter,
    known_patient,
    limits,
    merge,
    mmol,
    patient,
    placed,
    received,
    verified,
)


@pytest.fixture(autouse=True)
async def filled(lab: Workplace) -> None:
    await catalogue(lab)


async def order_of(lab: Workplace, order_id: UUID) -> LabOrder:
    async with lab.transaction() as session:
        return await LabOrder.seen(session, order_id)


async def test_the_catalogue_is_published(lab: Workplace) -> None:
    """Each test's state leaves with its definition, and again with a change; its ranges are replaced as a whole."""
    async with lab.transaction() as session:
        anybody = GivenRange(limits=limits("3.6", "5.1"))
        await commands.define_test(session, POTASSIUM, name="K", unit="mmol/L", ranges=[anybody], active=False)
    states = [state for state in await lab.published(LabTestChanged) if state.code == POTASSIUM]
    assert [(state.name, state.active) for state in states] == [("Potassium", True), ("K", False)]
    async with lab.transaction() as session:
        assert len((await LabTest.seen(session, POTASSIUM)).ranges) == 1


async def test_a_placed_order_is_announced(lab: Workplace) -> None:
    """lab.order.placed names patient, facility and tests; the facility is the patient's."""
    patient_id = await known_patient(lab)
    order_id = await placed(lab, patient_id, GLUCOSE, POTASSIUM)
    [event] = await lab.published(LabOrderPlaced)
    assert (event.order_id, event.patient_id, event.facility_id) == (order_id, patient_id, FACILITY)
    assert [test.name for test in event.tests] == ["Glucose", "Potassium"]


async def test_a_draft_is_nobodys_business_until_it_is_sent(lab: Workplace) -> None:
    """Neither a draft nor giving it up is announced; sending it is."""
    patient_id = await known_patient(lab)
    async with lab.transaction() as session:
        given_up = await commands.draft_order(session, patient_id=patient_id, tests=[POTASSIUM])
        kept = await commands.draft_order(session, patient_id=patient_id, tests=[POTASSIUM])
    async with lab.transaction() as session:
        await commands.cancel_order(session, given_up.order_id, reason="second thoughts")
    assert await lab.published(LabOrderPlaced) == []
    async with lab.transaction() as session:
        await commands.send_order(session, kept.order_id)
    assert [event.order_id for event in await lab.published(LabOrderPlaced)] == [kept.order_id]
    assert await lab.published(LabOrderCancelled) == []


async def test_an_order_for_a_patient_who_has_not_arrived_waits(lab: Workplace) -> None:
    """NotYet, until the reference is there; then the same order is placed."""
    state = patient()
    with pytest.raises(NotYet) as waits:
        await placed(lab, state.patient_id)
    assert (waits.value.replica, waits.value.key) == (PatientReference, str(state.patient_id))
    await lab.deliver(state)
    await placed(lab, state.patient_id)


async def test_a_test_that_is_not_offered(lab: Workplace) -> None:
    """TestIsNotOffered, for one that the catalogue does not have and for one that is no longer active."""
    patient_id = await known_patient(lab)
    with pytest.raises(errors.TestIsNotOffered):
        await placed(lab, patient_id, "1-8")
    async with lab.transaction() as session:
        await commands.define_test(session, GLUCOSE, name="Glucose", unit="mg/dL", active=False)
    with pytest.raises(errors.TestIsNotOffered):
        await placed(lab, patient_id, GLUCOSE)


async def test_an_order_names_a_test_once(lab: Workplace) -> None:
    """OrderNamesATestTwice."""
    with pytest.raises(errors.OrderNamesATestTwice):
        await placed(lab, await known_patient(lab), POTASSIUM, POTASSIUM)


async def test_a_cancelled_order_is_announced_and_takes_no_sample(lab: Workplace) -> None:
    """lab.order.cancelled with the reason; afterwards OrderCannotBecome."""
    order_id = await placed(lab, await known_patient(lab))
    async with lab.transaction() as session:
        await commands.cancel_order(session, order_id, reason="not needed")
    assert [event.reason for event in await lab.published(LabOrderCancelled)] == ["not needed"]
    with pytest.raises(errors.OrderCannotBecome):
        await received(lab, order_id)


async def test_an_order_with_results_is_not_cancelled(lab: Workplace) -> None:
    """OrderHasResultsAlready, once one of its results was released."""
    order_id = await placed(lab, await known_patient(lab), POTASSIUM, GLUCOSE)
    await accepted(lab, order_id)
    await verified(lab, order_id, mmol("4"))
    with pytest.raises(errors.OrderHasResultsAlready):
        async with lab.transaction() as session:
            await commands.cancel_order(session, order_id, reason="too late")


async def test_nothing_happens_to_an_order_on_hold(lab: Workplace) -> None:
    """No sample is taken and no result released until it is resumed, in the state it was in."""
    order_id = await placed(lab, await known_patient(lab), POTASSIUM, GLUCOSE)
    await accepted(lab, order_id, POTASSIUM)
    result_id = await entered(lab, order_id, mmol("4"))
    async with lab.transaction() as session:
        await commands.hold_order(session, order_id, reason="insurance asks")
    with pytest.raises(errors.OrderCannotBecome):
        async with lab.transaction() as session:
            await commands.verify_result(session, result_id)
    with pytest.raises(errors.OrderCannotBecome):
        async with lab.transaction() as session:
            await commands.collect_sample(session, order_id, label=LABEL)
    async with lab.transaction() as session:
        assert (await commands.resume_order(session, order_id)).status == "in_process"


async def test_an_order_is_completed_with_its_last_result(lab: Workplace) -> None:
    """It is partial after the first, and completed, once, with every test that has a result."""
    order_id = await placed(lab, await known_patient(lab), POTASSIUM, GLUCOSE)
    await accepted(lab, order_id)
    await verified(lab, order_id, mmol("4"))
    assert (await order_of(lab, order_id)).status == "partial"
    assert await lab.published(LabOrderCompleted) == []
    await verified(lab, order_id, mmol("5.5"), GLUCOSE)
    [event] = await lab.published(LabOrderCompleted)
    assert [test.code for test in event.tests] == [POTASSIUM, GLUCOSE]


async def test_a_merge_repoints_open_orders(lab: Workplace) -> None:
    """Open orders become those of the patient who lives on; an order that is over stays as it was."""
    merged, survivor = await known_patient(lab), await known_patient(lab)
    over, open_ = await placed(lab, merged), await placed(lab, merged)
    await accepted(lab, over)
    await verified(lab, over, mmol("4"))
    event = PatientMerged(patient_id=merged, into_patient_id=survivor, facility_id=FACILITY, merged_at=clock.now())
    await lab.deliver(event)
    assert (await order_of(lab, open_)).patient_id == survivor
    assert (await order_of(lab, over)).patient_id == merged


async def test_a_merge_that_is_taken_back_gives_the_orders_back(lab: Workplace) -> None:
    """Those that were for the patient are theirs again, in lists, in what comes of them, and in what follows from a merge."""
    mine, other = await known_patient(lab), await known_patient(lab)
    order_id, theirs = await placed(lab, mine), await placed(lab, other)
    about = {"patient_id": mine, "facility_id": FACILITY}
    await merge(lab, mine, other)
    await lab.deliver(PatientMerged(into_patient_id=other, merged_at=clock.now(), **about))
    assert (await order_of(lab, order_id)).patient_id == other
    await lab.deliver(patient(mine, version=3))
    await lab.deliver(PatientUnmerged(from_patient_id=other, unmerged_at=clock.now(), **about))
    assert [(await order_of(lab, each)).patient_id for each in (order_id, theirs)] == [mine, other]
    await accepted(lab, order_id)
    await verified(lab, order_id, mmol("4"))
    assert [event.patient_id for event in await lab.published(LabOrderCompleted)] == [mine]


async def test_what_comes_of_an_order_says_whom_it_was_for(lab: Workplace) -> None:
    """A merged patient's result and completion are the survivor's, and the merged one's again one day; so is a correction."""
    merged, survivor = await known_patient(lab), await known_patient(lab)
    order_id = await placed(lab, merged)
    await merge(lab, merged, survivor)
    await accepted(lab, order_id)
    result_id = await verified(lab, order_id, mmol("4"))
    async with lab.transaction() as session:
        await commands.correct_result(session, result_id, mmol("5"), reason="typed wrongly")
    for event in (LabResultAvailable, LabResultCorrected, LabOrderCompleted):
        [said] = await lab.published(event)
        assert {"patient_id": survivor, "recorded_for": merged}.items() <= said.model_dump().items()


def test_merges_and_what_takes_them_back_come_in_one_queue() -> None:
    """Else a merge that is heard of late would move the orders once more."""
    [follows] = [subscription for subscription in service.subscriptions if subscription.contract("patient.merged")]
    assert follows.contract("patient.unmerged") is not None


async def test_a_merge_into_a_patient_who_has_not_arrived_waits(lab: Workplace) -> None:
    """It waits for the reference of the one that lives on, and takes effect by itself when that arrives."""
    merged, survivor = await known_patient(lab), patient()
    order_id = await placed(lab, merged)
    await lab.arrive(
        PatientMerged(patient_id=merged, into_patient_id=survivor.patient_id, facility_id=FACILITY, merged_at=clock.now())
    )
    assert await lab.kept() == [("waiting", str(survivor.patient_id))]
    await lab.arrive(survivor)
    await lab.retry()
    assert (await order_of(lab, order_id)).patient_id == survivor.patient_id
    assert await lab.kept() == []


async def test_commands_follow_the_redirect(lab: Workplace) -> None:
    """Whoever still names the merged patient gets an order, and a completion, for the one that lives on."""
    merged, survivor = await known_patient(lab), await known_patient(lab)
    before = await placed(lab, merged)
    await merge(lab, merged, survivor)
    after = await placed(lab, merged)
    assert (await order_of(lab, after)).patient_id == survivor
    await accepted(lab, before)
    await verified(lab, before, mmol("4"))
    assert [event.patient_id for event in await lab.published(LabOrderCompleted)] == [survivor]


async def test_a_cancelled_encounter_takes_its_orders_along(lab: Workplace) -> None:
    """Its open orders are cancelled; those that have results, and those of other encounters, go on."""
    patient_id = await known_patient(lab)
    encounter_id, elsewhere = await known_encounter(lab, patient_id), await known_encounter(lab, patient_id)
    gone = await placed(lab, patient_id, encounter_id=encounter_id)
    begun = await placed(lab, patient_id, POTASSIUM, GLUCOSE, encounter_id=encounter_id)
    other = await placed(lab, patient_id, encounter_id=elsewhere)
    await accepted(lab, begun)
    await verified(lab, begun, mmol("4"))
    await known_encounter(lab, patient_id, "cancelled", encounter_id=encounter_id, version=2)
    await lab.deliver(
        EncounterCancelled(encounter_id=encounter_id, patient_id=patient_id, facility_id=FACILITY, cancelled_at=clock.now())
    )
    assert [(await order_of(lab, order)).status for order in (gone, begun, other)] == ["cancelled", "partial", "ordered"]
    assert [event.order_id for event in await lab.published(LabOrderCancelled)] == [gone]


async def test_no_order_slips_in_behind_a_cancelled_encounter(lab: Workplace) -> None:
    """As long as something can be ordered in an encounter that was cancelled, its cancellation is tried again."""
    patient_id = await known_patient(lab)
    encounter_id = await known_encounter(lab, patient_id)
    cancelled = EncounterCancelled(
        encounter_id=encounter_id, patient_id=patient_id, facility_id=FACILITY, cancelled_at=clock.now()
    )
    await lab.arrive(cancelled)
    assert [state for state, _ in await lab.kept()] == ["retrying"]
    slipped = await placed(lab, patient_id, encounter_id=encounter_id)
    await known_encounter(lab, patient_id, "cancelled", encounter_id=encounter_id, version=2)
    await lab.retry()
    assert (await order_of(lab, slipped)).status == "cancelled"
    assert await lab.kept() == []


async def test_an_encounter_is_not_over_while_an_order_in_it_is_placed(lab: Workplace) -> None:
    """The lab hears of its end when the order is there."""
    patient_id = await known_patient(lab)
    encounter_id = await known_encounter(lab, patient_id)
    async with lab.transaction() as session:
        await commands.place_order(session, patient_id=patient_id, tests=[POTASSIUM], encounter_id=encounter_id)
        hearing = asyncio.create_task(known_encounter(lab, patient_id, "cancelled", encounter_id=encounter_id, version=2))
        await lab.somebody_waits()
    await hearing


async def test_nobodys_order_is_not_found(lab: Workplace) -> None:
    """NotFound for ids that do not exist."""
    async with lab.transaction() as session:
        for command in (commands.send_order, commands.resume_order, commands.accept_sample, commands.verify_result):
            with pytest.raises(NotFound):
                await command(session, uuid4())
