"""Which results are released by themselves, and what follows from them, on a real database."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from uuid import UUID, uuid4

import pytest

from broker import clock
from contracts.lab import LabOrderCompleted, LabOrderPlaced, LabResultAvailable, LabResultCorrected
from services.lab import commands, errors
from services.lab.commands import Policy
from services.lab.rules import Delta, GivenReflex
from services.lab.tables import ControlMeasurement, LabOrder, LabResult
from tests.services.kit import Workplace
from tests.services.lab.bench import (
    FACILITY,
    GLUCOSE,
    KETONES,
    POTASSIUM,
    accepted,
    catalogue,
    entered,
    known_encounter,
    known_patient,
    merge,
    mmol,
    patient,
    placed,
    policy,
    released,
    verified,
)

DELTA = Delta(days=3, absolute=Decimal(1))


@pytest.fixture(autouse=True)
async def filled(lab: Workplace) -> None:
    await catalogue(lab)


async def control(lab: Workplace, value: str, *, level: int = 1, facility_id: UUID = FACILITY) -> ControlMeasurement:
    """A control whose target is 4.0 and whose standard deviation is 0.1."""
    async with lab.transaction() as session:
        return await commands.record_control(
            session,
            facility_id=facility_id,
            test_code=POTASSIUM,
            level=level,
            value=Decimal(value),
            target=Decimal("4.0"),
            sd=Decimal("0.1"),
        )


async def measured(lab: Workplace, patient_id: UUID, value: str) -> tuple[str, list[str]]:
    """What became of a value that was entered: the state of its result, and why somebody has to look at it."""
    order_id = await placed(lab, patient_id)
    await accepted(lab, order_id)
    result_id = await entered(lab, order_id, mmol(value))
    async with lab.transaction() as session:
        result = await LabResult.seen(session, result_id)
        return result.status, result.review_reasons


async def lines(lab: Workplace, order_id: UUID) -> list[tuple[str, str]]:
    async with lab.transaction() as session:
        return [(line.test_code, line.status) for line in (await LabOrder.seen(session, order_id)).lines]


async def test_what_nobody_has_to_look_at_is_released_at_once(lab: Workplace) -> None:
    """Normal or merely abnormal, with good controls: final, and the order is completed; critical: preliminary, and why."""
    await policy(lab, auto_verify=True)
    await control(lab, "4.1")
    patient_id = await known_patient(lab)
    assert await measured(lab, patient_id, "4.2") == ("final", [])
    assert await measured(lab, patient_id, "5.6") == ("final", [])
    assert await measured(lab, patient_id, "6.8") == ("preliminary", ["critical"])
    assert [said.value for said in await lab.published(LabResultAvailable)] == [Decimal("4.2"), Decimal("5.6")]
    assert len(await lab.published(LabOrderCompleted)) == 2


async def test_a_test_that_is_verified_by_hand_stays_so(lab: Workplace) -> None:
    """Unless the catalogue says otherwise every result waits for somebody, also one with nothing to look at."""
    await control(lab, "4.1")
    assert await measured(lab, await known_patient(lab), "4.2") == ("preliminary", [])


async def test_a_pathologist_releases_what_was_stopped(lab: Workplace) -> None:
    """The reasons stay with the result."""
    await policy(lab, auto_verify=True)
    order_id = await placed(lab, await known_patient(lab))
    await accepted(lab, order_id)
    result_id = await verified(lab, order_id, mmol("4.2"))
    async with lab.transaction() as session:
        result = await LabResult.seen(session, result_id)
    assert (result.status, result.review_reasons) == ("final", ["quality_control"])


async def test_controls_stop_what_they_do_not_speak_for(lab: Workplace) -> None:
    """None at all, one at another facility, a failed one, one that is too old; a good one at the same level lets go again."""
    await policy(lab, auto_verify=True, control_hours=8)
    patient_id = await known_patient(lab)
    stopped = ("preliminary", ["quality_control"])
    final: tuple[str, list[str]] = ("final", [])
    await control(lab, "4.0", facility_id=uuid4())
    assert await measured(lab, patient_id, "4.2") == stopped
    assert (await control(lab, "4.0", level=1)).outcome == "in_control"
    assert await measured(lab, patient_id, "4.2") == final
    assert (await control(lab, "4.4", level=2)).outcome == "1_3s"
    assert await measured(lab, patient_id, "4.2") == stopped
    assert (await control(lab, "4.0", level=2)).outcome == "in_control"
    assert await measured(lab, patient_id, "4.2") == final
    clock.shift += timedelta(hours=8, minutes=1)
    assert await measured(lab, patient_id, "4.2") == stopped


async def test_two_controls_in_a_row_fail_together(lab: Workplace) -> None:
    """2-2s, by the one before at the same level and facility only."""
    assert (await control(lab, "4.25")).outcome == "1_2s"
    assert (await control(lab, "4.25", level=2)).outcome == "1_2s"
    assert (await control(lab, "4.25", facility_id=uuid4())).outcome == "1_2s"
    assert (await control(lab, "4.25")).outcome == "2_2s"


async def test_a_change_that_is_too_large_stops_a_result(lab: Workplace) -> None:
    """By the patient's own latest released result of the same test in the window; also for tests that are verified by hand."""
    await policy(lab, delta=DELTA)
    patient_id = await known_patient(lab)
    await released(lab, await known_patient(lab), "3.0")
    assert await measured(lab, patient_id, "4.9") == ("preliminary", [])
    await released(lab, patient_id, "3.6")
    await released(lab, patient_id, "3.8")
    assert await measured(lab, patient_id, "4.8") == ("preliminary", [])
    assert await measured(lab, patient_id, "4.9") == ("preliminary", ["delta"])
    clock.shift += timedelta(days=3, minutes=1)
    assert await measured(lab, patient_id, "4.9") == ("preliminary", [])


async def test_a_value_is_compared_with_values_in_its_own_unit(lab: Workplace) -> None:
    """What was released before the catalogue changed the unit of a test says nothing of what is measured since."""
    await policy(lab, delta=DELTA)
    patient_id = await known_patient(lab)
    await released(lab, patient_id, "4.2")
    async with lab.transaction() as session:
        in_micromoles = Policy(delta=Delta(days=3, absolute=Decimal(1000)))
        await commands.define_test(session, POTASSIUM, name="Potassium", unit="umol/L", policy=in_micromoles)
    assert await measured(lab, patient_id, "4.3") == ("preliminary", [])
    await released(lab, patient_id, "4.3")
    assert await measured(lab, patient_id, "5.4") == ("preliminary", ["delta"])


async def test_a_merged_patients_results_are_ones_own(lab: Workplace) -> None:
    """What was measured under the other record is compared with."""
    await policy(lab, delta=DELTA)
    merged, survivor = await known_patient(lab), await known_patient(lab)
    await released(lab, merged, "3.6")
    await merge(lab, merged, survivor)
    assert await measured(lab, survivor, "4.9") == ("preliminary", ["delta"])


async def test_an_order_on_hold_releases_nothing_by_itself(lab: Workplace) -> None:
    """The result waits with the order."""
    await policy(lab, auto_verify=True)
    await control(lab, "4.0")
    order_id = await placed(lab, await known_patient(lab))
    await accepted(lab, order_id)
    async with lab.transaction() as session:
        await commands.hold_order(session, order_id, reason="insurance asks")
    result_id = await entered(lab, order_id, mmol("4.2"))
    async with lab.transaction() as session:
        assert (await LabResult.seen(session, result_id)).review_reasons == ["order_not_open"]


async def test_a_result_asks_for_a_further_test_once(lab: Workplace) -> None:
    """It is added to the order, on the same sample; the order is completed, and charged, with both."""
    await policy(
        lab, reflexes=[GivenReflex(further_test=GLUCOSE, flag="H"), GivenReflex(further_test=GLUCOSE, above=Decimal(5))]
    )
    order_id = await placed(lab, await known_patient(lab))
    await accepted(lab, order_id)
    result_id = await verified(lab, order_id, mmol("5.6"))
    assert await lines(lab, order_id) == [(POTASSIUM, "resulted"), (GLUCOSE, "pending")]
    assert await lab.published(LabOrderCompleted) == []
    async with lab.transaction() as session:
        await commands.correct_result(session, result_id, mmol("5.7"), reason="typing error")
    await verified(lab, order_id, mmol("5"), GLUCOSE)
    [completed] = await lab.published(LabOrderCompleted)
    assert [test.code for test in completed.tests] == [POTASSIUM, GLUCOSE]
    assert len(await lab.published(LabOrderPlaced)) == 1


async def test_nothing_is_added_that_is_not_asked_for(lab: Workplace) -> None:
    """Not for a normal result, not when it was ordered already, and not when it is no longer offered."""
    await policy(lab, reflexes=[GivenReflex(further_test=GLUCOSE, flag="H"), GivenReflex(further_test=KETONES, flag="H")])
    async with lab.transaction() as session:
        await commands.define_test(session, KETONES, name="Ketones", unit="{presence}", active=False)
    normal = await placed(lab, await known_patient(lab))
    await accepted(lab, normal)
    await verified(lab, normal, mmol("4.2"))
    assert await lines(lab, normal) == [(POTASSIUM, "resulted")]
    both = await placed(lab, await known_patient(lab), POTASSIUM, GLUCOSE)
    await accepted(lab, both)
    await verified(lab, both, mmol("5.6"))
    assert await lines(lab, both) == [(POTASSIUM, "resulted"), (GLUCOSE, "pending")]


async def test_a_correction_asks_for_a_further_test_in_a_new_order(lab: Workplace) -> None:
    """When the first order is over: one new order for the further test, however often the result is corrected."""
    await policy(lab, reflexes=[GivenReflex(further_test=GLUCOSE, flag="H")])
    result_id = await released(lab, await known_patient(lab), "4.2")
    for value in ("5.6", "5.7"):
        async with lab.transaction() as session:
            await commands.correct_result(session, result_id, mmol(value), reason="typing error")
    first, further = await lab.published(LabOrderPlaced)
    assert ([test.code for test in further.tests], further.patient_id) == ([GLUCOSE], first.patient_id)
    async with lab.transaction() as session:
        [line] = (await LabOrder.seen(session, further.order_id)).lines
    assert line.reflex_of == result_id


@pytest.mark.parametrize("is_dead", [True, False])
async def test_no_further_test_is_ordered_that_nobody_can_sample(lab: Workplace, is_dead: bool) -> None:
    """A correction that asks for one is said all the same; while the first order is open, its own sample serves."""
    await policy(lab, reflexes=[GivenReflex(further_test=GLUCOSE, flag="H")])
    patient_id = await known_patient(lab)
    encounter_id = await known_encounter(lab, patient_id)
    over, open_ = [await placed(lab, patient_id, encounter_id=encounter_id) for _ in range(2)]
    await accepted(lab, over)
    result_id = await verified(lab, over, mmol("4.2"))
    await accepted(lab, open_)
    if is_dead:
        await lab.deliver(patient(patient_id, version=2, status="deceased"))
    else:
        await known_encounter(lab, patient_id, "cancelled", encounter_id=encounter_id, version=2)
    async with lab.transaction() as session:
        await commands.correct_result(session, result_id, mmol("5.6"), reason="typing error")
    assert len(await lab.published(LabResultCorrected)) == 1
    assert len(await lab.published(LabOrderPlaced)) == 2
    await verified(lab, open_, mmol("5.6"))
    assert await lines(lab, open_) == [(POTASSIUM, "resulted"), (GLUCOSE, "pending")]


async def test_a_reflex_test_is_in_the_catalogue(lab: Workplace) -> None:
    """TestIsNotOffered, for one that is not."""
    with pytest.raises(errors.TestIsNotOffered):
        await policy(lab, reflexes=[GivenReflex(further_test="1-8", flag="H")])
