"""What clinical does when it is asked, on a real database, and what it says of it."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select

from broker import NotFound, clock
from contracts.clinical import (
    EncounterCancelled,
    EncounterDischarged,
    EncounterStarted,
    PatientChanged,
    PatientDeceased,
    PatientMerged,
    PatientRegistered,
    PatientUnmerged,
)
from services.clinical import commands, errors
from services.clinical.tables import Encounter, Patient
from tests.services.clinical.conftest import ELSEWHERE, HERE
from tests.services.kit import Workplace


async def register(
    clinical: Workplace, number: str = "M-1", *, facility_id: UUID = HERE, patient_id: UUID | None = None
) -> UUID:
    async with clinical.transaction() as session:
        patient = await commands.register_patient(
            session,
            patient_id=patient_id,
            facility_id=facility_id,
            medical_record_number=number,
            full_name="Amal Haddad",
            birth_date=date(1980, 5, 17),
            sex="female",
        )
    return patient.patient_id


async def encounter_of(clinical: Workplace, patient_id: UUID) -> UUID:
    async with clinical.transaction() as session:
        encounter = await commands.plan_encounter(session, patient_id=patient_id, encounter_class="ambulatory")
    return encounter.encounter_id


async def patient_of(clinical: Workplace, encounter_id: UUID) -> UUID:
    async with clinical.transaction() as session:
        return (await Encounter.seen(session, encounter_id)).patient_id


async def test_a_registered_patient_is_announced_and_replicated(clinical: Workplace) -> None:
    """Registering publishes patient.registered and the patient's state."""
    patient_id = await register(clinical)
    assert [event.patient_id for event in await clinical.published(PatientRegistered)] == [patient_id]
    [state] = await clinical.published(PatientChanged)
    assert (state.patient_id, state.full_name, state.status) == (patient_id, "Amal Haddad", "active")


async def test_medical_record_number_is_taken(clinical: Workplace) -> None:
    """MedicalRecordNumberIsTaken within a facility; another facility may use the same number."""
    await register(clinical)
    with pytest.raises(errors.MedicalRecordNumberIsTaken):
        await register(clinical)
    await register(clinical, facility_id=ELSEWHERE)


async def test_changed_demographics_reach_the_replicas(clinical: Workplace) -> None:
    """An update publishes the whole state with a higher version, once; what is not given stays."""
    patient_id = await register(clinical)
    async with clinical.transaction() as session:
        await commands.update_demographics(session, patient_id, full_name="Amal Khoury")
    before, after = await clinical.published(PatientChanged)
    assert after.state_version > before.state_version
    assert (after.full_name, after.birth_date, after.sex) == ("Amal Khoury", before.birth_date, "female")


async def test_a_death_is_announced(clinical: Workplace) -> None:
    """Recording it publishes patient.deceased and the state; nobody dies twice."""
    patient_id = await register(clinical)
    async with clinical.transaction() as session:
        await commands.record_death(session, patient_id, date(2020, 1, 1))
    assert [event.deceased_on for event in await clinical.published(PatientDeceased)] == [date(2020, 1, 1)]
    assert (await clinical.published(PatientChanged))[-1].status == "deceased"
    with pytest.raises(errors.PatientCannotBecome):
        async with clinical.transaction() as session:
            await commands.record_death(session, patient_id, date(2020, 1, 2))


async def test_births_and_deaths_are_dated_by_the_day_at_the_house(
    clinical: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who is born in Khartoum after midnight, when it is still yesterday in UTC, is registered at once; tomorrow is refused."""
    now = datetime.now(UTC)
    monkeypatch.setattr(clock, "shift", now.replace(hour=22, minute=30) - now)
    today = now.date() + timedelta(days=1)
    async with clinical.transaction() as session:
        who: dict[str, Any] = {"facility_id": HERE, "full_name": "Amal Haddad", "sex": "female"}
        child = await commands.register_patient(session, medical_record_number="M-1", birth_date=today, **who)
        await commands.update_demographics(session, child.patient_id, birth_date=today)
        tomorrow = today + timedelta(days=1)
        with pytest.raises(errors.TimeIsInTheFuture):
            await commands.register_patient(session, medical_record_number="M-2", birth_date=tomorrow, **who)
    with pytest.raises(errors.TimeIsInTheFuture):
        async with clinical.transaction() as session:
            await commands.record_death(session, child.patient_id, tomorrow)
    async with clinical.transaction() as session:
        assert (await commands.record_death(session, child.patient_id, today)).deceased_on == today


async def test_a_patient_rests_and_returns(clinical: Workplace) -> None:
    """Deactivating and reactivating are told by the state."""
    patient_id = await register(clinical)
    async with clinical.transaction() as session:
        await commands.deactivate_patient(session, patient_id)
    async with clinical.transaction() as session:
        await commands.reactivate_patient(session, patient_id)
    assert [state.status for state in await clinical.published(PatientChanged)] == ["active", "inactive", "active"]


async def test_a_merge_redirects_and_moves_children(clinical: Workplace) -> None:
    """The merged record stays as a redirect; what it had belongs to the other one; both are told."""
    merged, survivor = await register(clinical, "M-1"), await register(clinical, "M-2")
    encounter_id = await encounter_of(clinical, merged)
    async with clinical.transaction() as session:
        await commands.merge_patients(session, merged, into_patient_id=survivor)
    assert await patient_of(clinical, encounter_id) == survivor
    [event] = await clinical.published(PatientMerged)
    assert (event.patient_id, event.into_patient_id) == (merged, survivor)
    state = (await clinical.published(PatientChanged))[-1]
    assert (state.patient_id, state.status, state.merged_into) == (merged, "merged", survivor)


async def test_a_redirect_is_followed_to_its_end(clinical: Workplace) -> None:
    """What comes for a record merged twice over is recorded for the one that lives on."""
    first, second, third = [await register(clinical, number) for number in ("M-1", "M-2", "M-3")]
    async with clinical.transaction() as session:
        await commands.merge_patients(session, first, into_patient_id=second)
        await commands.merge_patients(session, second, into_patient_id=third)
        assert (await Patient.current(session, first)).patient_id == third
    assert await patient_of(clinical, await encounter_of(clinical, first)) == third


async def test_an_unmerged_patient_has_all_that_was_recorded_for_them(clinical: Workplace) -> None:
    """Also what came after the merge, and what was merged into them before; the rest stays where it is."""
    first, second, third = [await register(clinical, number) for number in ("M-1", "M-2", "M-3")]
    before = {patient: await encounter_of(clinical, patient) for patient in (first, second, third)}
    async with clinical.transaction() as session:
        await commands.merge_patients(session, first, into_patient_id=second)
        await commands.merge_patients(session, second, into_patient_id=third)
    after = await encounter_of(clinical, second)
    async with clinical.transaction() as session:
        await commands.unmerge_patient(session, second)
    assert [await patient_of(clinical, encounter) for encounter in (*before.values(), after)] == [second, second, third, second]
    state = (await clinical.published(PatientChanged))[-1]
    assert (state.patient_id, state.status, state.merged_into) == (second, "active", None)
    assert [(event.patient_id, event.from_patient_id) for event in await clinical.published(PatientUnmerged)] == [
        (second, third)
    ]


async def test_an_inactive_patient_is_inactive_again_after_an_unmerge(clinical: Workplace) -> None:
    """A merge that is taken back has nobody treated whom the facility no longer treats."""
    left, other = await register(clinical, "M-1"), await register(clinical, "M-2")
    async with clinical.transaction() as session:
        await commands.deactivate_patient(session, left)
        await commands.merge_patients(session, left, into_patient_id=other)
    async with clinical.transaction() as session:
        await commands.unmerge_patient(session, left)
    assert (await clinical.published(PatientChanged))[-1].status == "inactive"


async def test_a_merged_patient_is_read_only(clinical: Workplace) -> None:
    """MergedPatientIsReadOnly."""
    merged, survivor = await register(clinical, "M-1"), await register(clinical, "M-2")
    async with clinical.transaction() as session:
        await commands.merge_patients(session, merged, into_patient_id=survivor)
    with pytest.raises(errors.MergedPatientIsReadOnly):
        async with clinical.transaction() as session:
            await commands.update_demographics(session, merged, full_name="Somebody")


async def test_an_encounter_from_plan_to_discharge(clinical: Workplace) -> None:
    """Start and discharge are announced with their times; the states follow."""
    encounter_id = await encounter_of(clinical, await register(clinical))
    started, discharged = clock.now() - timedelta(hours=2), clock.now() - timedelta(hours=1)
    async with clinical.transaction() as session:
        await commands.arrive(session, encounter_id)
        await commands.start_encounter(session, encounter_id, at=started)
        encounter = await commands.discharge(session, encounter_id, at=discharged)
    assert encounter.status == "finished"
    assert [event.started_at for event in await clinical.published(EncounterStarted)] == [started]
    assert [event.discharged_at for event in await clinical.published(EncounterDischarged)] == [discharged]


async def test_a_refused_step_publishes_nothing(clinical: Workplace) -> None:
    """EncounterCannotBecome for a discharge before the start, and nobody hears of it."""
    encounter_id = await encounter_of(clinical, await register(clinical))
    with pytest.raises(errors.EncounterCannotBecome):
        async with clinical.transaction() as session:
            await commands.discharge(session, encounter_id)
    assert await clinical.published(EncounterDischarged) == []


async def test_an_encounter_that_does_not_count_is_told(clinical: Workplace) -> None:
    """Cancelled and entered in error both publish encounter.cancelled, and the row stays with its reason."""
    patient_id = await register(clinical)
    cancelled, wrong = await encounter_of(clinical, patient_id), await encounter_of(clinical, patient_id)
    async with clinical.transaction() as session:
        await commands.cancel_encounter(session, cancelled, reason="patient called")
        await commands.mark_encounter_as_error(session, wrong, reason="wrong patient")
    assert [event.encounter_id for event in await clinical.published(EncounterCancelled)] == [cancelled, wrong]
    async with clinical.transaction() as session:
        reasons = await session.scalars(select(Encounter.reason).order_by(Encounter.cancelled_at))
    assert list(reasons) == ["patient called", "wrong patient"]


async def test_nobody_is_not_found(clinical: Workplace) -> None:
    """NotFound for ids that do not exist."""
    async with clinical.transaction() as session:
        for command in (commands.arrive, commands.discharge, commands.unmerge_patient, commands.deactivate_patient):
            with pytest.raises(NotFound):
                await command(session, uuid4())


async def test_opposite_merges_at_once_never_redirect_in_a_circle(clinical: Workplace) -> None:
    """Of two merges, each into the other's record, one is refused."""
    one, other = await register(clinical, "M-1"), await register(clinical, "M-2")

    async def merge(patient_id: UUID, into: UUID) -> None:
        async with clinical.transaction() as session:
            await commands.merge_patients(session, patient_id, into_patient_id=into)

    outcomes = await asyncio.gather(merge(one, other), merge(other, one), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes if outcome is not None] == [errors.MergeTargetIsItselfMerged]
    assert len(await clinical.published(PatientMerged)) == 1


async def test_what_is_recorded_during_a_merge_is_not_left_behind(clinical: Workplace) -> None:
    """However an encounter and a merge meet, the encounter ends up with the one that lives on."""
    merged, survivor = await register(clinical, "M-1"), await register(clinical, "M-2")

    async def merge() -> None:
        async with clinical.transaction() as session:
            await commands.merge_patients(session, merged, into_patient_id=survivor)

    planned = await asyncio.gather(*(encounter_of(clinical, merged) for _ in range(4)), merge())
    assert {await patient_of(clinical, encounter) for encounter in planned if encounter is not None} == {survivor}
