"""The list of problems over HTTP."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select

from broker import Idempotent, Page, PageRequest, Reading, Router, Transaction, visible
from services.ehr import commands
from services.ehr.api.seen import Author, Reader, of_patient, user
from services.ehr.replicas import PatientReference
from services.ehr.rules import ProblemStatus
from services.ehr.tables import DiagnosisEntry, Problem
from services.ehr.views import AskedProblem, DiagnosisView, ProblemView

router = Router(tags=["problems"])


@router.post("/problems", status_code=201)
async def add_problem(asked: AskedProblem, session: Transaction, who: Author, key: Idempotent) -> ProblemView:
    """Puts a problem on a patient's list."""
    who.at((await PatientReference.current(session, asked.patient_id)).facility_id)
    return ProblemView.model_validate(await commands.add_problem(session, added_by=user(who), **dict(asked)))


@router.post("/problems/{problem_id}/resolve")
async def resolve_problem(problem_id: UUID, session: Transaction, who: Author, key: Idempotent) -> ProblemView:
    """The patient no longer has it."""
    await visible(session, who, Problem, problem_id)
    return ProblemView.model_validate(await commands.resolve_problem(session, problem_id, resolved_by=user(who)))


@router.get("/patients/{patient_id}/problems")
async def list_problems(
    patient_id: UUID, session: Reading, who: Reader, page: PageRequest, status: ProblemStatus | None = None
) -> Page[ProblemView]:
    """A patient's problems, the newest first; in one state, where asked for."""
    query = select(Problem).where(await of_patient(session, who, patient_id, Problem))
    if status is not None:
        query = query.where(Problem.status == status)
    by = [Problem.added_at.desc(), Problem.problem_id.desc()]
    return await page.read(session, query, by=by, view=ProblemView.model_validate)


@router.get("/patients/{patient_id}/diagnoses")
async def list_diagnoses(patient_id: UUID, session: Reading, who: Reader, page: PageRequest) -> Page[DiagnosisView]:
    """A patient's diagnoses as clinical last said, the newest first."""
    query = select(DiagnosisEntry).where(await of_patient(session, who, patient_id, DiagnosisEntry))
    by = [DiagnosisEntry.recorded_at.desc(), DiagnosisEntry.diagnosis_id.desc()]
    return await page.read(session, query, by=by, view=DiagnosisView.model_validate)
