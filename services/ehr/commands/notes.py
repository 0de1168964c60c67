"""What the health record can be asked to do with notes: draft, edit, sign, cosign, amend, withdraw."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from broker import clock, publish, schedule, unschedule
from contracts.ehr import (
    NoteAmended,
    NoteCosignDue,
    NoteCosigned,
    NoteCosignOverdue,
    NoteCosignRequested,
    NoteEnteredInError,
    NoteSigned,
)
from services.ehr import integrity, rules
from services.ehr.replicas import EncounterReference, PatientReference, UserReference
from services.ehr.rules import Content, Soap
from services.ehr.tables import Addendum, Cosignature, Note, ProgressNote, SoapNote


async def draft_note(
    session: AsyncSession,
    *,
    author_id: UUID,
    patient_id: UUID,
    encounter_id: UUID,
    content: Content,
    note_id: UUID | None = None,
) -> Note:
    """Begins a note on a patient in an encounter; only its author sees it until it is signed.

    Raises NotYet for a patient, an encounter or a user not heard of, and what `rules.check_encounter` and `check_writes` raise.
    """
    patient = await PatientReference.current(session, patient_id)
    encounter = await EncounterReference.require(session, encounter_id)
    of_patient = (await PatientReference.current(session, encounter.patient_id)).id
    rules.check_encounter(encounter, of_patient=of_patient, patient_id=patient.id, facility_id=patient.facility_id)
    author = await UserReference.writer(session, author_id, encounter.facility_id)
    rules.check_writes(author, content.kind)
    note = _written(
        content,
        note_id=note_id or uuid4(),
        patient_id=patient.id,
        recorded_for=patient_id,
        facility_id=encounter.facility_id,
        encounter_id=encounter_id,
        author_id=author_id,
        status="draft",
        drafted_at=clock.now(),
        addenda=[],
        cosignature=None,
    )
    session.add(note)
    return note


async def edit_note(session: AsyncSession, note_id: UUID, *, editor_id: UUID, content: Content) -> Note:
    """Changes what a draft says.

    Raises NotFound, OnlyTheAuthorEditsAndSigns, UserMayNotWriteHere, NursesWriteProgressNotes, OnlyADraftIsEdited,
    NoteKeepsItsKind.
    """
    note, editor = await _working_on(session, note_id, editor_id)
    rules.check_author(note.author_id, editor)
    rules.check_writes(editor, note.kind)
    rules.check_editable(note.status, note.kind, content)
    note.write(content)
    return note


async def sign_note(session: AsyncSession, note_id: UUID, *, signer_id: UUID) -> Note:
    """Fixes what a note says. A trainee's then waits for a cosignature.

    Raises NotFound, NoteCannotBecome, OnlyTheAuthorEditsAndSigns, UserMayNotWriteHere, NursesWriteProgressNotes,
    EncounterDoesNotTakePlace.
    """
    note, signer = await _working_on(session, note_id, signer_id)
    rules.check_author(note.author_id, signer)
    rules.check_writes(signer, note.kind)
    rules.check_takes_place((await EncounterReference.require(session, note.encounter_id)).status)
    note.become(rules.status_when_signed(signer))
    note.signed_at = clock.now()
    note.content_hash = integrity.note_hash(note, note.signed_at)
    publish(session, NoteSigned.of(note))
    if note.status == "cosign_required":
        await _ask_for_cosignature(session, note)
    return note


async def cosign_note(session: AsyncSession, note_id: UUID, *, cosigner_id: UUID) -> Note:
    """Adds the second signature. Raises NotFound, NoteCannotBecome, AuthorCannotCosign, CosignerMustBeAClinician."""
    note, cosigner = await _working_on(session, note_id, cosigner_id)
    rules.check_cosigner(note.author_id, cosigner)
    note.become("signed")
    now = clock.now()
    note.cosignature = Cosignature(cosigner_id=cosigner_id, content_hash=note.content_hash, cosigned_at=now)
    await unschedule(session, _due(note_id))
    publish(session, NoteCosigned.of(note, cosigner_id=cosigner_id, cosigned_at=now))
    return note


async def report_missing_cosignature(session: AsyncSession, note_id: UUID) -> None:
    """Says that a note still waits for its cosignature, if it does. Raises NotFound."""
    note = await Note.locked(session, note_id)
    if note.status == "cosign_required":
        note.overdue_at = clock.now()
        publish(session, NoteCosignOverdue.of(note, due_at=note.cosign_due_at))


async def add_addendum(
    session: AsyncSession, note_id: UUID, *, author_id: UUID, text: str, addendum_id: UUID | None = None
) -> Note:
    """Adds to a signed note, which stays as it is.

    Raises NotFound, AddendumFollowsSigning, TraineesWriteNoAddenda, UserMayNotWriteHere, NursesWriteProgressNotes.
    """
    note, author = await _working_on(session, note_id, author_id)
    rules.check_writes(author, note.kind)
    rules.check_addendum(note.status, author)
    note.become("amended")
    addendum = Addendum(
        addendum_id=addendum_id or uuid4(),
        number=len(note.addenda) + 1,
        author_id=author_id,
        text=text,
        written_at=clock.now(),
    )
    previous = note.addenda[-1].content_hash if note.addenda else note.content_hash
    addendum.content_hash = integrity.addendum_hash(addendum, previous or "")
    note.addenda.append(addendum)
    said = {"addendum_id": addendum.addendum_id, "author_id": author_id, "content_hash": addendum.content_hash}
    publish(session, NoteAmended.of(note, **said, amended_at=addendum.written_at))
    return note


async def mark_note_as_error(session: AsyncSession, note_id: UUID, *, user_id: UUID, reason: str) -> Note:
    """The note never should have been: it stays to be seen, with all that belongs to it.

    Raises NotFound, NoteCannotBecome, UserMayNotWriteHere, OnlyAuthorOrClinicianWithdraws.
    """
    note, user = await _working_on(session, note_id, user_id)
    rules.check_writes(user)
    rules.check_withdraws(note.author_id, user)
    note.become("entered_in_error")
    note.marked_at, note.marked_by, note.reason = clock.now(), user_id, reason
    await unschedule(session, _due(note_id))
    if note.signed_at is not None:
        publish(session, NoteEnteredInError.of(note))
    return note


async def _working_on(session: AsyncSession, note_id: UUID, user_id: UUID) -> tuple[Note, rules.Writer]:
    """The note, locked, of the patient that its patient stands for now; and who the user is at its facility."""
    note = await Note.locked(session, note_id)
    note.patient_id = (await PatientReference.current(session, note.recorded_for)).id
    return note, await UserReference.writer(session, user_id, note.facility_id)


async def _ask_for_cosignature(session: AsyncSession, note: Note) -> None:
    due_at = clock.now() + rules.COSIGN_WITHIN
    note.cosign_due_at = due_at
    publish(session, NoteCosignRequested.of(note, due_at=due_at))
    await schedule(session, NoteCosignDue.of(note), at=due_at, name=_due(note.note_id))


def _written(content: Content, **shared: Any) -> Note:
    kind = SoapNote if isinstance(content, Soap) else ProgressNote
    return kind(**asdict(content), **shared)


def _due(note_id: UUID) -> str:
    return f"note {note_id} cosign due"
