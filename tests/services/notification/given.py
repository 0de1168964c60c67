"""What notification's tests are about: a facility, a patient, its staff, and what happens to them."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID, uuid4

from contracts.auth import Grant, UserChanged
from contracts.billing import InvoiceChanged, InvoiceIssued
from contracts.clinical import PatientChanged
from contracts.facility import FacilityChanged
from contracts.lab import LabResultAvailable, LabResultCorrected
from contracts.money import Money

FACILITY, PATIENT, CLINICIAN, NURSE = uuid4(), uuid4(), uuid4(), uuid4()
PATIENT_MAIL, PATIENT_PHONE = "amal@example.org", "+249900000001"
CLINICIAN_MAIL, CLINICIAN_PHONE = "osman@example.org", "+249900000002"
NAME = "Amal Idris"
NOON = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
"""A Tuesday in Khartoum, where it is 14:00."""


def facility(facility_id: UUID = FACILITY, time_zone: str = "Africa/Khartoum") -> FacilityChanged:
    """Facility's word on a house."""
    return FacilityChanged(
        facility_id=facility_id,
        name="Nile Hospital",
        kind="hospital",
        status="active",
        time_zone=time_zone,
        currency="USD",
        state_version=1,
    )


def patient(patient_id: UUID = PATIENT, *, version: int = 1, **said: Any) -> PatientChanged:
    """Clinical's word on a patient."""
    usual = {
        "facility_id": FACILITY,
        "medical_record_number": f"MRN-{patient_id.hex[:6]}",
        "full_name": NAME,
        "birth_date": date(1980, 1, 1),
        "sex": "female",
        "status": "active",
        "email": PATIENT_MAIL,
        "phone": PATIENT_PHONE,
        "locale": "en",
    }
    return PatientChanged(patient_id=patient_id, state_version=version, **(usual | said))


def user(
    user_id: UUID = CLINICIAN, *, role: str = "clinician", at: UUID | None = FACILITY, version: int = 1, **said: Any
) -> UserChanged:
    """Auth's word on a user, who has one role at one facility."""
    usual = {
        "full_name": "Dr Osman Bakri",
        "email": CLINICIAN_MAIL,
        "phone": CLINICIAN_PHONE,
        "locale": "en",
        "time_zone": "Africa/Khartoum",
        "status": "active",
        "grants": (Grant(role=role, facility_id=at),),
    }
    return UserChanged(user_id=user_id, state_version=version, **(usual | said))


def issued(
    invoice_id: UUID | None = None, *, patient_id: UUID = PATIENT, number: str = "2026-000007", at: datetime = NOON
) -> InvoiceIssued:
    """An invoice that the patient is told of."""
    return InvoiceIssued(
        invoice_id=invoice_id or uuid4(),
        patient_id=patient_id,
        facility_id=FACILITY,
        number=number,
        total=Money.of("40.00"),
        due_on=date(2026, 4, 9),
        issued_at=at,
    )


def result(
    *, is_critical: bool = False, ordered_by: UUID | None = CLINICIAN, order_id: UUID | None = None, at: datetime = NOON
) -> LabResultAvailable:
    """A result that whoever ordered it is told of."""
    return LabResultAvailable(
        result_id=uuid4(),
        order_id=order_id or uuid4(),
        patient_id=PATIENT,
        facility_id=FACILITY,
        encounter_id=None,
        test_code="2823-3",
        test_name="Potassium",
        value=None,
        text_value="haemolytic",
        unit="mmol/L",
        reference_low=None,
        reference_high=None,
        flag="HH" if is_critical else None,
        is_abnormal=is_critical,
        is_critical=is_critical,
        status="final",
        resulted_at=at,
        ordered_by=ordered_by,
    )


def numbered(invoice_id: UUID, number: str = "2026-000009") -> InvoiceChanged:
    """Billing's word on what an invoice is called."""
    return InvoiceChanged(
        invoice_id=invoice_id,
        patient_id=PATIENT,
        facility_id=FACILITY,
        number=number,
        kind="patient",
        status="issued",
        total=Money.of("40.00"),
        balance=Money.of("40.00"),
        due_on=None,
        state_version=1,
    )


def corrected(was: LabResultAvailable, *, at: datetime = NOON) -> LabResultCorrected:
    """What the lab says of a result in which it was wrong."""
    said = was.model_dump() | {"status": "corrected", "resulted_at": at}
    return LabResultCorrected(**said, previous_value=None, previous_text_value="clotted", reason="the wrong sample")
