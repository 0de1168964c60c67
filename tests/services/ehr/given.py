"""What most tests of the health record begin with: a patient in an encounter, and a clinician, a trainee, a nurse."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import httpx

from broker._http import PREFIX
from broker._tokens import issue_token
from contracts.auth import Grant, UserChanged
from contracts.clinical import DiagnosisRecorded, EncounterChanged, PatientChanged
from contracts.lab import LabResultAvailable, LabResultCorrected
from services.ehr import commands
from services.ehr.rules import Content, Progress, Soap
from tests.services.kit import KEY, Workplace

FACILITY, ELSEWHERE = uuid4(), uuid4()
PATIENT, ENCOUNTER = uuid4(), uuid4()
CLINICIAN, COLLEAGUE, TRAINEE, NURSE = uuid4(), uuid4(), uuid4(), uuid4()
STAFF = {CLINICIAN: "clinician", COLLEAGUE: "clinician", TRAINEE: "trainee", NURSE: "nurse"}

SOAP = Soap(subjective="tired", objective="pale", assessment="anaemia", plan="blood count")
PROGRESS = Progress(text="slept well")
EARLIER = datetime(2026, 3, 1, 8, tzinfo=UTC)


def patient(patient_id: UUID = PATIENT, *, version: int = 1, **fields: Any) -> PatientChanged:
    """Clinical's word on a patient."""
    said: dict[str, Any] = {
        "facility_id": FACILITY,
        "medical_record_number": "M-1",
        "full_name": "Amal Haddad",
        "birth_date": date(1980, 5, 17),
        "sex": "female",
        "status": "active",
    }
    return PatientChanged(**said | {"patient_id": patient_id, "state_version": version} | fields)


def encounter(encounter_id: UUID = ENCOUNTER, *, version: int = 1, **fields: Any) -> EncounterChanged:
    """Clinical's word on an encounter."""
    said: dict[str, Any] = {
        "patient_id": PATIENT,
        "facility_id": FACILITY,
        "encounter_class": "inpatient",
        "status": "in_progress",
        "started_at": EARLIER,
        "discharged_at": None,
    }
    return EncounterChanged(**said | {"encounter_id": encounter_id, "state_version": version} | fields)


def user(user_id: UUID, *roles: str, version: int = 1, at: UUID | None = FACILITY, **fields: Any) -> UserChanged:
    """Auth's word on a user, with roles at a facility."""
    said: dict[str, Any] = {
        "full_name": "Dr. Samir Aziz",
        "email": None,
        "phone": None,
        "locale": "en",
        "time_zone": "UTC",
        "status": "active",
        "grants": tuple(Grant(role=role, facility_id=at) for role in roles),
    }
    return UserChanged(**said | {"user_id": user_id, "state_version": version} | fields)


async def known(ehr: Workplace) -> None:
    """The patient, the encounter and the staff have arrived."""
    for state in (patient(), encounter(), *(user(who, role) for who, role in STAFF.items())):
        await ehr.deliver(state)


async def drafted(ehr: Workplace, author_id: UUID = CLINICIAN, content: Content = SOAP) -> UUID:
    """A draft."""
    async with ehr.transaction() as session:
        note = await commands.draft_note(
            session, author_id=author_id, patient_id=PATIENT, encounter_id=ENCOUNTER, content=content
        )
    return note.note_id


async def signed(ehr: Workplace, author_id: UUID = CLINICIAN, content: Content = SOAP) -> UUID:
    """A note with its author's signature."""
    note_id = await drafted(ehr, author_id, content)
    async with ehr.transaction() as session:
        await commands.sign_note(session, note_id, signer_id=author_id)
    return note_id


async def amended(ehr: Workplace, note_id: UUID, *texts: str) -> None:
    """Addenda, by the clinician."""
    for text in texts:
        async with ehr.transaction() as session:
            await commands.add_addendum(session, note_id, author_id=CLINICIAN, text=text)


def diagnosis(status: Any, diagnosis_id: UUID, code: str = "D50.9", **fields: Any) -> DiagnosisRecorded:
    """Clinical's word on a diagnosis."""
    said: dict[str, Any] = {
        "patient_id": PATIENT,
        "facility_id": FACILITY,
        "encounter_id": ENCOUNTER,
        "code": code,
        "status": status,
        "recorded_at": EARLIER,
    }
    return DiagnosisRecorded(**said | {"diagnosis_id": diagnosis_id} | fields)


def result(result_id: UUID, value: str, **fields: Any) -> LabResultAvailable:
    """The lab's word on a result."""
    return LabResultAvailable(**_said(result_id, value, EARLIER) | {"status": "final"} | fields)


def correction(result_id: UUID, value: str, *, before: str, hours: int = 1, **fields: Any) -> LabResultCorrected:
    """The lab's word on what a result should have said."""
    said = _said(result_id, value, EARLIER + timedelta(hours=hours))
    own = {"status": "corrected", "previous_value": Decimal(before), "previous_text_value": None, "reason": "haemolysed"}
    return LabResultCorrected(**said | own | fields)


def _said(result_id: UUID, value: str, at: datetime) -> dict[str, Any]:
    return {
        "result_id": result_id,
        "order_id": uuid4(),
        "patient_id": PATIENT,
        "facility_id": FACILITY,
        "encounter_id": ENCOUNTER,
        "test_code": "2823-3",
        "test_name": "Potassium",
        "value": Decimal(value),
        "text_value": None,
        "unit": "mmol/L",
        "reference_low": Decimal("3.5"),
        "reference_high": Decimal("5.1"),
        "flag": None,
        "is_abnormal": False,
        "is_critical": False,
        "resulted_at": at,
    }


def client(ehr: Workplace, who: UUID | str, *roles: str, at: UUID | None = FACILITY) -> httpx.AsyncClient:
    """A client for a user; with the role that they have, if no other is named."""
    given = roles or (STAFF[UUID(str(who))],)
    facilities = None if at is None else [at]
    token = issue_token(KEY, subject=str(who), roles=given, facilities=facilities, lifetime=timedelta(minutes=5))
    headers = {"Authorization": f"Bearer {token}"}
    transport = httpx.ASGITransport(ehr.app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url=f"http://service{PREFIX}", headers=headers)
