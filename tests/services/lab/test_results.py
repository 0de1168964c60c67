"""Results, on a real database, and what the lab says of them."""

from __future__ import annotations

import asyncio
from datetime import date
from decimal import Decimal
from uuid import UUID

import pytest
from sqlalchemy import select

from contracts.lab import LabOrderCompleted, LabResultAvailable, LabResultCorrected
from services.lab import commands, errors
from services.lab.commands import Measured
from services.lab.tables import LabResult, ResultCorrection
from tests.services.kit import Workplace
from tests.services.lab.bench import (
    GLUCOSE,
    KETONES,
    POTASSIUM,
    accepted,
    catalogue,
    entered,
    known_patient,
    merge,
    mmol,
    placed,
    verified,
)


@pytest.fixture(autouse=True)
async def filled(lab: Workplace) -> None:
    await catalogue(lab)


async def available(lab: Workplace, measured: Measured, test: str = POTASSIUM) -> LabResultAvailable:
    order_id = await placed(lab, await known_patient(lab), test)
    await accepted(lab, order_id)
    await verified(lab, order_id, measured, test)
    return (await lab.published(LabResultAvailable))[-1]


@pytest.mark.parametrize(
    ("value", "flag", "is_critical"),
    [("2.4", "LL", True), ("3.4", "L", False), ("4.2", None, False), ("5.6", "H", False), ("6.8", "HH", True)],
)
async def test_a_result_says_what_it_means(lab: Workplace, value: str, flag: str | None, is_critical: bool) -> None:
    """The event carries value, range, flag, and whether it is abnormal or critical."""
    said = await available(lab, mmol(value))
    assert (said.value, said.unit, said.status) == (Decimal(value), "mmol/L", "final")
    assert (said.reference_low, said.reference_high) == (Decimal("3.5"), Decimal("5.0"))
    assert (said.flag, said.is_abnormal, said.is_critical) == (flag, flag is not None, is_critical)


async def test_the_range_is_that_for_the_patients_age(lab: Workplace) -> None:
    """A child is measured by the children's range."""
    order_id = await placed(lab, await known_patient(lab, birth_date=date(2020, 1, 1)))
    await accepted(lab, order_id)
    await verified(lab, order_id, mmol("4.8"))
    [said] = await lab.published(LabResultAvailable)
    assert (said.reference_high, said.flag) == (Decimal("4.7"), "H")


async def test_a_value_in_another_unit_is_converted(lab: Workplace) -> None:
    """Glucose in mmol/L is kept, flagged and told in mg/dL."""
    said = await available(lab, mmol("7"), GLUCOSE)
    assert (said.value, said.unit, said.flag) == (Decimal("126.109"), "mg/dL", "H")


async def test_a_value_in_an_impossible_unit_is_refused(lab: Workplace) -> None:
    """UnitCannotBeConverted and UnitIsUnknown, by name, and nothing is kept."""
    order_id = await placed(lab, await known_patient(lab))
    await accepted(lab, order_id)
    with pytest.raises(errors.UnitCannotBeConverted):
        await entered(lab, order_id, Measured(value=Decimal(18), unit="mg/dL"))
    with pytest.raises(errors.UnitIsUnknown):
        await entered(lab, order_id, Measured(value=Decimal(18), unit="pinches"))
    async with lab.transaction() as session:
        assert (await session.scalars(select(LabResult))).all() == []


@pytest.mark.parametrize(("text", "flag"), [("negative", None), ("positive", "A")])
async def test_a_text_is_flagged_when_it_is_not_the_normal_one(lab: Workplace, text: str, flag: str | None) -> None:
    """A test of texts says which one is normal; any other is abnormal."""
    said = await available(lab, Measured(text_value=text), KETONES)
    assert (said.value, said.text_value, said.flag, said.is_abnormal) == (None, text, flag, flag is not None)


async def test_nobody_hears_of_a_result_before_it_is_verified(lab: Workplace) -> None:
    """A preliminary result publishes nothing, and completes nothing."""
    order_id = await placed(lab, await known_patient(lab))
    await accepted(lab, order_id)
    await entered(lab, order_id, mmol("4"))
    assert await lab.published(LabResultAvailable) == []
    assert await lab.published(LabOrderCompleted) == []


async def test_one_result_for_each_test(lab: Workplace) -> None:
    """TestHasAResultAlready, until that one is cancelled."""
    order_id = await placed(lab, await known_patient(lab))
    await accepted(lab, order_id)
    wrong = await entered(lab, order_id, mmol("4"))
    with pytest.raises(errors.TestHasAResultAlready):
        await entered(lab, order_id, mmol("5"))
    async with lab.transaction() as session:
        await commands.cancel_result(session, wrong)
    await verified(lab, order_id, mmol("5"))
    assert [said.value for said in await lab.published(LabResultAvailable)] == [Decimal(5)]


async def test_a_result_is_released_once(lab: Workplace) -> None:
    """ResultCannotBecome, for a second verification and for cancelling what was released."""
    order_id = await placed(lab, await known_patient(lab))
    await accepted(lab, order_id)
    result_id = await verified(lab, order_id, mmol("4"))
    for command in (commands.verify_result, commands.cancel_result):
        with pytest.raises(errors.ResultCannotBecome):
            async with lab.transaction() as session:
                await command(session, result_id)
    assert len(await lab.published(LabResultAvailable)) == 1


async def test_a_correction_says_what_was_said_before(lab: Workplace) -> None:
    """lab.result.corrected carries both values and the reason, with a new flag; every earlier value is kept."""
    said = await available(lab, mmol("6.8"))
    for value, reason in (("4.8", "haemolysed"), ("4.6", "typing error")):
        async with lab.transaction() as session:
            await commands.correct_result(session, said.result_id, mmol(value), reason=reason)
    first, second = await lab.published(LabResultCorrected)
    assert (first.previous_value, first.value, first.flag, first.reason) == (Decimal("6.8"), Decimal("4.8"), None, "haemolysed")
    assert (second.previous_value, second.value, second.status) == (Decimal("4.8"), Decimal("4.6"), "corrected")
    async with lab.transaction() as session:
        kept = await session.scalars(select(ResultCorrection.previous_flag).order_by(ResultCorrection.corrected_at))
    assert list(kept) == ["HH", None]
    assert len(await lab.published(LabOrderCompleted)) == 1


async def test_a_correction_changes_something(lab: Workplace) -> None:
    """CorrectionChangesNothing, also when the same value is given in another unit."""
    said = await available(lab, mmol("6.8"))
    with pytest.raises(errors.CorrectionChangesNothing):
        async with lab.transaction() as session:
            same = Measured(value=Decimal(6800), unit="umol/L")
            await commands.correct_result(session, said.result_id, same, reason="typing error")


async def test_only_what_was_released_is_corrected(lab: Workplace) -> None:
    """ResultCannotBecome, for a preliminary result: nobody has seen it."""
    order_id = await placed(lab, await known_patient(lab))
    await accepted(lab, order_id)
    result_id = await entered(lab, order_id, mmol("4"))
    with pytest.raises(errors.ResultCannotBecome):
        async with lab.transaction() as session:
            await commands.correct_result(session, result_id, mmol("5"), reason="typing error")


async def test_results_after_a_merge_are_for_the_one_that_lives_on(lab: Workplace) -> None:
    """Future results, and corrections of past ones, name the survivor."""
    merged, survivor = await known_patient(lab), await known_patient(lab)
    past, future = await placed(lab, merged), await placed(lab, merged)
    await accepted(lab, past)
    result_id = await verified(lab, past, mmol("4"))
    await merge(lab, merged, survivor)
    await accepted(lab, future)
    await verified(lab, future, mmol("5"))
    async with lab.transaction() as session:
        await commands.correct_result(session, result_id, mmol("4.1"), reason="typing error")
    assert [said.patient_id for said in await lab.published(LabResultAvailable)] == [merged, survivor]
    assert [said.patient_id for said in await lab.published(LabResultCorrected)] == [survivor]


async def test_results_verified_at_once_complete_the_order_once(lab: Workplace) -> None:
    """However two verifications meet, one of them sees the other: one completion, with both tests."""
    order_id = await placed(lab, await known_patient(lab), POTASSIUM, GLUCOSE)
    await accepted(lab, order_id)
    results = [await entered(lab, order_id, mmol("4"), test) for test in (POTASSIUM, GLUCOSE)]

    async def verify(result_id: UUID) -> None:
        async with lab.transaction() as session:
            await commands.verify_result(session, result_id)

    await asyncio.gather(*map(verify, results))
    assert [len(event.tests) for event in await lab.published(LabOrderCompleted)] == [2]
