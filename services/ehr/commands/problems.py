"""What the health record can be asked to do with the list of problems, and how diagnoses of clinical keep it."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID, uuid4

from sqlalchemy import and_, select
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
    return _add(
        session, patient, code, recorded_for=patient_id, problem_id=problem_id, description=description, added_by=added_by
    )


async def resolve_problem(session: AsyncSession, problem_id: UUID, *, resolved_by: UUID) -> Problem:
    """The patient no longer has it. Raises NotFound, ProblemCannotBecome, UserMayNotWriteHere."""
    problem = await Problem.locked(session, problem_id)
    rules.check_writes(await UserReference.writer(session, resolved_by, problem.facility_id))
    problem.resolved_by = resolved_by
    _resolve(session, problem)
    return problem


async def take_diagnosis(session: AsyncSession, event: DiagnosisRecorded) -> DiagnosisEntry:
    """Shows a diagnosis; confirmed, it puts its problem on the list, once; over, it takes it off. Raises NotYet.

    It belongs to whom it was recorded for, and so to whom they stand for now, whatever is heard first of it and of merges.
    """
    entry = await session.get(DiagnosisEntry, event.diagnosis_id)
    recorded_for = event.recorded_for or (event.patient_id if entry is None else entry.recorded_for)
    patient = await PatientReference.current(session, recorded_for)
    if entry is None:
        entry = DiagnosisEntry(diagnosis_id=event.diagnosis_id, facility_id=event.facility_id)
        session.add(entry)
    entry.patient_id, entry.recorded_for = patient.id, recorded_for
    entry.encounter_id, entry.code = event.encounter_id, event.code
    entry.status, entry.recorded_at = event.status, event.recorded_at
    if entry.problem_id is None and rules.puts_problem_on_list(event.status):
        entry.problem_id = await _listed(session, patient, entry)
    if entry.problem_id is not None:
        await _end_with_diagnosis(session, entry)
    return entry


async def part_problems(session: AsyncSession, patient_id: UUID) -> None:
    """Each diagnosis stands for a problem of its own patient again, after a merge of `patient_id` was taken back.

    While the two were one, one problem was enough for the diagnoses of both; it went with the one whom it was recorded for. A
    diagnosis of the other that still stands puts it on their list too; where none of the one stands any more, it is over.
    """
    theirs = await PatientReference.identities(session, patient_id)
    apart = DiagnosisEntry.recorded_for.in_(theirs) != Problem.recorded_for.in_(theirs)
    problem = [Problem.problem_id == DiagnosisEntry.problem_id, Problem.status == "active"]
    query = select(DiagnosisEntry).join(Problem, and_(*problem)).where(apart)
    for entry in (await session.scalars(query.order_by(DiagnosisEntry.diagnosis_id))).all():
        left, entry.problem_id = entry.problem_id, None
        if rules.puts_problem_on_list(entry.status):
            patient = await PatientReference.require(session, entry.patient_id)
            entry.problem_id = await _listed(session, patient, entry, apart_from=() if entry.recorded_for in theirs else theirs)
        for other in (await session.scalars(select(DiagnosisEntry).where(DiagnosisEntry.problem_id == left))).all():
            await _end_with_diagnosis(session, other)


async def _listed(
    session: AsyncSession, patient: PatientReference, entry: DiagnosisEntry, *, apart_from: Collection[UUID] = ()
) -> UUID:
    """The problem that a diagnosis stands for, which is on the list of its patient, or is put there."""
    problem = await _active(session, patient, entry.code, apart_from=apart_from)
    if problem is None:
        problem = _add(session, patient, entry.code, recorded_for=entry.recorded_for)
        await session.flush()
    return problem.problem_id


async def _end_with_diagnosis(session: AsyncSession, entry: DiagnosisEntry) -> None:
    problem = await Problem.locked(session, entry.problem_id)
    others = select(DiagnosisEntry.status).where(
        DiagnosisEntry.problem_id == entry.problem_id, DiagnosisEntry.diagnosis_id != entry.diagnosis_id
    )
    if problem.status == "active" and rules.ends_problem(entry.status, (await session.scalars(others)).all()):
        _resolve(session, problem)


async def _active(
    session: AsyncSession, patient: PatientReference, code: str, *, apart_from: Collection[UUID] = ()
) -> Problem | None:
    """The active problem of this code that was put on the list first, under any id of the patient but these."""
    # Two who put the same problem on the list at the same time take turns.
    await session.refresh(patient, with_for_update=True)
    identities = set(await PatientReference.identities(session, patient.id)) - set(apart_from)
    query = select(Problem).where(Problem.recorded_for.in_(identities), Problem.code == code, Problem.status == "active")
    return await session.scalar(query.order_by(Problem.added_at, Problem.problem_id).limit(1))


def _add(
    session: AsyncSession,
    patient: PatientReference,
    code: str,
    *,
    recorded_for: UUID,
    problem_id: UUID | None = None,
    description: str | None = None,
    added_by: UUID | None = None,
) -> Problem:
    problem = Problem(
        problem_id=problem_id or uuid4(),
        patient_id=patient.id,
        recorded_for=recorded_for,
        facility_id=patient.facility_id,
        code=code,
        description=description,
        status="active",
        added_at=clock.now(),
        added_by=added_by,
    )
    session.add(problem)
    publish(session, ProblemAdded.of(problem))
    return problem


def _resolve(session: AsyncSession, problem: Problem) -> None:
    problem.become("resolved")
    problem.resolved_at = clock.now()
    publish(session, ProblemResolved.of(problem))
