"""Problems, documents and results on a real database."""

from __future__ import annotations

from decimal import Decimal
from hashlib import sha256
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError

from broker import clock
from contracts.clinical import PatientMerged, PatientUnmerged
from contracts.ehr import EhrDocumentAttached, ProblemAdded, ProblemResolved
from services.ehr import commands, errors
from services.ehr.app import service
from services.ehr.commands import Attachment
from services.ehr.tables import DocumentVersion, Problem, Result
from tests.services.ehr.given import (
    CLINICIAN,
    ENCOUNTER,
    FACILITY,
    PATIENT,
    correction,
    diagnosis,
    encounter,
    patient,
    result,
    user,
)
from tests.services.kit import Workplace


async def problems(ehr: Workplace) -> list[Problem]:
    async with ehr.transaction() as session:
        return list(await session.scalars(select(Problem).order_by(Problem.added_at)))


async def added(ehr: Workplace, code: str, *, patient_id: UUID = PATIENT) -> UUID:
    async with ehr.transaction() as session:
        problem = await commands.add_problem(session, patient_id=patient_id, code=code, added_by=CLINICIAN)
    return problem.problem_id


async def test_a_problem_is_on_the_list_once(ehr: Workplace) -> None:
    """ProblemIsOnTheListAlready until it is resolved, once; then it may come back."""
    problem_id = await added(ehr, "I10")
    with pytest.raises(errors.ProblemIsOnTheListAlready):
        await added(ehr, "I10")
    async with ehr.transaction() as session:
        await commands.resolve_problem(session, problem_id, resolved_by=CLINICIAN)
    with pytest.raises(errors.ProblemCannotBecome):
        async with ehr.transaction() as session:
            await commands.resolve_problem(session, problem_id, resolved_by=CLINICIAN)
    again = await added(ehr, "I10")
    assert [event.problem_id for event in await ehr.published(ProblemAdded)] == [problem_id, again]
    assert [event.problem_id for event in await ehr.published(ProblemResolved)] == [problem_id]


async def test_who_keeps_the_list(ehr: Workplace) -> None:
    """UserMayNotWriteHere for somebody without a role that writes here."""
    await ehr.deliver(user(CLINICIAN, "cashier", version=2))
    with pytest.raises(errors.UserMayNotWriteHere):
        await added(ehr, "I10")


@pytest.mark.parametrize("over", ["resolved", "refuted"])
async def test_a_confirmed_diagnosis_is_a_problem_once(ehr: Workplace, over: str) -> None:
    """Not while it is provisional, and once however often it is confirmed; when it is over, so is the problem."""
    id_ = uuid4()
    await ehr.deliver(diagnosis("provisional", id_))
    assert await problems(ehr) == []
    await ehr.deliver(diagnosis("confirmed", id_))
    await ehr.deliver(diagnosis("confirmed", id_))
    [problem] = await problems(ehr)
    assert (problem.status, problem.code, problem.added_by) == ("active", "D50.9", None)
    await ehr.deliver(diagnosis(over, id_))
    await ehr.deliver(diagnosis("confirmed", id_))
    [problem] = await problems(ehr)
    assert problem.status == "resolved"
    assert len(await ehr.published(ProblemAdded)) == len(await ehr.published(ProblemResolved)) == 1


async def test_two_diagnoses_of_one_problem(ehr: Workplace) -> None:
    """Both stand for the one that is on the list already; it is over when neither says so any more."""
    await added(ehr, "D50.9")
    one, other = uuid4(), uuid4()
    for id_ in (one, other):
        await ehr.deliver(diagnosis("confirmed", id_))
    await ehr.deliver(diagnosis("refuted", one))
    assert [problem.status for problem in await problems(ehr)] == ["active"]
    await ehr.deliver(diagnosis("resolved", other))
    assert [problem.status for problem in await problems(ehr)] == ["resolved"]


async def test_a_problem_that_somebody_resolved_is_not_resolved_again(ehr: Workplace) -> None:
    """The diagnosis that put it there ends later, and nothing happens."""
    id_ = uuid4()
    await ehr.deliver(diagnosis("confirmed", id_))
    [problem] = await problems(ehr)
    async with ehr.transaction() as session:
        await commands.resolve_problem(session, problem.problem_id, resolved_by=CLINICIAN)
    await ehr.deliver(diagnosis("resolved", id_))
    assert len(await ehr.published(ProblemResolved)) == 1


async def test_versions_of_a_document_stay(ehr: Workplace) -> None:
    """Each with its size and hash; a new one says something new, and no statement changes or deletes an old one."""
    async with ehr.transaction() as session:
        document = await commands.attach_document(
            session,
            patient_id=PATIENT,
            encounter_id=ENCOUNTER,
            title="Referral",
            attachment=Attachment(media_type="text/plain", content="née"),
            attached_by=CLINICIAN,
        )
    document_id = document.document_id
    same, new = (Attachment(media_type="application/json", content=content) for content in ("née", '{"a": 1.0}'))
    with pytest.raises(errors.ContentIsNotOfItsMediaType):
        await version(ehr, document_id, same)
    with pytest.raises(errors.VersionSaysNothingNew):
        await version(ehr, document_id, Attachment(media_type="text/markdown", content="née"))
    await version(ehr, document_id, new)
    async with ehr.transaction() as session:
        first, second = [await DocumentVersion.seen(session, (document_id, number)) for number in (1, 2)]
    assert (first.content, first.size, first.content_hash) == ("née", 4, sha256("née".encode()).hexdigest())
    assert (second.content, second.size) == ('{"a": 1.0}', 10)
    assert [event.version for event in await ehr.published(EhrDocumentAttached)] == [1, 2]
    for statement in ("UPDATE clinical_document_versions SET content = ''", "DELETE FROM clinical_document_versions"):
        with pytest.raises(IntegrityError, match="keeps it as it is"):
            async with ehr.transaction() as session:
                await session.execute(text(statement))


async def version(ehr: Workplace, document_id: UUID, attachment: Attachment) -> None:
    async with ehr.transaction() as session:
        await commands.add_version(session, document_id, attachment=attachment, attached_by=CLINICIAN)


async def test_a_document_is_about_an_encounter_that_takes_place(ehr: Workplace) -> None:
    """As a note is; one about no encounter is about the patient alone."""
    await ehr.deliver(encounter(version=2, status="cancelled"))
    asked = {"title": "Referral", "attachment": Attachment(media_type="text/plain", content="x"), "attached_by": CLINICIAN}
    with pytest.raises(errors.EncounterDoesNotTakePlace):
        async with ehr.transaction() as session:
            await commands.attach_document(session, patient_id=PATIENT, encounter_id=ENCOUNTER, **asked)  # type: ignore[arg-type]
    async with ehr.transaction() as session:
        await commands.attach_document(session, patient_id=PATIENT, **asked)  # type: ignore[arg-type]


async def shown(ehr: Workplace, result_id: UUID) -> Result:
    async with ehr.transaction() as session:
        return await Result.seen(session, result_id)


async def test_a_corrected_result_is_shown_with_its_predecessor(ehr: Workplace) -> None:
    """Through two corrections, in their order, each as it was flagged then."""
    id_ = uuid4()
    await ehr.deliver(result(id_, "6.8", flag="HH", is_critical=True))
    await ehr.deliver(correction(id_, "5.3", before="6.8", flag="H"))
    await ehr.deliver(correction(id_, "4.4", before="5.3", hours=2))
    both = await shown(ehr, id_)
    assert (both.current.value, both.current.status, both.current.reason) == (Decimal("4.4"), "corrected", "haemolysed")
    assert [(said.value, said.flag) for said in both.predecessors] == [(Decimal("6.8"), "HH"), (Decimal("5.3"), "H")]


async def test_a_correction_that_arrives_first_is_shown_with_its_predecessor(ehr: Workplace) -> None:
    """As far as the correction tells of it; the result itself then takes that place, and not the correction's."""
    id_ = uuid4()
    await ehr.deliver(correction(id_, "4.4", before="6.8"))
    early = await shown(ehr, id_)
    assert [(said.value, said.resulted_at) for said in early.predecessors] == [(Decimal("6.8"), None)]
    await ehr.deliver(result(id_, "6.8", flag="HH"))
    late = await shown(ehr, id_)
    assert late.current.value == Decimal("4.4")
    assert [(said.value, said.flag) for said in late.predecessors] == [(Decimal("6.8"), "HH")]


async def test_a_result_for_a_patient_not_heard_of_waits(ehr: Workplace) -> None:
    """It is kept, and entered as soon as the patient's reference arrives."""
    stranger, id_ = uuid4(), uuid4()
    await ehr.arrive(result(id_, "4.4", patient_id=stranger))
    assert await ehr.kept() == [("waiting", str(stranger))]
    await ehr.arrive(patient(stranger))
    await ehr.retry()
    assert (await shown(ehr, id_)).patient_id == stranger


async def test_all_that_is_there_follows_a_merge(ehr: Workplace) -> None:
    """Problems, diagnoses, documents and results belong to the one that lives on, as does what comes later."""
    survivor, id_ = uuid4(), uuid4()
    await ehr.deliver(result(id_, "6.8"))
    await ehr.deliver(diagnosis("confirmed", uuid4()))
    await ehr.deliver(patient(survivor))
    await ehr.deliver(patient(version=2, status="merged", merged_into=survivor))
    await ehr.deliver(PatientMerged(patient_id=PATIENT, into_patient_id=survivor, facility_id=FACILITY, merged_at=clock.now()))
    await ehr.deliver(correction(id_, "4.4", before="6.8"))
    later = uuid4()
    await ehr.deliver(result(later, "4.1"))
    assert {(await shown(ehr, each)).patient_id for each in (id_, later)} == {survivor}
    with pytest.raises(errors.ProblemIsOnTheListAlready):
        await added(ehr, "D50.9")
    assert {problem.patient_id for problem in await problems(ehr)} == {survivor}


async def test_a_merge_that_is_taken_back_gives_the_record_back(ehr: Workplace) -> None:
    """What was recorded for the patient is theirs again, and nobody else's; what came for the other one stays there."""
    other, mine, theirs = uuid4(), uuid4(), uuid4()
    whose = {"patient_id": PATIENT, "facility_id": FACILITY}
    await ehr.deliver(result(mine, "6.8"))
    await ehr.deliver(diagnosis("confirmed", uuid4()))
    await ehr.deliver(patient(other))
    await ehr.deliver(patient(version=2, status="merged", merged_into=other))
    await ehr.deliver(PatientMerged(into_patient_id=other, merged_at=clock.now(), **whose))
    await ehr.deliver(result(theirs, "4.1", patient_id=other))
    await ehr.deliver(patient(version=3))
    await ehr.deliver(PatientUnmerged(from_patient_id=other, unmerged_at=clock.now(), **whose))
    assert [(await shown(ehr, each)).patient_id for each in (mine, theirs)] == [PATIENT, other]
    assert {problem.patient_id for problem in await problems(ehr)} == {PATIENT}
    reader = ehr.client("clinician", at=FACILITY)
    for patient_id, expected in ((PATIENT, mine), (other, theirs)):
        listed = (await reader.get(f"/patients/{patient_id}/results")).json()["items"]
        assert [entry["result_id"] for entry in listed] == [str(expected)]


OTHER = uuid4()


async def merged(ehr: Workplace) -> None:
    """Clinical's words on a merge of the patient: the state, and that it happened."""
    await ehr.deliver(patient(OTHER))
    await ehr.deliver(patient(version=2, status="merged", merged_into=OTHER))
    await ehr.deliver(PatientMerged(patient_id=PATIENT, into_patient_id=OTHER, facility_id=FACILITY, merged_at=clock.now()))


async def unmerged(ehr: Workplace, *, state_first: bool = True) -> None:
    """Clinical's words on that merge being taken back, of which either may be heard first."""
    state = patient(version=3)
    said = PatientUnmerged(patient_id=PATIENT, from_patient_id=OTHER, facility_id=FACILITY, unmerged_at=clock.now())
    for event in (state, said) if state_first else (said, state):
        await ehr.deliver(event)


async def lists(ehr: Workplace) -> list[list[tuple[str, str]]]:
    """What is on the patient's list of problems, and what on that of the other: code and state."""
    reader = ehr.client("clinician", at=FACILITY)
    found = []
    for patient_id in (PATIENT, OTHER):
        problems = (await reader.get(f"/patients/{patient_id}/problems")).json()["items"]
        assert {problem["patient_id"] for problem in problems} <= {str(patient_id)}
        found.append(sorted((problem["code"], problem["status"]) for problem in problems))
    return found


async def test_what_is_recorded_under_a_merged_id_is_given_back(ehr: Workplace) -> None:
    """A problem that somebody added, and one that a diagnosis put on the list, go with the id that was named."""
    await merged(ehr)
    await added(ehr, "I10")
    await ehr.deliver(diagnosis("confirmed", uuid4(), patient_id=OTHER, recorded_for=PATIENT))
    assert {problem.patient_id for problem in await problems(ehr)} == {OTHER}
    await unmerged(ehr)
    assert await lists(ehr) == [[("D50.9", "active"), ("I10", "active")], []]


@pytest.mark.parametrize("late", [False, True])
async def test_a_result_is_whose_the_test_was_ordered_for(ehr: Workplace, late: bool) -> None:
    """Said while the two were one, it is given back with the record; so it is where it is heard after they are two again."""
    id_ = uuid4()
    said = result(id_, "6.8", patient_id=OTHER, recorded_for=PATIENT)
    await merged(ehr)
    if not late:
        await ehr.deliver(said)
        assert (await shown(ehr, id_)).patient_id == OTHER
    await unmerged(ehr)
    if late:
        await ehr.deliver(said)
    assert (await shown(ehr, id_)).patient_id == PATIENT


async def test_a_diagnosis_heard_of_late_is_whose_it_was_recorded_for(ehr: Workplace) -> None:
    """Clinical said it while the two were one; it is heard after they are two again."""
    await merged(ehr)
    await unmerged(ehr)
    await ehr.deliver(diagnosis("confirmed", uuid4(), patient_id=OTHER, recorded_for=PATIENT))
    assert await lists(ehr) == [[("D50.9", "active")], []]


async def test_a_problem_that_both_had_stays_twice(ehr: Workplace) -> None:
    """A merge changes no entry, so that it can be taken back: each is resolved by itself, and a third is refused."""
    mine = await added(ehr, "I10")
    await ehr.deliver(patient(OTHER))
    await added(ehr, "I10", patient_id=OTHER)
    await merged(ehr)
    assert [(problem.patient_id, problem.status) for problem in await problems(ehr)] == [(OTHER, "active")] * 2
    with pytest.raises(errors.ProblemIsOnTheListAlready):
        await added(ehr, "I10")
    async with ehr.transaction() as session:
        await commands.resolve_problem(session, mine, resolved_by=CLINICIAN)
    await unmerged(ehr)
    assert await lists(ehr) == [[("I10", "resolved")], [("I10", "active")]]


@pytest.mark.parametrize("state_first", [True, False])
@pytest.mark.parametrize(("had", "came"), [(PATIENT, OTHER), (OTHER, PATIENT)])
async def test_one_problem_of_two_patients_is_two(ehr: Workplace, had: UUID, came: UUID, state_first: bool) -> None:
    """What was one problem while they were one patient is on the lists of both when each has a diagnosis of it."""
    await ehr.deliver(patient(OTHER))
    await ehr.deliver(diagnosis("confirmed", uuid4(), patient_id=had))
    await merged(ehr)
    await ehr.deliver(diagnosis("confirmed", uuid4(), patient_id=OTHER, recorded_for=came))
    assert len(await problems(ehr)) == 1
    await unmerged(ehr, state_first=state_first)
    assert await lists(ehr) == [[("D50.9", "active")]] * 2
    assert len(await ehr.published(ProblemAdded)) == 2


async def test_a_problem_that_only_the_other_still_has_is_theirs_alone(ehr: Workplace) -> None:
    """While they were one, the other's diagnosis kept it on the list; parted, the patient's own no longer does."""
    mine = uuid4()
    await ehr.deliver(diagnosis("confirmed", mine))
    await merged(ehr)
    await ehr.deliver(diagnosis("confirmed", uuid4(), patient_id=OTHER, recorded_for=OTHER))
    await ehr.deliver(diagnosis("refuted", mine, patient_id=OTHER, recorded_for=PATIENT))
    assert [problem.status for problem in await problems(ehr)] == ["active"]
    await unmerged(ehr)
    assert await lists(ehr) == [[("D50.9", "resolved")], [("D50.9", "active")]]


def test_merges_and_what_takes_them_back_come_in_one_queue() -> None:
    """Else a merge that is heard of late would move the record once more."""
    [follows] = [subscription for subscription in service.subscriptions if subscription.contract("patient.merged")]
    assert follows.contract("patient.unmerged") is not None
