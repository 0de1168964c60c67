"""Notes on a real database: what is signed, by whom, and that it stays as it was signed."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from broker import NotYet, clock
from broker._schedule import Scheduler
from contracts.auth import Grant, UserErased
from contracts.clinical import PatientMerged
from contracts.ehr import (
    NoteAmended,
    NoteCosignDue,
    NoteCosigned,
    NoteCosignOverdue,
    NoteCosignRequested,
    NoteEnteredInError,
    NoteSigned,
)
from services.ehr import commands, errors, integrity
from services.ehr.replicas import EncounterReference, PatientReference, UserReference
from services.ehr.rules import COSIGN_WITHIN, Progress
from services.ehr.tables import Base, Note, Retention
from tests.services.ehr.given import (
    CLINICIAN,
    COLLEAGUE,
    ELSEWHERE,
    ENCOUNTER,
    FACILITY,
    NURSE,
    PATIENT,
    PROGRESS,
    SOAP,
    TRAINEE,
    amended,
    drafted,
    encounter,
    patient,
    signed,
    user,
)
from tests.services.kit import Workplace

GRANT_ELSEWHERE = Grant(role="clinician", facility_id=ELSEWHERE)


async def note_of(ehr: Workplace, note_id: UUID) -> Note:
    async with ehr.transaction() as session:
        return await Note.seen(session, note_id)


async def test_a_signed_note_says_who_and_what(ehr: Workplace) -> None:
    """note.signed carries the hash that the note keeps; a draft is nobody's business."""
    note_id = await drafted(ehr)
    assert await ehr.published(NoteSigned) == []
    async with ehr.transaction() as session:
        await commands.edit_note(session, note_id, editor_id=CLINICIAN, content=SOAP)
        await commands.sign_note(session, note_id, signer_id=CLINICIAN)
    note = await note_of(ehr, note_id)
    [event] = await ehr.published(NoteSigned)
    assert (event.note_id, event.kind, event.author_id, event.facility_id) == (note_id, "soap", CLINICIAN, FACILITY)
    assert (note.status, note.content_hash, note.signed_at) == ("signed", event.content_hash, event.signed_at)
    assert await ehr.published(NoteCosignRequested) == []


async def test_only_the_author_edits_and_signs(ehr: Workplace) -> None:
    """OnlyTheAuthorEditsAndSigns, whatever the other one's role."""
    note_id = await drafted(ehr)
    with pytest.raises(errors.OnlyTheAuthorEditsAndSigns):
        async with ehr.transaction() as session:
            await commands.sign_note(session, note_id, signer_id=COLLEAGUE)
    with pytest.raises(errors.OnlyTheAuthorEditsAndSigns):
        async with ehr.transaction() as session:
            await commands.edit_note(session, note_id, editor_id=COLLEAGUE, content=SOAP)
    assert (await note_of(ehr, note_id)).status == "draft"


async def test_a_signed_note_is_edited_no_more(ehr: Workplace) -> None:
    """OnlyADraftIsEdited; and it is signed once."""
    note_id = await signed(ehr)
    with pytest.raises(errors.OnlyADraftIsEdited):
        async with ehr.transaction() as session:
            await commands.edit_note(session, note_id, editor_id=CLINICIAN, content=SOAP)
    with pytest.raises(errors.NoteCannotBecome):
        async with ehr.transaction() as session:
            await commands.sign_note(session, note_id, signer_id=CLINICIAN)


FORBIDDEN = (
    "UPDATE soap_notes SET plan = 'nothing'",
    "UPDATE progress_notes SET text = 'nothing'",
    "UPDATE notes SET author_id = gen_random_uuid() WHERE status <> 'draft'",
    "UPDATE notes SET signed_at = now()",
    "UPDATE notes SET content_hash = 'forged'",
    "UPDATE notes SET status = 'draft'",
    "UPDATE addenda SET text = 'nothing'",
    "UPDATE cosignatures SET cosigner_id = gen_random_uuid()",
    "DELETE FROM addenda",
    "DELETE FROM cosignatures",
    "DELETE FROM soap_notes",
    "DELETE FROM notes",
)


async def test_the_database_itself_keeps_what_was_signed(ehr: Workplace) -> None:
    """Whatever the code does: a trigger refuses to change or delete it."""
    await amended(ehr, await signed(ehr), "iron too")
    cosigned = await signed(ehr, TRAINEE, PROGRESS)
    async with ehr.transaction() as session:
        await commands.cosign_note(session, cosigned, cosigner_id=CLINICIAN)
    for statement in FORBIDDEN:
        with pytest.raises(IntegrityError, match=r"keeps it as it is|does not change"):
            async with ehr.transaction() as session:
                await session.execute(text(statement))


async def test_nothing_is_ever_deleted(ehr: Workplace) -> None:
    """The database refuses to delete from any table of the record, and to empty it."""
    await signed(ehr)
    await signed(ehr, TRAINEE, PROGRESS)
    owned = set(Base.metadata.tables) - {name for name in Base.metadata.tables if name.endswith("_reference")}
    refuses = text("SELECT tgrelid::regclass::text FROM pg_trigger WHERE tgname = 'never_deleted'")
    async with ehr.transaction() as session:
        assert set(await session.scalars(refuses)) == owned
    for table in owned:
        with pytest.raises(IntegrityError, match="keeps it as it is"):
            async with ehr.transaction() as session:
                await session.execute(text(f"TRUNCATE {table} CASCADE"))


FORGERIES = {
    "UPDATE soap_notes SET plan = 'nothing'": ["note"],
    "UPDATE notes SET author_id = gen_random_uuid()": ["note"],
    "UPDATE notes SET signed_at = signed_at - interval '1 second'": ["note"],
    "UPDATE notes SET encounter_id = gen_random_uuid()": ["note"],
    "UPDATE notes SET content_hash = 'forged'": ["note", "cosignature", "addendum 1"],
    "UPDATE cosignatures SET content_hash = 'another'": ["cosignature"],
    "UPDATE addenda SET text = 'nothing' WHERE number = 2": ["addendum 2"],
    "UPDATE addenda SET written_at = now() WHERE number = 1": ["addendum 1"],
    "DELETE FROM addenda WHERE number = 1": ["addendum 1", "addendum 2"],
    "UPDATE notes SET patient_id = gen_random_uuid()": [],
}
"""What an administrator of the database might do, and the parts that then no longer say what was signed; a merge is none."""


async def test_what_was_altered_is_found_out(ehr: Workplace) -> None:
    """By the hashes, even when somebody went past the triggers."""
    note_id = await signed(ehr, TRAINEE)
    async with ehr.transaction() as session:
        await commands.cosign_note(session, note_id, cosigner_id=CLINICIAN)
    await amended(ehr, note_id, "iron too", "and rest", "and tea")
    found = {}
    for forgery in FORGERIES:
        async with ehr.database.engine.connect() as connection, AsyncSession(connection) as session:
            await session.execute(text("SET LOCAL session_replication_role = replica"))
            await session.execute(text(forgery))
            found[forgery] = integrity.altered(await Note.seen(session, note_id))
    assert found == FORGERIES


async def test_a_trainees_note_asks_for_a_second_signature(ehr: Workplace) -> None:
    """Within 24 hours; the cosigner's makes it a signed note, about which nobody is reminded any more."""
    note_id = await signed(ehr, TRAINEE)
    [asked] = await ehr.published(NoteCosignRequested)
    note = await note_of(ehr, note_id)
    assert note.status == "cosign_required"
    assert note.signed_at is not None
    assert asked.due_at == note.cosign_due_at
    assert timedelta() <= asked.due_at - note.signed_at - COSIGN_WITHIN < timedelta(minutes=1)
    async with ehr.transaction() as session:
        await commands.cosign_note(session, note_id, cosigner_id=CLINICIAN)
    [cosigned] = await ehr.published(NoteCosigned)
    assert (cosigned.author_id, cosigned.cosigner_id) == (TRAINEE, CLINICIAN)
    note = await note_of(ehr, note_id)
    assert note.status == "signed"
    assert note.cosignature is not None
    assert note.cosignature.content_hash == note.content_hash
    async with ehr.transaction() as session:
        assert await session.scalar(text("SELECT count(*) FROM backbone.schedule")) == 0


async def test_a_missing_cosignature_is_reported(ehr: Workplace) -> None:
    """A day later and not before; once, and not for a note that was cosigned meanwhile."""
    late, cosigned = await signed(ehr, TRAINEE), await signed(ehr, TRAINEE)
    scheduler = Scheduler(ehr.database)
    clock.shift += COSIGN_WITHIN - timedelta(minutes=1)
    await scheduler.run_once()
    assert await ehr.published(NoteCosignDue) == []
    clock.shift += timedelta(minutes=2)
    await scheduler.run_once()
    assert {due.note_id for due in await ehr.published(NoteCosignDue)} == {late, cosigned}
    async with ehr.transaction() as session:
        await commands.cosign_note(session, cosigned, cosigner_id=CLINICIAN)
    for due in await ehr.published(NoteCosignDue):
        await ehr.deliver(due)
    [overdue] = await ehr.published(NoteCosignOverdue)
    assert (overdue.note_id, overdue.author_id) == (late, TRAINEE)
    assert (await note_of(ehr, late)).overdue_at is not None
    async with ehr.transaction() as session:
        await commands.cosign_note(session, late, cosigner_id=CLINICIAN)
    assert (await note_of(ehr, late)).status == "signed"


@pytest.mark.parametrize(
    ("cosigner", "broken"),
    [
        (TRAINEE, errors.AuthorCannotCosign),
        (NURSE, errors.CosignerMustBeAClinician),
        (COLLEAGUE, None),
    ],
)
async def test_who_cosigns(ehr: Workplace, cosigner: UUID, broken: type[Exception] | None) -> None:
    """Neither the author nor somebody who is no clinician here; nor a clinician who became a trainee meanwhile."""
    note_id = await signed(ehr, TRAINEE)
    if broken is None:
        await ehr.deliver(user(COLLEAGUE, "clinician", "trainee", version=2))
        broken = errors.CosignerMustBeAClinician
    with pytest.raises(broken):
        async with ehr.transaction() as session:
            await commands.cosign_note(session, note_id, cosigner_id=cosigner)


async def test_roles_count_where_they_were_given(ehr: Workplace) -> None:
    """A clinician of another facility neither writes nor cosigns here; one of every facility does."""
    stranger, everywhere = uuid4(), uuid4()
    await ehr.deliver(user(stranger, "clinician", at=ELSEWHERE))
    await ehr.deliver(user(everywhere, "clinician", at=None))
    note_id = await signed(ehr, TRAINEE)
    with pytest.raises(errors.UserMayNotWriteHere):
        await drafted(ehr, stranger)
    with pytest.raises(errors.CosignerMustBeAClinician):
        async with ehr.transaction() as session:
            await commands.cosign_note(session, note_id, cosigner_id=stranger)
    async with ehr.transaction() as session:
        await commands.cosign_note(session, note_id, cosigner_id=everywhere)


@pytest.mark.parametrize("state", [{"status": "suspended"}, {"grants": ()}, {"grants": (GRANT_ELSEWHERE,)}])
async def test_who_may_no_longer_write_here_changes_nothing(ehr: Workplace, state: dict[str, Any]) -> None:
    """UserMayNotWriteHere, also for what they drafted before: it is neither edited nor signed nor withdrawn."""
    note_id = await drafted(ehr)
    await ehr.deliver(user(CLINICIAN, "clinician", version=2, **state))
    async with ehr.transaction() as session:
        for refused in (
            commands.edit_note(session, note_id, editor_id=CLINICIAN, content=SOAP),
            commands.sign_note(session, note_id, signer_id=CLINICIAN),
            commands.mark_note_as_error(session, note_id, user_id=CLINICIAN, reason="wrong patient"),
        ):
            with pytest.raises(errors.UserMayNotWriteHere):
                await refused
    assert (await note_of(ehr, note_id)).status == "draft"


async def test_a_soap_note_is_edited_by_who_may_write_one(ehr: Workplace) -> None:
    """NursesWriteProgressNotes for an author who has become a nurse; they may still withdraw it."""
    note_id = await drafted(ehr)
    await ehr.deliver(user(CLINICIAN, "nurse", version=2))
    with pytest.raises(errors.NursesWriteProgressNotes):
        async with ehr.transaction() as session:
            await commands.edit_note(session, note_id, editor_id=CLINICIAN, content=SOAP)
    async with ehr.transaction() as session:
        await commands.mark_note_as_error(session, note_id, user_id=CLINICIAN, reason="wrong patient")


async def test_nurses_write_progress_notes(ehr: Workplace) -> None:
    """NursesWriteProgressNotes; their own signature is enough."""
    with pytest.raises(errors.NursesWriteProgressNotes):
        await drafted(ehr, NURSE, SOAP)
    assert (await note_of(ehr, await signed(ehr, NURSE, PROGRESS))).status == "signed"


async def test_a_note_keeps_its_kind(ehr: Workplace) -> None:
    """NoteKeepsItsKind; within it the content changes as a whole."""
    note_id = await drafted(ehr, content=PROGRESS)
    with pytest.raises(errors.NoteKeepsItsKind):
        async with ehr.transaction() as session:
            await commands.edit_note(session, note_id, editor_id=CLINICIAN, content=SOAP)
    async with ehr.transaction() as session:
        await commands.edit_note(session, note_id, editor_id=CLINICIAN, content=Progress(text="slept badly"))
    assert (await note_of(ehr, note_id)).content == {"text": "slept badly"}


async def test_addenda_follow_the_signature(ehr: Workplace) -> None:
    """note.amended for each, with a hash of its own; what was signed stays. Before: AddendumFollowsSigning."""
    note_id = await drafted(ehr)
    with pytest.raises(errors.AddendumFollowsSigning):
        await amended(ehr, note_id, "too early")
    async with ehr.transaction() as session:
        before = (await commands.sign_note(session, note_id, signer_id=CLINICIAN)).content_hash
    await amended(ehr, note_id, "iron too", "and rest")
    note = await note_of(ehr, note_id)
    assert (note.status, note.content_hash, [each.text for each in note.addenda]) == (
        "amended",
        before,
        ["iron too", "and rest"],
    )
    assert [each.content_hash for each in await ehr.published(NoteAmended)] == [each.content_hash for each in note.addenda]
    with pytest.raises(errors.TraineesWriteNoAddenda):
        async with ehr.transaction() as session:
            await commands.add_addendum(session, note_id, author_id=TRAINEE, text="me too")


async def test_entered_in_error_keeps_everything(ehr: Workplace) -> None:
    """The note stays, with its addenda, its hash and the reason; nothing more happens to it. Of a draft nobody hears."""
    note_id = await signed(ehr)
    await amended(ehr, note_id, "iron too")
    with pytest.raises(errors.OnlyAuthorOrClinicianWithdraws):
        async with ehr.transaction() as session:
            await commands.mark_note_as_error(session, note_id, user_id=NURSE, reason="not mine")
    draft = await drafted(ehr)
    for each in (note_id, draft):
        async with ehr.transaction() as session:
            await commands.mark_note_as_error(session, each, user_id=CLINICIAN, reason="wrong patient")
    assert [event.note_id for event in await ehr.published(NoteEnteredInError)] == [note_id]
    note = await note_of(ehr, note_id)
    assert (note.status, note.reason, len(note.addenda), integrity.altered(note)) == (
        "entered_in_error",
        "wrong patient",
        1,
        [],
    )
    with pytest.raises(errors.AddendumFollowsSigning):
        await amended(ehr, note_id, "too late")


async def test_what_is_not_known_yet_is_waited_for(ehr: Workplace) -> None:
    """NotYet for an encounter, a patient or an author of whom nothing was heard."""
    asked = {"author_id": CLINICIAN, "patient_id": PATIENT, "encounter_id": ENCOUNTER, "content": SOAP}
    for name, replica in (
        ("encounter_id", EncounterReference),
        ("patient_id", PatientReference),
        ("author_id", UserReference),
    ):
        with pytest.raises(NotYet) as waits:
            async with ehr.transaction() as session:
                await commands.draft_note(session, **asked | {name: uuid4()})  # type: ignore[arg-type]
        assert waits.value.replica is replica


async def test_a_note_is_about_an_encounter_that_takes_place(ehr: Workplace) -> None:
    """Neither drafted nor signed for one that was cancelled; nor drafted for another patient's, or at another facility."""
    note_id, other = await drafted(ehr), uuid4()
    await ehr.deliver(patient(other))
    for state, broken in (
        (encounter(version=2, patient_id=other), errors.EncounterIsOfAnotherPatient),
        (encounter(version=3, facility_id=ELSEWHERE), errors.EncounterIsAtAnotherFacility),
        (encounter(version=4, status="cancelled"), errors.EncounterDoesNotTakePlace),
    ):
        await ehr.deliver(state)
        with pytest.raises(broken):
            await drafted(ehr)
    with pytest.raises(errors.EncounterDoesNotTakePlace):
        async with ehr.transaction() as session:
            await commands.sign_note(session, note_id, signer_id=CLINICIAN)


async def test_notes_follow_a_chain_of_merges(ehr: Workplace) -> None:
    """Through two merges, whichever arrives first, a note becomes that of whom the patient now stands for."""
    note_id, second, third = await signed(ehr, TRAINEE), uuid4(), uuid4()
    await ehr.deliver(patient(third))
    await ehr.deliver(patient(second, status="merged", merged_into=third))
    await ehr.deliver(patient(version=2, status="merged", merged_into=second))
    merged = {"facility_id": FACILITY, "merged_at": clock.now()}
    await ehr.deliver(PatientMerged(patient_id=second, into_patient_id=third, **merged))
    await ehr.deliver(PatientMerged(patient_id=PATIENT, into_patient_id=second, **merged))
    assert (await note_of(ehr, note_id)).patient_id == third
    async with ehr.transaction() as session:
        await commands.cosign_note(session, note_id, cosigner_id=CLINICIAN)
    assert [event.patient_id for event in await ehr.published(NoteCosigned)] == [third]


async def test_an_erased_users_notes_stay(ehr: Workplace) -> None:
    """Under a bare id, with the reason; drafts, which nobody could sign, are withdrawn. Of a stranger nothing is noted."""
    note_id, draft = await signed(ehr), await drafted(ehr)
    for user_id in (CLINICIAN, uuid4()):
        await ehr.deliver(user(user_id, version=2, status="deleted"))
        await ehr.deliver(UserErased(user_id=user_id, erased_at=clock.now()))
    assert (await note_of(ehr, note_id)).author_id == CLINICIAN
    assert (await note_of(ehr, draft)).status == "entered_in_error"
    async with ehr.transaction() as session:
        assert "GDPR" in (await Retention.seen(session, CLINICIAN)).reason
        assert (await Retention.seen(session, CLINICIAN)).entries == 2
        assert await session.scalar(text("SELECT count(*) FROM retentions")) == 1
        columns = await session.scalars(
            text("SELECT column_name FROM information_schema.columns WHERE table_name = 'user_reference'")
        )
        assert not {"full_name", "email", "phone"} & set(columns)


async def test_what_an_erased_user_only_ended_is_counted(ehr: Workplace) -> None:
    """A problem that they resolved and a note that they withdrew name them too; what names them twice is one entry."""
    for resolved, author_id in (("I10", NURSE), ("E11.9", CLINICIAN)):
        async with ehr.transaction() as session:
            problem = await commands.add_problem(session, patient_id=PATIENT, code=resolved, added_by=author_id)
            await session.flush()
            await commands.resolve_problem(session, problem.problem_id, resolved_by=CLINICIAN)
    for note_id in (await signed(ehr, TRAINEE), await signed(ehr)):
        async with ehr.transaction() as session:
            await commands.mark_note_as_error(session, note_id, user_id=CLINICIAN, reason="wrong patient")
    await ehr.deliver(user(CLINICIAN, version=2, status="deleted"))
    await ehr.deliver(UserErased(user_id=CLINICIAN, erased_at=clock.now()))
    async with ehr.transaction() as session:
        retention = await Retention.seen(session, CLINICIAN)
    assert (retention.entries, retention.entries_at) == (4, {str(FACILITY): 4})


async def test_an_erasure_is_heard_when_nothing_more_can_be_written(ehr: Workplace) -> None:
    """What an erased user writes until then is counted, or withdrawn, like all that was written before."""
    await ehr.arrive(UserErased(user_id=CLINICIAN, erased_at=clock.now()))
    assert [state for state, _ in await ehr.kept()] == ["retrying"]
    draft = await drafted(ehr)
    await ehr.deliver(user(CLINICIAN, version=2, status="deleted"))
    await ehr.retry()
    assert (await note_of(ehr, draft)).status == "entered_in_error"
    assert await ehr.kept() == []
