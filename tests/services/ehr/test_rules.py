"""What the health record decides without asking anybody."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker import RuleBroken
from services.ehr import errors, rules
from services.ehr.rules import Progress, Soap, Writer

SOMEBODY = uuid4()


def writer(*roles: str, active: bool = True) -> Writer:
    return Writer(user_id=SOMEBODY, active=active, roles=frozenset(roles))


@pytest.mark.parametrize(
    ("kind", "roles", "active", "broken"),
    [
        ("soap", ["clinician"], True, None),
        ("soap", ["trainee"], True, None),
        ("soap", ["nurse"], True, errors.NursesWriteProgressNotes),
        ("progress", ["nurse"], True, None),
        ("progress", ["cashier"], True, errors.UserMayNotWriteHere),
        ("progress", [], True, errors.UserMayNotWriteHere),
        ("progress", ["clinician"], False, errors.UserMayNotWriteHere),
    ],
)
def test_who_writes_what(kind: Any, roles: list[str], active: bool, broken: type[Exception] | None) -> None:
    """Clinicians and trainees write both kinds of note, nurses progress notes; nobody else, and no inactive account."""
    assert broken_by(lambda: rules.check_writes(writer(*roles, active=active), kind)) is broken


@pytest.mark.parametrize(
    ("roles", "active", "broken"),
    [
        (["clinician"], True, None),
        (["clinician", "trainee"], True, errors.CosignerMustBeAClinician),
        (["trainee"], True, errors.CosignerMustBeAClinician),
        (["nurse"], True, errors.CosignerMustBeAClinician),
        (["clinician"], False, errors.CosignerMustBeAClinician),
    ],
)
def test_who_cosigns(roles: list[str], active: bool, broken: type[Exception] | None) -> None:
    """A clinician who is no trainee, whatever other role they have; and never the author."""
    cosigner = writer(*roles, active=active)
    assert broken_by(lambda: rules.check_cosigner(uuid4(), cosigner)) is broken
    assert broken_by(lambda: rules.check_cosigner(SOMEBODY, cosigner)) is errors.AuthorCannotCosign


def test_whose_signature_is_enough() -> None:
    """A trainee's is not, whatever other role they have."""
    assert rules.status_when_signed(writer("clinician")) == "signed"
    assert rules.status_when_signed(writer("nurse")) == "signed"
    assert rules.status_when_signed(writer("trainee", "clinician")) == "cosign_required"


@pytest.mark.parametrize(
    ("status", "roles", "broken"),
    [
        ("signed", ["clinician"], None),
        ("amended", ["nurse"], None),
        ("signed", ["trainee"], errors.TraineesWriteNoAddenda),
        ("draft", ["clinician"], errors.AddendumFollowsSigning),
        ("cosign_required", ["clinician"], errors.AddendumFollowsSigning),
        ("entered_in_error", ["clinician"], errors.AddendumFollowsSigning),
    ],
)
def test_when_an_addendum_is_added(status: Any, roles: list[str], broken: type[Exception] | None) -> None:
    """Once the note carries every signature that it needs, by somebody who signs alone."""
    assert broken_by(lambda: rules.check_addendum(status, writer(*roles))) is broken


def test_who_withdraws_a_note() -> None:
    """Its author, or a clinician who is no trainee."""
    assert broken_by(lambda: rules.check_withdraws(SOMEBODY, writer("trainee"))) is None
    assert broken_by(lambda: rules.check_withdraws(uuid4(), writer("clinician"))) is None
    refused = errors.OnlyAuthorOrClinicianWithdraws
    assert broken_by(lambda: rules.check_withdraws(uuid4(), writer("trainee", "clinician"))) is refused
    assert broken_by(lambda: rules.check_withdraws(uuid4(), writer("nurse"))) is refused


def test_what_of_a_note_is_edited() -> None:
    """A draft, by its author, and it stays of its kind."""
    soap, progress = Soap(subjective="", objective="", assessment="", plan=""), Progress(text="x")
    assert broken_by(lambda: rules.check_editable("draft", "soap", soap)) is None
    assert broken_by(lambda: rules.check_editable("draft", "soap", progress)) is errors.NoteKeepsItsKind
    for status in rules.NOTE.moves.keys() - {"draft"}:
        with pytest.raises(errors.OnlyADraftIsEdited):
            rules.check_editable(status, "soap", soap)
    assert broken_by(lambda: rules.check_author(uuid4(), writer("clinician"))) is errors.OnlyTheAuthorEditsAndSigns


def test_what_a_note_is_about() -> None:
    """An encounter of that patient, at that facility, that takes place."""
    patient, facility = uuid4(), uuid4()

    def about(status: str, *, of: Any = patient, at: Any = facility) -> type[Exception] | None:
        encounter: Any = SimpleNamespace(facility_id=at, status=status)
        return broken_by(lambda: rules.check_encounter(encounter, of_patient=of, patient_id=patient, facility_id=facility))

    assert {about(status) for status in ("planned", "arrived", "in_progress", "finished")} == {None}
    assert {about(status) for status in ("cancelled", "entered_in_error")} == {errors.EncounterDoesNotTakePlace}
    assert about("in_progress", of=uuid4()) is errors.EncounterIsOfAnotherPatient
    assert about("in_progress", at=uuid4()) is errors.EncounterIsAtAnotherFacility


def test_a_signature_is_never_taken_back() -> None:
    """From no state does a note become a draft, and what was entered in error stays that."""
    assert all("draft" not in targets for targets in rules.NOTE.moves.values())
    assert rules.NOTE.is_last("entered_in_error")
    with pytest.raises(errors.NoteCannotBecome):
        rules.NOTE.moved("signed", "signed")
    with pytest.raises(errors.ProblemCannotBecome):
        rules.PROBLEM.moved("resolved", "active")


def test_only_what_was_signed_is_verified() -> None:
    """A draft has no signature to be compared with."""
    assert broken_by(lambda: rules.check_signed(None)) is errors.OnlyASignedNoteIsVerified
    signed_at = datetime.now(UTC)
    assert rules.check_signed(signed_at) == signed_at


def test_what_diagnoses_do_to_the_list() -> None:
    """Only a confirmed one is a problem; over, it takes the problem along unless another one still says the same."""
    statuses: list[rules.DiagnosisStatus] = ["provisional", "confirmed", "resolved", "refuted"]
    assert [status for status in statuses if rules.puts_problem_on_list(status)] == ["confirmed"]
    assert [status for status in statuses if rules.ends_problem(status, ["provisional", "refuted"])] == ["resolved", "refuted"]
    assert not any(rules.ends_problem(status, ["refuted", "confirmed"]) for status in statuses)


def test_documents_have_a_limit_and_are_what_they_say() -> None:
    """The limit counts bytes; JSON has to be JSON; a new version says something new."""
    assert rules.check_document("ق" * (rules.LARGEST_DOCUMENT // 2), "text/plain")
    too_large = "ق" * (rules.LARGEST_DOCUMENT // 2) + "x"
    assert broken_by(lambda: rules.check_document(too_large, "text/plain")) is errors.DocumentIsTooLarge
    assert broken_by(lambda: rules.check_document("{", "application/fhir+json")) is errors.ContentIsNotOfItsMediaType
    assert broken_by(lambda: rules.check_document("[" * 99_999, "application/json")) is errors.ContentIsNotOfItsMediaType
    assert broken_by(lambda: rules.check_document("{", "text/plain")) is None
    assert broken_by(lambda: rules.check_new_version("a", "a")) is errors.VersionSaysNothingNew


@given(st.lists(st.integers(0, 3).map(str), min_size=1, max_size=5), st.data())
def test_no_correction_stands_without_what_it_corrects(values: list[str], data: st.DataObject) -> None:
    """Whichever of a result's words have arrived, right before each correction stands the value that it corrected."""
    entries: list[Any] = [
        SimpleNamespace(
            value=value,
            text_value=None,
            flag=None,
            status="corrected" if number else "final",
            resulted_at=datetime(2026, 1, 1 + number, tzinfo=UTC),
            previous_value=values[number - 1] if number else None,
            previous_text_value=None,
        )
        for number, value in enumerate(values)
    ]
    arrived = data.draw(st.sets(st.sampled_from(range(len(values))), min_size=1))
    there = [entries[number] for number in sorted(arrived)]
    shown = rules.predecessors(there)
    if there[-1].status == "corrected":
        assert shown[-1].value == there[-1].previous_value
    else:
        assert shown == []
    if len(arrived) == len(values):
        assert [said.value for said in shown] == values[:-1]


def broken_by(act: Callable[[], object]) -> type[Exception] | None:
    """The rule that it breaks; None when it breaks none."""
    try:
        act()
    except RuleBroken as broken:
        return type(broken)
    return None
