"""What most tests of facility begin with: a house with wards and beds, patients, and encounters that come and go."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID, uuid4

from broker import clock
from contracts.clinical import (
    EncounterAdmitted,
    EncounterCancelled,
    EncounterClass,
    EncounterDischarged,
    PatientChanged,
    PatientDeceased,
    PatientMerged,
    Sex,
)
from contracts.facility import BedStatus
from services.facility import commands
from services.facility.rules import WardSex
from services.facility.tables import Bed, BedRequest
from tests.services.kit import Workplace


@dataclass(frozen=True, slots=True)
class Person:
    """A patient, and the encounter for which they come."""

    patient_id: UUID
    encounter_id: UUID


@dataclass(frozen=True, slots=True)
class House:
    """One facility."""

    at: Workplace
    id: UUID
    department: UUID

    @classmethod
    async def open(cls, at: Workplace) -> House:
        """An active facility with a department."""
        id_ = uuid4()
        async with at.transaction() as session:
            await commands.put_facility(session, id_, name="A", kind="hospital", time_zone="Africa/Cairo", currency="EGP")
            department = await commands.create_department(session, id_, name="Surgery")
        return cls(at, id_, department.department_id)

    async def ward(self, name: str = "W", *, capacity: int = 10, sex: WardSex = "mixed", isolation: bool = False) -> UUID:
        """A ward without beds."""
        async with self.at.transaction() as session:
            ward = await commands.create_ward(
                session, self.department, name=name, capacity=capacity, sex=sex, isolation=isolation
            )
        return ward.ward_id

    async def bed(self, ward_id: UUID, label: str = "1", *, room: str = "1") -> UUID:
        """A bed that is available, unless somebody waits for it."""
        async with self.at.transaction() as session:
            return (await commands.create_bed(session, ward_id, room=room, label=label)).bed_id

    async def beds(self, count: int, **ward: Any) -> list[UUID]:
        """A ward with so many beds in one room."""
        ward_id = await self.ward(**ward)
        return [await self.bed(ward_id, str(number)) for number in range(count)]

    async def person(self, sex: Sex = "female", **fields: Any) -> Person:
        """A patient whom facility knows."""
        person = Person(uuid4(), uuid4())
        await self.known(person.patient_id, sex=sex, **fields)
        return person

    async def known(self, patient_id: UUID, *, version: int = 1, **fields: Any) -> None:
        """The state of a patient has arrived."""
        known = {
            "facility_id": self.id,
            "medical_record_number": "M-1",
            "full_name": "Amal Haddad",
            "birth_date": date(1980, 5, 17),
            "sex": "female",
            "status": "active",
        }
        await self.at.deliver(PatientChanged(**{**known, "patient_id": patient_id, "state_version": version, **fields}))

    def admission(self, person: Person, *, ward_id: UUID | None = None, isolation: bool = False) -> EncounterAdmitted:
        """What clinical says when somebody is admitted."""
        return EncounterAdmitted(
            encounter_id=person.encounter_id,
            patient_id=person.patient_id,
            facility_id=self.id,
            ward_id=ward_id,
            isolation=isolation,
            admitted_at=clock.now(),
        )

    async def admits(self, person: Person, **asked: Any) -> UUID | None:
        """The bed that an inpatient got; None if they wait."""
        await self.at.deliver(self.admission(person, **asked))
        return await self.bed_of(person)

    async def comes(self, sex: Sex = "female", **asked: Any) -> Person:
        """Somebody new who is admitted."""
        person = await self.person(sex)
        await self.admits(person, **asked)
        return person

    async def discharges(self, person: Person, *, encounter_class: EncounterClass | None = "inpatient") -> None:
        """Clinical says that the stay, or another encounter, is over."""
        await self.at.deliver(
            EncounterDischarged(
                encounter_id=person.encounter_id,
                patient_id=person.patient_id,
                facility_id=self.id,
                discharged_at=clock.now(),
                encounter_class=encounter_class,
            )
        )

    async def cancels(self, person: Person) -> None:
        """Clinical says that the stay will not take place."""
        await self.at.deliver(
            EncounterCancelled(
                encounter_id=person.encounter_id,
                patient_id=person.patient_id,
                facility_id=self.id,
                cancelled_at=clock.now(),
            )
        )

    def death(self, person: Person) -> PatientDeceased:
        """What clinical says when somebody has died."""
        return PatientDeceased(patient_id=person.patient_id, facility_id=self.id, deceased_on=clock.now().date())

    def merge(self, person: Person, into: Person) -> PatientMerged:
        """What clinical says when one patient turns out to be another."""
        return PatientMerged(
            patient_id=person.patient_id,
            into_patient_id=into.patient_id,
            facility_id=self.id,
            merged_at=clock.now(),
        )

    async def reserves(self, bed_id: UUID, person: Person, *, isolation: bool = False) -> None:
        """The bed is kept for a planned stay."""
        async with self.at.transaction() as session:
            await commands.reserve_bed(
                session, bed_id, encounter_id=person.encounter_id, patient_id=person.patient_id, isolation=isolation
            )

    async def transfers(self, bed_id: UUID, to_bed_id: UUID) -> None:
        """Who lies in one bed is moved to another."""
        async with self.at.transaction() as session:
            await commands.transfer_patient(session, bed_id, to_bed_id=to_bed_id)

    async def cleans(self, bed_id: UUID) -> None:
        """The bed is clean."""
        async with self.at.transaction() as session:
            await commands.put_into_service(session, bed_id, out_of="cleaning")

    async def bed_of(self, person: Person) -> UUID | None:
        """The bed in which somebody lies."""
        async with self.at.transaction() as session:
            lying = await Bed.all_of(session, Bed.encounter_id == person.encounter_id, Bed.status == "occupied")
        return lying[0].bed_id if lying else None

    async def status(self, bed_id: UUID) -> BedStatus:
        """A bed's state."""
        async with self.at.transaction() as session:
            return (await Bed.seen(session, bed_id)).status

    async def request(self, person: Person) -> str:
        """What became of somebody's need of a bed."""
        async with self.at.transaction() as session:
            return (await BedRequest.seen(session, person.encounter_id)).status
