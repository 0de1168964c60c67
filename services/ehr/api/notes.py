"""Notes over HTTP."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import or_, select

from broker import Idempotent, Page, PageRequest, Reading, Router, Transaction
from services.ehr import commands, integrity
from services.ehr.api.seen import Auditor, Author, Clinician, Reader, of_patient, user, visible_note
from services.ehr.replicas import PatientReference
from services.ehr.rules import NoteStatus
from services.ehr.tables import Note
from services.ehr.views import AskedAddendum, AskedContent, AskedNote, IntegrityView, NoteView, Reason

router = Router(tags=["notes"])


@router.post("/notes", status_code=201)
async def draft_note(asked: AskedNote, session: Transaction, who: Author, key: Idempotent) -> NoteView:
    """Begins a note. 409 `urn:nilecare:not-yet` while patient, encounter or author are not known here: try again."""
    who.at((await PatientReference.current(session, asked.patient_id)).facility_id)
    given = dict(asked) | {"content": asked.content.given()}
    return NoteView.model_validate(await commands.draft_note(session, author_id=user(who), **given))


@router.get("/notes/awaiting-cosignature")
async def list_notes_awaiting_cosignature(session: Reading, who: Clinician, page: PageRequest) -> Page[NoteView]:
    """Trainees' notes of the token's facilities that need a second signature, the most urgent first."""
    query = select(Note).where(who.within(Note.facility_id), Note.status == "cosign_required")
    return await page.read(session, query, by=[Note.cosign_due_at, Note.note_id], view=NoteView.model_validate)


@router.get("/notes/{note_id}")
async def get_note(note_id: UUID, session: Reading, who: Reader) -> NoteView:
    """A note that was signed, or one's own draft."""
    return NoteView.model_validate(await visible_note(session, who, note_id))


@router.get("/notes/{note_id}/integrity")
async def verify_note(note_id: UUID, session: Reading, who: Auditor) -> IntegrityView:
    """Computes every hash of a signed note anew, and tells what no longer says what was signed."""
    altered = integrity.altered(await visible_note(session, who, note_id))
    return IntegrityView(note_id=note_id, intact=not altered, altered=altered)


@router.put("/notes/{note_id}/content")
async def edit_note(note_id: UUID, asked: AskedContent, session: Transaction, who: Author) -> NoteView:
    """Changes what one's own draft says."""
    await visible_note(session, who, note_id)
    return NoteView.model_validate(await commands.edit_note(session, note_id, editor_id=user(who), content=asked.given()))


@router.post("/notes/{note_id}/sign")
async def sign_note(note_id: UUID, session: Transaction, who: Author, key: Idempotent) -> NoteView:
    """Fixes what the note says; a trainee's then needs a cosignature within 24 hours."""
    await visible_note(session, who, note_id)
    return NoteView.model_validate(await commands.sign_note(session, note_id, signer_id=user(who)))


@router.post("/notes/{note_id}/cosign")
async def cosign_note(note_id: UUID, session: Transaction, who: Clinician, key: Idempotent) -> NoteView:
    """Adds the second signature under a trainee's note."""
    await visible_note(session, who, note_id)
    return NoteView.model_validate(await commands.cosign_note(session, note_id, cosigner_id=user(who)))


@router.post("/notes/{note_id}/addenda", status_code=201)
async def add_addendum(note_id: UUID, asked: AskedAddendum, session: Transaction, who: Author, key: Idempotent) -> NoteView:
    """Adds to a signed note."""
    await visible_note(session, who, note_id)
    return NoteView.model_validate(await commands.add_addendum(session, note_id, author_id=user(who), **dict(asked)))


@router.post("/notes/{note_id}/entered-in-error")
async def mark_note_as_error(note_id: UUID, asked: Reason, session: Transaction, who: Author, key: Idempotent) -> NoteView:
    """The note never should have been; it stays to be seen."""
    await visible_note(session, who, note_id)
    return NoteView.model_validate(await commands.mark_note_as_error(session, note_id, user_id=user(who), **dict(asked)))


@router.get("/patients/{patient_id}/notes")
async def list_notes(
    patient_id: UUID, session: Reading, who: Reader, page: PageRequest, status: NoteStatus | None = None
) -> Page[NoteView]:
    """A patient's notes, the newest first; in one state, where asked for. Of drafts, one's own."""
    mine_or_signed = or_(Note.signed_at.is_not(None), Note.author_id == who.user_id)
    query = select(Note).where(await of_patient(session, who, patient_id, Note), mine_or_signed)
    if status is not None:
        query = query.where(Note.status == status)
    by = [Note.drafted_at.desc(), Note.note_id.desc()]
    return await page.read(session, query, by=by, view=NoteView.model_validate)
