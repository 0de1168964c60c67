"""What happens to a patient's record as a whole: results come in, patients are merged, users are erased."""

from __future__ import annotations

from uuid import UUID, uuid4

from sqlalchemy import func, or_, select, union_all, update
from sqlalchemy.ext.asyncio import AsyncSession

from broker import NotYet, clock
from contracts.auth import UserErased
from contracts.lab import LabResultAvailable, LabResultCorrected
from services.ehr import rules
from services.ehr.commands.problems import part_problems
from services.ehr.replicas import PatientReference, UserReference
from services.ehr.tables import (
    Addendum,
    Cosignature,
    DiagnosisEntry,
    Document,
    DocumentVersion,
    Note,
    Problem,
    Result,
    ResultEntry,
    Retention,
)

CHILDREN = (Note, Problem, DiagnosisEntry, Document, Result)
"""All that moves with a merge."""


async def enter_result(
    session: AsyncSession, said: LabResultAvailable | LabResultCorrected, *, source_event_id: UUID
) -> Result:
    """Puts what the lab says of a result beside what it said of it before. Raises NotYet.

    It belongs to whom the test was ordered for, and so to whom they stand for now, whatever is heard first of it and of merges.
    """
    recorded_for = said.recorded_for or said.patient_id
    patient = await PatientReference.current(session, recorded_for)
    result = await session.get(Result, said.result_id, with_for_update=True, populate_existing=True)
    if result is None:
        whose = {"patient_id": patient.id, "recorded_for": recorded_for}
        result = Result(**whose, first_entered_at=clock.now(), entries=[], **_shared(Result, said))
        session.add(result)
    entry = ResultEntry(entry_id=uuid4(), source_event_id=source_event_id, entered_at=clock.now(), **_shared(ResultEntry, said))
    result.entries.append(entry)
    return result


async def repoint_record(session: AsyncSession, patient_id: UUID, *, into_patient_id: UUID) -> None:
    """The record of a merged patient becomes part of that of the one that lives on. Raises NotYet.

    What is being written meanwhile is found all the same: by whom it was recorded for. A problem that both had is on the list
    twice, each with its own history, and is resolved twice: nobody's entry is changed by a merge, so that it can be taken back.
    """
    await _repoint(session, patient_id, to=(await PatientReference.current(session, into_patient_id)).id)


async def give_record_back(session: AsyncSession, patient_id: UUID) -> None:
    """A merge was taken back: what was recorded for the patient, or for whom was merged into them, is theirs again.

    Raises NotYet.
    """
    await _repoint(session, patient_id, to=patient_id)
    await part_problems(session, patient_id)


async def _repoint(session: AsyncSession, patient_id: UUID, *, to: UUID) -> None:
    recorded_for = await PatientReference.identities(session, patient_id)
    for child in CHILDREN:
        await session.execute(update(child).where(child.recorded_for.in_(recorded_for)).values(patient_id=to))


async def retain_what_was_written(session: AsyncSession, event: UserErased) -> None:
    """Notes why an erased user's entries stay; drafts, which nobody can sign any more, are withdrawn.

    Raises NotYet while they could still write.
    """
    if (await UserReference.require(session, event.user_id)).status != "deleted":
        raise NotYet(UserReference, event.user_id)
    drafts = update(Note).where(Note.author_id == event.user_id, Note.status == "draft")
    withdrawn = {"status": rules.NOTE.moved("draft", "entered_in_error"), "reason": "its author is gone"}
    await session.execute(drafts.values(**withdrawn, marked_at=clock.now()))
    entries_at = await _entries_of(session, event.user_id)
    if entries_at and await session.get(Retention, event.user_id) is None:
        kept = {"entries": sum(entries_at.values()), "entries_at": entries_at}
        session.add(Retention(user_id=event.user_id, **kept, reason=rules.RETAINED_BECAUSE, erased_at=event.erased_at))


async def _entries_of(session: AsyncSession, user_id: UUID) -> dict[str, int]:
    """By facility, the entries that name a user: as who wrote, signed, attached, added, resolved or withdrew them."""
    named = union_all(
        select(Note.facility_id).where(or_(Note.author_id == user_id, Note.marked_by == user_id)),
        select(Note.facility_id).join(Addendum, Addendum.note_id == Note.note_id).where(Addendum.author_id == user_id),
        select(Note.facility_id)
        .join(Cosignature, Cosignature.note_id == Note.note_id)
        .where(Cosignature.cosigner_id == user_id),
        select(Document.facility_id)
        .join(DocumentVersion, DocumentVersion.document_id == Document.document_id)
        .where(DocumentVersion.attached_by == user_id),
        select(Problem.facility_id).where(or_(Problem.added_by == user_id, Problem.resolved_by == user_id)),
    ).subquery()
    query = select(named.c.facility_id, func.count()).group_by(named.c.facility_id)
    return {str(facility_id): count for facility_id, count in await session.execute(query)}


def _shared(table: type[Result | ResultEntry], said: LabResultAvailable | LabResultCorrected) -> dict[str, object]:
    """The fields of what was said that a table has columns for; whose it is, is looked up."""
    fields = type(said).model_fields.keys() & set(table.__table__.columns.keys()) - {"patient_id", "recorded_for"}
    return {name: getattr(said, name) for name in fields}
