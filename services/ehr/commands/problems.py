"""What the health record can be asked to do with the list of problems, and how diagnoses of clinical keep it."""

from __future__ import annotations

from uuid import UUID, uuid4

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from broker import clock, publish
from contracts.clinical import DiagnosisRecorded
from contracts.ehr import ProblemAdded, ProblemResolved
from services.ehr import rules
from services.ehr.errors import ProblemIsOnTheListAlready
from services.ehr.replicas import PatientReference, UserReference
from services.ehr.tables import DiagnosisEntry, Problem


async def add_problem(
    session: AsyncSession,
    *,
    patient_id: UUID,
    code: str,
    added_by: UUID,
    description: str | None = None,
    problem_id: UUID | None = None,
) -> Problem:
    """Puts a problem (ICD-10-CM) on a patient's list. Raises NotYet, UserMayNotWriteHere, ProblemIsOnTheListAlready."""
    patient = await PatientReference.current(session, patient_id)
    rules.check_writes(await UserReference.writer(session, added_by, patient.facility_id))
    if await _active(session, patient, code) is not None:
        raise ProblemIsOnTheListAlready
    problem = _new(patient, code, problem_id=problem_id or uuid4(), description=description, added_by=added_by)
    _add(session, problem)
    return problem


async def resolve_problem(session: AsyncSession, problem_id: UUID, *, resolved_by: UUID) -> Problem:
    """The patient no longer has it. Raises NotFound, ProblemCannotBecome, UserMayNotWriteHere."""
    problem = await Problem.locked(session, problem_id)
    rules.check_writes(await UserReference.writer(session, resolved_by, problem.facility_id))
    problem.resolved_by = resolved_by
    _resolve(session, problem)
    return problem


async def take_diagnosis(session: AsyncSession, event: DiagnosisRecorded) -> DiagnosisEntry:
    """Shows a diagnosis; confirmed, it puts its problem on the list, once; over, it takes it off. Raises NotYet."""
    patient = await PatientReference.current(session, event.patient_id)
    entry = await session.get(DiagnosisEntry, event.diagnosis_id)
    if entry is None:
        entry = DiagnosisEntry(diagnosis_id=event.diagnosis_id, recorded_for=event.patient_id, facility_id=event.facility_id)
        session.add(entry)
    entry.patient_id, entry.encounter_id, entry.code = patient.id, event.encounter_id, event.code
    entry.status, entry.recorded_at = event.status, event.recorded_at
    if entry.problem_id is None and rules.puts_problem_on_list(event.status):
        entry.problem_id = await _listed(session, patient, event.code)
    if entry.problem_id is not None:
        await _end_with_diagnosis(session, entry)
    return entry


async def _listed(session: AsyncSession, patient: PatientReference, code: str) -> UUID:
    """The problem of this code that is on the list, or is put there."""
    problem = await _active(session, patient, code)
    if problem is None:
        problem = _new(patient, code, problem_id=uuid4(), description=None, added_by=None)
        _add(session, problem)
        await session.flush()
    return problem.problem_id


async def _end_with_diagnosis(session: AsyncSession, entry: DiagnosisEntry) -> None:
    problem = await Problem.locked(session, entry.problem_id)
    others = select(DiagnosisEntry.status).where(
        DiagnosisEntry.problem_id == entry.problem_id, DiagnosisEntry.diagnosis_id != entry.diagnosis_id
    )
    if problem.status == "active" and rules.ends_problem(entry.status, (await session.scalars(others)).all()):
        _resolve(session, problem)


async def _active(session: AsyncSession, patient: PatientReference, code: str) -> Problem | None:
    # Two who put the same problem on the list at the same time take turns.
    await session.refresh(patient, with_for_update=True)
    of_patient = Problem.recorded_for.in_(await PatientReference.identities(session, patient.id))
    query = select(Problem).where(of_patient, Problem.code == code, Problem.status == "active")
    return await session.scalar(query.order_by(Problem.added_at, Problem.problem_id).limit(1))


def _new(patient: PatientReference, code: str, *, problem_id: UUID, description: str | None, added_by: UUID | None) -> Problem:
    return Problem(
        problem_id=problem_id,
        patient_id=patient.id,
        recorded_for=patient.id,
        facility_id=patient.facility_id,
        code=code,
        description=description,
        status="active",
        added_at=clock.now(),
        added_by=added_by,
    )


def _add(session: AsyncSession, problem: Problem) -> None:
    session.add(problem)
    publish(session, ProblemAdded.of(problem))


def _resolve(session: AsyncSession, problem: Problem) -> None:
    problem.become("resolved")
    problem.resolved_at = clock.now()
    publish(session, ProblemResolved.of(problem))
