"""What every service has heard of before it is asked anything: one of each thing that others keep copies of, and some work."""

from __future__ import annotations

from datetime import UTC, date, datetime
from uuid import UUID

from contracts.auth import Grant, UserChanged
from contracts.billing import InvoiceChanged
from contracts.clinical import EncounterChanged, PatientChanged, PatientRegistered, ProcedurePerformed
from contracts.event import Event
from contracts.facility import BedStatusChanged, FacilityChanged
from contracts.money import Money
from tests.flows.asked import LABEL

FACILITY = UUID("0190f5c0-0000-7000-8000-000000000001")
USER = UUID("0190f5c0-0000-7000-8000-000000000002")
PATIENT = UUID("0190f5c0-0000-7000-8000-000000000003")
ENCOUNTER = UUID("0190f5c0-0000-7000-8000-000000000004")
BED = UUID("0190f5c0-0000-7000-8000-000000000005")
WARD = UUID("0190f5c0-0000-7000-8000-000000000006")
INVOICE = UUID("0190f5c0-0000-7000-8000-000000000007")
COLLEAGUE = UUID("0190f5c0-0000-7000-8000-000000000008")
PROCEDURES = [UUID(f"0190f5c0-0000-7000-8000-00000000010{number}") for number in range(4)]


def user(user_id: UUID, name: str) -> UserChanged:
    """Somebody who may do a clinician's work anywhere."""
    return UserChanged(
        user_id=user_id,
        full_name=name,
        email=f"{name.replace(' ', '.').lower()}@example.org",
        phone="+249123456789",
        locale="en",
        time_zone="Africa/Khartoum",
        status="active",
        grants=(Grant(role="clinician", facility_id=None),),
        state_version=1,
    )


def performed(procedure_id: UUID) -> ProcedurePerformed:
    """Something that is charged for."""
    return ProcedurePerformed(
        procedure_id=procedure_id,
        patient_id=PATIENT,
        facility_id=FACILITY,
        encounter_id=None,
        code="71046",
        description="Chest X-ray",
        performed_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


SEEDS: tuple[Event, ...] = (
    FacilityChanged(
        facility_id=FACILITY,
        name="Nile Hospital",
        kind="hospital",
        status="active",
        time_zone="Africa/Khartoum",
        currency="USD",
        state_version=1,
    ),
    user(USER, "Salma Osman"),
    user(COLLEAGUE, "Samir Aziz"),
    PatientRegistered(patient_id=PATIENT, facility_id=FACILITY, registered_at=datetime(2026, 1, 1, tzinfo=UTC)),
    PatientChanged(
        patient_id=PATIENT,
        facility_id=FACILITY,
        medical_record_number=LABEL["medical_record_number"],
        full_name=LABEL["full_name"],
        birth_date=date.fromisoformat(LABEL["birth_date"]),
        sex="female",
        status="active",
        state_version=1,
    ),
    EncounterChanged(
        encounter_id=ENCOUNTER,
        patient_id=PATIENT,
        facility_id=FACILITY,
        encounter_class="inpatient",
        status="in_progress",
        started_at=datetime(2026, 1, 1, tzinfo=UTC),
        discharged_at=None,
        state_version=1,
    ),
    BedStatusChanged(
        bed_id=BED,
        ward_id=WARD,
        facility_id=FACILITY,
        label="1A",
        ward_name="Surgery",
        status="available",
        encounter_id=None,
        state_version=1,
    ),
    InvoiceChanged(
        invoice_id=INVOICE,
        patient_id=PATIENT,
        facility_id=FACILITY,
        number="1",
        kind="patient",
        status="issued",
        total=Money.of("100.00"),
        balance=Money.of("100.00"),
        due_on=date(2026, 2, 1),
        state_version=1,
    ),
    *map(performed, PROCEDURES),
)

NAMES = {"role": "nurse", "setting": "visiting_from"}
"""What is told apart by a name that everybody knows."""

GOES_ON = {
    "clinical": ("/encounters/{encounter_id}/arrive", "/encounters/{encounter_id}/start"),
    "ehr": ("/notes/{note_id}/sign",),
    "lab": (
        "/lab-orders/{order_id}/send",
        "/samples/{sample_id}/send",
        "/samples/{sample_id}/receive",
        "/samples/{sample_id}/accept",
        "/lab-results/{result_id}/verify",
    ),
    "payment": ("/payments/{payment_id}/verify",),
}
"""What has to be asked for before more can be made of what is there: POST, in the order of the services' own documents."""

BY_ANOTHER = {"/payments/{payment_id}/verify"}
"""What nobody does after themselves."""
