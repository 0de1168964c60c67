"""Inpatients: admitted once, in a bed that facility gives, and discharged when what was urgent is done."""

from __future__ import annotations

import asyncio
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from broker import NotYet, clock
from contracts.clinical import (
    DischargeRequested,
    EncounterAdmitted,
    EncounterChanged,
    EncounterClass,
    EncounterDischarged,
    EncounterTransferred,
)
from contracts.facility import BedAssigned, BedReleased, BedStatusChanged
from contracts.lab import LabOrderCancelled, LabOrderCompleted, LabOrderPlaced, LabSampleRejected, Priority
from services.clinical import commands, errors, rules
from services.clinical.app import service
from services.clinical.tables import AuditEntry, Encounter
from tests.services.clinical.conftest import HERE, house
from tests.services.clinical.test_commands import register
from tests.services.kit import Workplace

WARD, BED, OTHER_BED = uuid4(), uuid4(), uuid4()


async def planned(clinical: Workplace, patient_id: UUID, encounter_class: EncounterClass = "inpatient", **more: Any) -> UUID:
    async with clinical.transaction() as session:
        encounter = await commands.plan_encounter(session, patient_id=patient_id, encounter_class=encounter_class, **more)
        await commands.arrive(session, encounter.encounter_id)
    return encounter.encounter_id


async def admitted(clinical: Workplace, patient_id: UUID, **more: Any) -> UUID:
    encounter_id = await planned(clinical, patient_id, **more)
    async with clinical.transaction() as session:
        await commands.start_encounter(session, encounter_id)
    return encounter_id


async def seen(clinical: Workplace, encounter_id: UUID) -> Encounter:
    async with clinical.transaction() as session:
        return await Encounter.seen(session, encounter_id)


@pytest.fixture
async def stay(clinical: Workplace) -> UUID:
    """An inpatient stay that has just begun."""
    return await admitted(clinical, await register(clinical))


async def test_the_state_of_an_encounter_is_told(clinical: Workplace, stay: UUID) -> None:
    """Every change publishes encounter.changed with a version that grows."""
    states = await clinical.published(EncounterChanged)
    assert [state.status for state in states] == ["arrived", "in_progress"]
    assert {(state.encounter_id, state.encounter_class) for state in states} == {(stay, "inpatient")}
    assert states[0].state_version < states[1].state_version


async def test_the_start_of_a_stay_is_an_admission(clinical: Workplace) -> None:
    """encounter.admitted says which ward, and what was said last of isolation; an outpatient is not admitted."""
    patient_id = await register(clinical)
    encounter_id = await planned(clinical, patient_id, ward_id=WARD, isolation=False)
    async with clinical.transaction() as session:
        await commands.start_encounter(session, encounter_id, isolation=True)
    [event] = await clinical.published(EncounterAdmitted)
    assert (event.encounter_id, event.ward_id, event.isolation) == (encounter_id, WARD, True)
    await admitted(clinical, patient_id, encounter_class="emergency")
    assert len(await clinical.published(EncounterAdmitted)) == 1


async def test_only_an_inpatient_needs_a_bed(clinical: Workplace) -> None:
    """OnlyAnInpatientNeedsABed."""
    patient_id = await register(clinical)
    with pytest.raises(errors.OnlyAnInpatientNeedsABed):
        await planned(clinical, patient_id, "ambulatory", ward_id=WARD)


async def test_a_patient_is_one_inpatient_at_a_time(clinical: Workplace) -> None:
    """PatientIsAlreadyAnInpatient, until the stay is over; being seen as an outpatient meanwhile is no stay."""
    patient_id = await register(clinical)
    first = await admitted(clinical, patient_id)
    await admitted(clinical, patient_id, encounter_class="ambulatory")
    second = await planned(clinical, patient_id)
    with pytest.raises(errors.PatientIsAlreadyAnInpatient):
        async with clinical.transaction() as session:
            await commands.start_encounter(session, second)
    async with clinical.transaction() as session:
        await commands.discharge(session, first)
        await commands.start_encounter(session, second)
    assert len(await clinical.published(EncounterAdmitted)) == 2


async def test_the_database_admits_nobody_twice_either(clinical: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two admissions that do not see each other: the index lets one through."""
    patient_id = await register(clinical)
    await admitted(clinical, patient_id)
    monkeypatch.setattr(rules, "check_admission", lambda stays: None)
    with pytest.raises(IntegrityError, match="encounters_one_open_stay_key"):
        await admitted(clinical, patient_id)


async def test_a_stay_of_the_past_needs_no_bed(clinical: Workplace) -> None:
    """Written down afterwards it is started and discharged, but not admitted, whoever lies where today."""
    patient_id = await register(clinical)
    await admitted(clinical, patient_id)
    past = await planned(clinical, patient_id)
    async with clinical.transaction() as session:
        await commands.start_encounter(session, past, at=clock.now() - timedelta(days=900), admit=False)
        await commands.discharge(session, past, at=clock.now() - timedelta(days=899))
    assert past not in [event.encounter_id for event in await clinical.published(EncounterAdmitted)]


async def test_two_inpatients_do_not_become_one(clinical: Workplace) -> None:
    """BothPatientsAreInpatients; one of them may be."""
    one, other = await register(clinical, "M-1"), await register(clinical, "M-2")
    stay = await admitted(clinical, one)
    await admitted(clinical, other)
    with pytest.raises(errors.BothPatientsAreInpatients):
        async with clinical.transaction() as session:
            await commands.merge_patients(session, one, into_patient_id=other)
    async with clinical.transaction() as session:
        await commands.discharge(session, stay)
        await commands.merge_patients(session, one, into_patient_id=other)
    assert (await clinical.published(EncounterChanged))[-1].patient_id == other


async def test_the_dead_are_not_seen_again(clinical: Workplace) -> None:
    """EncounterIsAfterDeath for a plan and for a start; what was on the day of death or before can still be written down."""
    patient_id = await register(clinical)
    waiting = await planned(clinical, patient_id)
    async with clinical.transaction() as session:
        await commands.record_death(session, patient_id, date(2020, 1, 1))
    midnight = datetime(2020, 1, 2, tzinfo=ZoneInfo("Africa/Khartoum"))
    for late in (clock.now(), midnight):
        with pytest.raises(errors.EncounterIsAfterDeath):
            await planned(clinical, patient_id, planned_at=late)
    with pytest.raises(errors.EncounterIsAfterDeath):
        async with clinical.transaction() as session:
            await commands.start_encounter(session, waiting)
    await planned(clinical, patient_id, planned_at=midnight - timedelta(minutes=1))


async def test_nobody_is_admitted_while_their_death_is_written_down(clinical: Workplace) -> None:
    """EncounterIsAfterDeath: who starts the encounter waits for the other's word."""
    patient_id = await register(clinical)
    waiting = await planned(clinical, patient_id)

    async def start() -> None:
        async with clinical.transaction() as session:
            await commands.start_encounter(session, waiting)

    async with clinical.transaction() as session:
        await commands.record_death(session, patient_id, date(2020, 1, 1))
        await session.flush()
        starting = asyncio.create_task(start())
        await clinical.somebody_waits()
    with pytest.raises(errors.EncounterIsAfterDeath):
        await starting


async def test_whom_the_house_no_longer_treats_gets_no_appointment(clinical: Workplace) -> None:
    """PatientIsInactive, until the record is active again."""
    patient_id = await register(clinical)
    async with clinical.transaction() as session:
        await commands.deactivate_patient(session, patient_id)
    with pytest.raises(errors.PatientIsInactive):
        await planned(clinical, patient_id)
    async with clinical.transaction() as session:
        await commands.reactivate_patient(session, patient_id)
    await planned(clinical, patient_id)


async def test_a_house_that_is_not_active_takes_nobody(clinical: Workplace) -> None:
    """FacilityIsNotActive for registering, planning and admitting; who is there still goes; NotYet for a house nobody knows."""
    patient_id = await register(clinical)
    waiting, inside = await planned(clinical, patient_id), await admitted(clinical, await register(clinical, "M-2"))
    await clinical.deliver(house(HERE, "inactive", version=2))
    with pytest.raises(errors.FacilityIsNotActive):
        await register(clinical, "M-3")
    with pytest.raises(errors.FacilityIsNotActive):
        await planned(clinical, patient_id)
    async with clinical.transaction() as session:
        await commands.discharge(session, inside)
    with pytest.raises(errors.FacilityIsNotActive):
        async with clinical.transaction() as session:
            await commands.start_encounter(session, waiting)
    with pytest.raises(NotYet):
        await register(clinical, "M-3", facility_id=uuid4())


# Beds.


def assigned(encounter_id: UUID, bed_id: UUID, *, left: UUID | None = None) -> BedAssigned:
    of = {"ward_id": WARD, "facility_id": HERE, "encounter_id": encounter_id, "patient_id": uuid4()}
    return BedAssigned(bed_id=bed_id, transferred_from=left, assigned_at=clock.now(), **of)


def released(encounter_id: UUID, bed_id: UUID) -> BedReleased:
    of = {"ward_id": WARD, "facility_id": HERE, "encounter_id": encounter_id, "patient_id": uuid4()}
    return BedReleased(bed_id=bed_id, reason="transferred", released_at=clock.now(), **of)


async def test_an_inpatient_lies_where_facility_says(clinical: Workplace, stay: UUID) -> None:
    """The encounter shows the bed by its label and ward, and none when it is left."""
    about = {"ward_id": WARD, "facility_id": HERE, "label": "12-A", "ward_name": "Surgery", "status": "occupied"}
    await clinical.deliver(BedStatusChanged(bed_id=BED, encounter_id=stay, state_version=1, deleted=False, **about))
    nurse = clinical.client("nurse", at=HERE)
    await clinical.deliver(assigned(stay, BED))
    shown = (await nurse.get(f"/encounters/{stay}")).json()
    assert (shown["bed_id"], shown["bed"]["label"], shown["bed"]["ward_name"]) == (str(BED), "12-A", "Surgery")
    assert await clinical.published(EncounterTransferred) == []
    await clinical.deliver(released(stay, BED))
    assert (await nurse.get(f"/encounters/{stay}")).json()["bed"] is None


@pytest.mark.parametrize("release_first", [True, False])
async def test_a_transfer_is_told(clinical: Workplace, stay: UUID, release_first: bool) -> None:
    """encounter.transferred names both beds; the old bed's release leaves the new one shown, before it or after."""
    await clinical.deliver(assigned(stay, BED))
    for event in sorted(
        [assigned(stay, OTHER_BED, left=BED), released(stay, BED)],
        key=lambda event: isinstance(event, BedReleased) != release_first,
    ):
        await clinical.deliver(event)
    [event] = await clinical.published(EncounterTransferred)
    assert (event.encounter_id, event.from_bed_id, event.to_bed_id) == (stay, BED, OTHER_BED)
    assert (await seen(clinical, stay)).bed_id == OTHER_BED


# Discharge.


async def test_a_discharge_is_requested_once_of_an_inpatient(clinical: Workplace, stay: UUID) -> None:
    """discharge.requested; DischargeIsAlreadyRequested; DischargeIsRequestedForInpatients for anybody else."""
    async with clinical.transaction() as session:
        await commands.request_discharge(session, stay)
    assert [event.encounter_id for event in await clinical.published(DischargeRequested)] == [stay]
    with pytest.raises(errors.DischargeIsAlreadyRequested):
        async with clinical.transaction() as session:
            await commands.request_discharge(session, stay)
    outpatient = await admitted(clinical, await register(clinical, "M-2"), encounter_class="ambulatory")
    waiting = await planned(clinical, await register(clinical, "M-3"))
    for encounter_id in (outpatient, waiting):
        with pytest.raises(errors.DischargeIsRequestedForInpatients):
            async with clinical.transaction() as session:
                await commands.request_discharge(session, encounter_id)


def test_what_is_said_of_beds_comes_in_one_queue() -> None:
    """Else a bed that was given and left would be shown for ever, where the news that it was left overtook the other."""
    [follows] = [subscription for subscription in service.subscriptions if subscription.contract("bed.assigned")]
    assert follows.contract("bed.released") is not None


async def test_a_bed_kept_for_an_encounter_that_nobody_planned_is_nothing_to_clinical(clinical: Workplace) -> None:
    """Facility keeps beds under ids that a person types; the end of such a reservation is no dead letter here."""
    await clinical.arrive(released(uuid4(), uuid4()))
    assert await clinical.kept() == []


class Lab:
    """What the lab says of its orders for one encounter."""

    def __init__(self, encounter_id: UUID) -> None:
        self.of = {"patient_id": uuid4(), "facility_id": HERE}
        self.encounter_id = encounter_id

    def placed(self, order_id: UUID, priority: Priority = "stat") -> LabOrderPlaced:
        of = self.of | {"encounter_id": self.encounter_id}
        return LabOrderPlaced(order_id=order_id, tests=(), priority=priority, placed_at=clock.now(), **of)

    def cancelled(self, order_id: UUID) -> LabOrderCancelled:
        return LabOrderCancelled(order_id=order_id, reason="sample clotted", cancelled_at=clock.now(), **self.of)

    def completed(self, order_id: UUID) -> LabOrderCompleted:
        of = self.of | {"encounter_id": self.encounter_id}
        return LabOrderCompleted(order_id=order_id, tests=(), completed_at=clock.now(), **of)

    def rejected(self, order_id: UUID, again: UUID) -> LabSampleRejected:
        about = {"sample_id": uuid4(), "order_id": order_id, "recollect_order_id": again}
        return LabSampleRejected(reason="clotted", rejected_at=clock.now(), **about, **self.of)


async def goes(clinical: Workplace, encounter_id: UUID, reason: str | None = None) -> Encounter:
    async with clinical.transaction() as session:
        return await commands.discharge(session, encounter_id, override_reason=reason, by="dr-1")


async def test_open_stat_orders_block_the_discharge_of_an_inpatient(clinical: Workplace, stay: UUID) -> None:
    """OpenStatOrdersBlockDischarge until the last of them ended; a routine order blocks nothing."""
    lab, first, second = Lab(stay), uuid4(), uuid4()
    for event in (lab.placed(first), lab.placed(second), lab.placed(uuid4(), "routine")):
        await clinical.deliver(event)
    await clinical.deliver(lab.completed(first))
    with pytest.raises(errors.OpenStatOrdersBlockDischarge) as refused:
        await goes(clinical, stay)
    assert refused.value.facts == {"open": "1"}
    waits = (await clinical.client("nurse", at=HERE).get(f"/encounters/{stay}")).json()["waits_for_orders"]
    assert waits == [str(second)]
    await clinical.deliver(lab.cancelled(second))
    await goes(clinical, stay)
    assert [event.encounter_id for event in await clinical.published(EncounterDischarged)] == [stay]


async def test_a_discharge_past_open_orders_has_a_reason_that_is_kept(clinical: Workplace, stay: UUID) -> None:
    """The reason stands in the encounter and, with who gave it, in the audit log; a reason that nothing needs is not kept."""
    await clinical.deliver(Lab(stay).placed(uuid4()))
    assert (await goes(clinical, stay, "against medical advice")).override_reason == "against medical advice"
    other = await admitted(clinical, await register(clinical, "M-2"))
    assert (await goes(clinical, other, "against medical advice")).override_reason is None
    async with clinical.transaction() as session:
        [entry] = await session.scalars(select(AuditEntry))
    assert (entry.action, entry.subject_id, entry.actor) == ("discharge_overridden", stay, "dr-1")
    assert entry.reason == "against medical advice"


async def test_open_orders_do_not_keep_an_outpatient(clinical: Workplace) -> None:
    """Who has no bed goes when seen."""
    visit = await admitted(clinical, await register(clinical), encounter_class="ambulatory")
    await clinical.deliver(Lab(visit).placed(uuid4()))
    await goes(clinical, visit)


async def test_an_end_that_comes_before_its_beginning_counts(clinical: Workplace, stay: UUID) -> None:
    """An order whose end is known does not block when it is heard of at last."""
    lab, order_id = Lab(stay), uuid4()
    await clinical.deliver(lab.cancelled(order_id))
    await clinical.deliver(lab.placed(order_id))
    await goes(clinical, stay)


async def test_a_recollection_is_waited_for_before_it_is_heard_of(clinical: Workplace, stay: UUID) -> None:
    """From the rejected sample on the order for another one blocks, also while its own event is late."""
    lab, first, again = Lab(stay), uuid4(), uuid4()
    for event in (lab.placed(first), lab.rejected(first, again), lab.cancelled(first)):
        await clinical.deliver(event)
    with pytest.raises(errors.OpenStatOrdersBlockDischarge):
        await goes(clinical, stay)
    await clinical.deliver(lab.placed(again))
    await clinical.deliver(lab.completed(again))
    await goes(clinical, stay)


async def test_a_recollection_that_ended_first_is_not_waited_for_again(clinical: Workplace, stay: UUID) -> None:
    """Hearing late that a sample was rejected opens nothing that is closed, nor anything of an order that nobody followed."""
    lab, first, again = Lab(stay), uuid4(), uuid4()
    for event in (lab.placed(first), lab.placed(again), lab.completed(again), lab.rejected(first, again), lab.cancelled(first)):
        await clinical.deliver(event)
    await clinical.deliver(lab.rejected(uuid4(), uuid4()))
    await goes(clinical, stay)
