"""What most tests of the lab begin with: tests in the catalogue, a patient, an order, a sample."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from contracts.clinical import EncounterChanged, EncounterStatus, PatientChanged
from contracts.facility import FacilityChanged, FacilityStatus
from services.lab import commands
from services.lab.commands import Measured, Policy
from services.lab.rules import GivenRange, Limits
from tests.services.kit import Workplace

FACILITY = uuid4()
POTASSIUM, GLUCOSE, KETONES = "2823-3", "2345-7", "2514-8"
LABEL = {"medical_record_number": "M-1", "full_name": "Amal Haddad"}


def limits(low: str, high: str, danger_low: str | None = None, danger_high: str | None = None) -> Limits:
    dangers = [Decimal(danger) if danger else None for danger in (danger_low, danger_high)]
    return Limits(low=Decimal(low), high=Decimal(high), danger_low=dangers[0], danger_high=dangers[1])


def facility(status: FacilityStatus = "active", *, version: int = 1) -> FacilityChanged:
    return FacilityChanged(
        facility_id=FACILITY,
        name="Khartoum General",
        kind="hospital",
        status=status,
        time_zone="Africa/Khartoum",
        currency="USD",
        state_version=version,
    )


async def catalogue(lab: Workplace) -> None:
    """A facility that is active, and three tests.

    Potassium has dangers and a range for children, glucose a molar mass; ketones are a text.
    """
    await lab.deliver(facility())
    adults = GivenRange(age_from=18, limits=limits("3.5", "5.0", "2.5", "6.5"))
    children = GivenRange(age_to=18, limits=limits("3.4", "4.7"))
    glucose = GivenRange(limits=limits("70", "115"))
    async with lab.transaction() as session:
        await commands.define_test(session, POTASSIUM, name="Potassium", unit="mmol/L", ranges=[adults, children])
        await commands.define_test(
            session, GLUCOSE, name="Glucose", unit="mg/dL", ranges=[glucose], molar_mass=Decimal("180.156")
        )
        await commands.define_test(session, KETONES, name="Ketones", unit="{presence}", normal_text="negative")


def patient(patient_id: UUID | None = None, *, version: int = 1, **fields: Any) -> PatientChanged:
    known = {
        "facility_id": FACILITY,
        "medical_record_number": "M-1",
        "full_name": "Amal Haddad",
        "birth_date": date(1980, 5, 17),
        "sex": "female",
        "status": "active",
    }
    return PatientChanged(**{**known, "patient_id": patient_id or uuid4(), "state_version": version, **fields})


async def known_patient(lab: Workplace, **fields: Any) -> UUID:
    """A patient whose reference has arrived."""
    state = patient(**fields)
    await lab.deliver(state)
    return state.patient_id


async def known_encounter(
    lab: Workplace,
    patient_id: UUID,
    status: EncounterStatus = "in_progress",
    *,
    encounter_id: UUID | None = None,
    version: int = 1,
) -> UUID:
    """An encounter whose reference has arrived."""
    state = EncounterChanged(
        encounter_id=encounter_id or uuid4(),
        patient_id=patient_id,
        facility_id=FACILITY,
        encounter_class="inpatient",
        status=status,
        started_at=None,
        discharged_at=None,
        state_version=version,
    )
    await lab.deliver(state)
    return state.encounter_id


async def merge(lab: Workplace, patient_id: UUID, into: UUID) -> None:
    """The reference of a patient comes to say that it was merged."""
    await lab.deliver(patient(patient_id, version=2, status="merged", merged_into=into))


async def placed(lab: Workplace, patient_id: UUID, *tests: str, **more: Any) -> UUID:
    """An order; for potassium when not said for what."""
    async with lab.transaction() as session:
        order = await commands.place_order(session, patient_id=patient_id, tests=tests or (POTASSIUM,), **more)
    return order.order_id


async def received(lab: Workplace, order_id: UUID, *tests: str) -> UUID:
    """A sample in the lab for some tests of an order; for all of them when not said for which."""
    async with lab.transaction() as session:
        sample = await commands.collect_sample(session, order_id, label=LABEL, test_codes=tests or None)
        await commands.send_sample(session, sample.sample_id)
        await commands.receive_sample(session, sample.sample_id)
    return sample.sample_id


async def accepted(lab: Workplace, order_id: UUID, *tests: str) -> UUID:
    """A sample that can be measured."""
    sample_id = await received(lab, order_id, *tests)
    async with lab.transaction() as session:
        await commands.accept_sample(session, sample_id)
    return sample_id


def mmol(value: str) -> Measured:
    return Measured(value=Decimal(value), unit="mmol/L")


async def entered(lab: Workplace, order_id: UUID, measured: Measured, test: str = POTASSIUM) -> UUID:
    """A result that nobody has verified yet."""
    async with lab.transaction() as session:
        return (await commands.enter_result(session, order_id, test, measured)).result_id


async def verified(lab: Workplace, order_id: UUID, measured: Measured, test: str = POTASSIUM) -> UUID:
    """A result that was released."""
    result_id = await entered(lab, order_id, measured, test)
    async with lab.transaction() as session:
        await commands.verify_result(session, result_id)
    return result_id


async def released(lab: Workplace, patient_id: UUID, value: str) -> UUID:
    """A result for potassium that was ordered, sampled, measured and verified."""
    order_id = await placed(lab, patient_id)
    await accepted(lab, order_id)
    return await verified(lab, order_id, mmol(value))


async def policy(lab: Workplace, **fields: Any) -> None:
    """How the lab goes about potassium from now on."""
    adults = GivenRange(age_from=18, limits=limits("3.5", "5.0", "2.5", "6.5"))
    async with lab.transaction() as session:
        await commands.define_test(
            session, POTASSIUM, name="Potassium", unit="mmol/L", ranges=[adults], policy=Policy(**fields)
        )
