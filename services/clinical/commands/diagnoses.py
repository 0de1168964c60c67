"""What patients are thought to have, and the codes that it is said with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal, Unpack
from uuid import UUID

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from broker import clock, publish
from contracts.clinical import DiagnosisRecorded
from services.clinical import rules
from services.clinical.commands.charting import Author, charted
from services.clinical.rules import DiagnosisStatus
from services.clinical.tables import Diagnosis, Icd10Code, Patient


async def load_codes(session: AsyncSession, codes: Iterable[Mapping[str, Any]]) -> None:
    """Adds codes to the code set, each a mapping of code, title and billable, or replaces what it says of them.

    Raises DiagnosisCodeIsMalformed.
    """
    rows = {rules.check_code_format(code["code"]): dict(code) for code in codes}
    statement = insert(Icd10Code).values([rows[code] for code in sorted(rows)])
    says = {name: statement.excluded[name] for name in ("title", "billable")}
    await session.execute(statement.on_conflict_do_update(index_elements=[Icd10Code.code], set_=says))


async def record_diagnosis(
    session: AsyncSession,
    patient_id: UUID,
    *,
    code: str,
    status: Literal["provisional", "confirmed"] = "provisional",
    **author: Unpack[Author],
) -> Diagnosis:
    """A diagnosis was made. Raises DiagnosisCodeIsMalformed, DiagnosisCodeIsUnknown, DiagnosisCodeIsNotBillable."""
    rules.check_code_format(code)
    rules.check_billable(await session.get(Icd10Code, code))
    patient = await Patient.current_held(session, patient_id)
    says = {"code": code, "status": status, "changed_at": clock.now(), "changed_by": author["by"]}
    diagnosis = await charted(session, Diagnosis, patient, patient_id, author, **says)
    publish(session, DiagnosisRecorded.of(diagnosis))
    return diagnosis


async def change_diagnosis(session: AsyncSession, diagnosis_id: UUID, *, status: DiagnosisStatus, by: str) -> Diagnosis:
    """What is thought of a diagnosis changed. Raises NotFound, DiagnosisCannotBecome."""
    diagnosis = await Diagnosis.locked(session, diagnosis_id)
    diagnosis.become(status, by=by, at=clock.now())
    publish(session, DiagnosisRecorded.of(diagnosis, recorded_at=diagnosis.changed_at))
    return diagnosis
