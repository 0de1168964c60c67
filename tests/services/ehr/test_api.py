"""The health record over HTTP: who sees and does what."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import text

from broker import clock
from contracts.auth import UserErased
from services.ehr import commands
from services.ehr.rules import Progress
from tests.services.ehr.given import (
    CLINICIAN,
    COLLEAGUE,
    ELSEWHERE,
    ENCOUNTER,
    FACILITY,
    NURSE,
    PATIENT,
    TRAINEE,
    client,
    correction,
    diagnosis,
    drafted,
    encounter,
    patient,
    result,
    signed,
    user,
)
from tests.services.kit import Workplace

PROGRESS = {"kind": "progress", "text": "slept well"}
SOAP = {"kind": "soap", "subjective": "tired", "objective": "pale", "assessment": "anaemia", "plan": "blood count"}
NOTE = {"patient_id": str(PATIENT), "encounter_id": str(ENCOUNTER), "content": SOAP}
HERE = f"/patients/{PATIENT}"


async def test_a_note_from_its_draft_to_its_addendum(ehr: Workplace) -> None:
    """Drafted, edited and signed by a trainee, cosigned and amended by a clinician, and found intact."""
    async with client(ehr, TRAINEE) as trainee, client(ehr, CLINICIAN) as clinician:
        note = (await trainee.post("/notes", json=NOTE)).json()["note_id"]
        edited = await trainee.put(f"/notes/{note}/content", json=SOAP | {"plan": "iron"})
        assert edited.json()["content"]["plan"] == "iron"
        assert (await trainee.post(f"/notes/{note}/sign")).json()["status"] == "cosign_required"
        [waiting] = (await clinician.get("/notes/awaiting-cosignature")).json()["items"]
        assert waiting["note_id"] == note
        cosigned = (await clinician.post(f"/notes/{note}/cosign")).json()
        assert (cosigned["status"], cosigned["cosignature"]["cosigner_id"]) == ("signed", str(CLINICIAN))
        amended = await clinician.post(f"/notes/{note}/addenda", json={"text": "rest too"})
        assert [each["text"] for each in amended.json()["addenda"]] == ["rest too"]
        verified = (await clinician.get(f"/notes/{note}/integrity")).json()
        assert verified == {"note_id": note, "intact": True, "altered": []}
        withdrawn = await clinician.post(f"/notes/{note}/entered-in-error", json={"reason": "wrong patient"})
        assert (withdrawn.json()["status"], withdrawn.json()["content"]["plan"]) == ("entered_in_error", "iron")


async def test_a_signature_by_old_roles_says_so(ehr: Workplace) -> None:
    """It is made all the same, also while auth says nothing for hours; what nobody's roles decide says nothing."""
    set_back = text(
        "INSERT INTO backbone.replica_mark (replica, as_of, asked_at)"
        " VALUES ('user_reference', now() - CAST(:age AS interval), now())"
        " ON CONFLICT (replica) DO UPDATE SET as_of = excluded.as_of"
    )
    said = []
    async with client(ehr, CLINICIAN) as clinician:
        for age in (timedelta(minutes=50), timedelta(hours=3)):
            async with ehr.transaction() as session:
                await session.execute(set_back, {"age": age})
            note = await drafted(ehr)
            reply = await clinician.post(f"/notes/{note}/sign")
            said.append((reply.status_code, reply.headers.get("X-Stale", "")[:24]))
        assert "X-Stale" not in (await clinician.get(f"/notes/{note}")).headers
    assert said == [(200, ""), (200, "auth user_reference 1080")]


async def test_a_draft_is_its_authors(ehr: Workplace) -> None:
    """Nobody else sees, edits or signs it; the signed note everybody who treats patients here sees."""
    note = await drafted(ehr)
    async with client(ehr, COLLEAGUE) as colleague, client(ehr, CLINICIAN) as author:
        for request in (
            colleague.get(f"/notes/{note}"),
            colleague.get(f"/notes/{note}/integrity"),
            colleague.post(f"/notes/{note}/sign"),
            colleague.put(f"/notes/{note}/content", json=SOAP),
            colleague.post(f"/notes/{note}/entered-in-error", json={"reason": "because"}),
        ):
            assert (await request).status_code == 404
        assert (await colleague.get(f"{HERE}/notes")).json()["items"] == []
        assert len((await author.get(f"{HERE}/notes", params={"status": "draft"})).json()["items"]) == 1
        unsigned = await author.get(f"/notes/{note}/integrity")
        assert unsigned.json()["type"] == "urn:nilecare:rule:OnlyASignedNoteIsVerified"
        await author.post(f"/notes/{note}/sign")
        assert (await colleague.get(f"/notes/{note}")).status_code == 200
        assert (await author.get(f"{HERE}/notes", params={"status": "draft"})).json()["items"] == []


async def test_rules_are_told_by_their_names(ehr: Workplace) -> None:
    """With the status that the rule has, and without a word of what the note says."""
    note = await signed(ehr, TRAINEE)
    async with client(ehr, TRAINEE, "clinician") as trainee, client(ehr, NURSE) as nurse, client(ehr, CLINICIAN) as clinician:
        problem = {"patient_id": str(PATIENT), "code": "I10"}
        await clinician.post("/problems", json=problem)
        refused = {
            "AuthorCannotCosign": (409, await trainee.post(f"/notes/{note}/cosign")),
            "NursesWriteProgressNotes": (403, await nurse.post("/notes", json=NOTE)),
            "AddendumFollowsSigning": (409, await clinician.post(f"/notes/{note}/addenda", json={"text": "x"})),
            "ProblemIsOnTheListAlready": (409, await clinician.post("/problems", json=problem)),
            "OnlyTheAuthorEditsAndSigns": (403, await clinician.put(f"/notes/{note}/content", json=SOAP)),
        }
    for rule, (status, reply) in refused.items():
        assert (reply.status_code, reply.json()["type"]) == (status, f"urn:nilecare:rule:{rule}")
        assert "anaemia" not in reply.text


async def test_a_program_writes_nothing(ehr: Workplace) -> None:
    """OnlyUsersWrite for a token whose subject is no user."""
    async with client(ehr, "loader", "clinician") as program:
        refused = await program.post("/notes", json=NOTE)
    assert (refused.status_code, refused.json()["type"]) == (403, "urn:nilecare:rule:OnlyUsersWrite")


async def test_what_is_not_known_yet(ehr: Workplace) -> None:
    """409 not-yet for a note in an encounter that did not arrive; 404 for a patient whom one only looks for."""
    async with client(ehr, CLINICIAN) as clinician:
        early = await clinician.post("/notes", json=NOTE | {"encounter_id": str(uuid4())})
        assert (early.status_code, early.json()["type"]) == (409, "urn:nilecare:not-yet")
        assert (await clinician.get(f"/patients/{uuid4()}/notes")).status_code == 404


async def test_another_facilitys_record_does_not_exist(ehr: Workplace) -> None:
    """404 for every route on it, and nothing is left behind."""
    note = await signed(ehr)
    asked: list[tuple[str, str, dict[str, Any] | None]] = [
        ("POST", "/notes", NOTE),
        ("GET", f"/notes/{note}", None),
        ("GET", f"/notes/{note}/integrity", None),
        ("POST", f"/notes/{note}/addenda", {"text": "x"}),
        ("POST", "/problems", {"patient_id": str(PATIENT), "code": "I10"}),
        ("POST", "/documents", document(PATIENT)),
        *(("GET", f"{HERE}/{part}", None) for part in ("notes", "problems", "diagnoses", "documents", "results", "encounters")),
    ]
    async with client(ehr, CLINICIAN, at=ELSEWHERE) as stranger:
        replies = [(await stranger.request(method, path, json=body)).status_code for method, path, body in asked]
        assert (await stranger.get("/notes/awaiting-cosignature")).json()["items"] == []
    assert replies == [404] * len(asked)


async def test_roles(ehr: Workplace) -> None:
    """A cashier reads nothing, a nurse cosigns nothing, and what stays of erased users only the privacy officer sees."""
    note = await signed(ehr, TRAINEE)
    async with client(ehr, uuid4(), "cashier") as cashier, client(ehr, NURSE) as nurse, client(ehr, CLINICIAN) as clinician:
        for refused in (
            cashier.get(f"{HERE}/notes"),
            nurse.post(f"/notes/{note}/cosign"),
            nurse.get(f"/notes/{note}/integrity"),
            clinician.get("/retentions"),
        ):
            assert (await refused).status_code == 403
    async with client(ehr, uuid4(), "privacy_officer") as officer:
        assert (await officer.get("/retentions")).json()["items"] == []
        assert (await officer.get(f"/notes/{note}/integrity")).json()["intact"] is True


async def test_what_stays_of_erased_users_is_told_to_the_facility_where_it_is(ehr: Workplace) -> None:
    """How much of it is there, and nothing of those who wrote elsewhere alone; who is responsible for all sees all."""
    there, visit, local = uuid4(), uuid4(), uuid4()
    await ehr.deliver(patient(there, facility_id=ELSEWHERE))
    await ehr.deliver(encounter(visit, patient_id=there, facility_id=ELSEWHERE))
    await ehr.deliver(user(CLINICIAN, "clinician", version=2, at=None))
    await ehr.deliver(user(local, "clinician", at=ELSEWHERE))
    await drafted(ehr)
    for author_id in (CLINICIAN, CLINICIAN, local):
        async with ehr.transaction() as session:
            whose = {"patient_id": there, "encounter_id": visit}
            await commands.draft_note(session, author_id=author_id, content=Progress(text="well"), **whose)
    for user_id in (CLINICIAN, local):
        await ehr.deliver(user(user_id, version=3, status="deleted"))
        await ehr.deliver(UserErased(user_id=user_id, erased_at=clock.now()))
    for at, told in (
        (FACILITY, {CLINICIAN: 1}),
        (ELSEWHERE, {CLINICIAN: 2, local: 1}),
        (uuid4(), {}),
        (None, {CLINICIAN: 3, local: 1}),
    ):
        async with client(ehr, uuid4(), "privacy_officer", at=at) as officer:
            listed = (await officer.get("/retentions")).json()["items"]
        assert {UUID(item["user_id"]): item["entries"] for item in listed} == told


def document(patient_id: UUID, **fields: Any) -> dict[str, Any]:
    """What is asked for to attach a document."""
    return {"patient_id": str(patient_id), "title": "Referral", "media_type": "text/plain", "content": "x"} | fields


async def test_documents_and_their_versions(ehr: Workplace) -> None:
    """The newest is named, every one can be read; one that is too large is refused."""
    async with client(ehr, CLINICIAN) as clinician:
        attached = (await clinician.post("/documents", json=document(PATIENT))).json()
        path = f"/documents/{attached['document_id']}"
        replaced = await clinician.post(f"{path}/versions", json={"media_type": "application/json", "content": "[1]"})
        assert (replaced.status_code, replaced.json()["version"]) == (201, 2)
        assert [(await clinician.get(f"{path}/versions/{number}")).json()["content"] for number in (1, 2)] == ["x", "[1]"]
        assert (await clinician.get(f"{path}/versions/3")).status_code == 404
        assert (await clinician.get(path)).json()["version"] == 2
        assert len((await clinician.get(f"{HERE}/documents")).json()["items"]) == 1
        large = await clinician.post("/documents", json=document(PATIENT, content="x" * 300_000))
    assert (large.status_code, large.json()["type"]) == (413, "urn:nilecare:rule:DocumentIsTooLarge")


async def test_what_others_say_of_a_patient(ehr: Workplace) -> None:
    """Results with their predecessors, diagnoses with their problems, and encounters; merged records' too."""
    survivor, id_ = uuid4(), uuid4()
    await ehr.deliver(result(id_, "6.8", flag="HH"))
    await ehr.deliver(correction(id_, "4.4", before="6.8"))
    await ehr.deliver(diagnosis("confirmed", uuid4()))
    await ehr.deliver(patient(survivor))
    await ehr.deliver(patient(version=2, status="merged", merged_into=survivor))
    async with client(ehr, TRAINEE) as trainee:
        for path in (HERE, f"/patients/{survivor}"):
            [shown] = (await trainee.get(f"{path}/results")).json()["items"]
            assert (shown["current"]["value"], [said["value"] for said in shown["predecessors"]]) == ("4.4", ["6.8"])
            [problem] = (await trainee.get(f"{path}/problems", params={"status": "active"})).json()["items"]
            [found] = (await trainee.get(f"{path}/diagnoses")).json()["items"]
            assert found["problem_id"] == problem["problem_id"]
            [encounter] = (await trainee.get(f"{path}/encounters")).json()["items"]
            assert encounter["encounter_id"] == str(ENCOUNTER)
        resolved = await trainee.post(f"/problems/{problem['problem_id']}/resolve")
    assert (resolved.json()["status"], resolved.json()["resolved_by"]) == ("resolved", str(TRAINEE))
