"""What clinical decides without asking anybody."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import get_args
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker import RuleBroken
from contracts.clinical import EncounterStatus, PatientStatus
from services.clinical import errors, rules

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
TODAY = NOW.date()
FACILITY = uuid4()


@dataclass(frozen=True)
class Record:
    patient_id: UUID
    facility_id: UUID = FACILITY
    status: PatientStatus = "active"


def test_every_state_of_a_patient_says_where_it_leads() -> None:
    """The transition table has a row for each state of the contract, and leads only to such states."""
    states = set(get_args(PatientStatus))
    assert set(rules.PATIENT.moves) == states
    assert set().union(*rules.PATIENT.moves.values()) <= states


def test_every_state_of_an_encounter_says_where_it_leads() -> None:
    """The transition table has a row for each state, and leads only to such states."""
    states = set(get_args(EncounterStatus))
    assert set(rules.ENCOUNTER.moves) == states
    assert set().union(*rules.ENCOUNTER.moves.values()) <= states


@given(st.lists(st.sampled_from(get_args(EncounterStatus)), max_size=8))
def test_an_encounter_that_ended_never_lives_again(asked: list[EncounterStatus]) -> None:
    """Whatever is asked in whatever order, a cancelled or erroneous encounter stays so, and nothing finishes unstarted."""
    status: EncounterStatus = "planned"
    seen: list[EncounterStatus] = [status]
    for to in asked:
        try:
            status = rules.ENCOUNTER.moved(status, to)
        except errors.EncounterCannotBecome:
            continue
        seen.append(status)
    if "finished" in seen:
        assert seen[:4] == ["planned", "arrived", "in_progress", "finished"]
    for end in ("cancelled", "entered_in_error"):
        assert end not in seen[:-1]


def test_an_encounter_cannot_become_what_is_not_drawn() -> None:
    """EncounterCannotBecome, which names the state and what was asked."""
    with pytest.raises(errors.EncounterCannotBecome) as refused:
        rules.ENCOUNTER.moved("finished", "cancelled")
    assert refused.value.facts == {"state": "finished", "asked": "cancelled"}


@given(st.lists(st.sampled_from(get_args(PatientStatus)), max_size=8))
def test_the_dead_do_not_become_active(asked: list[PatientStatus]) -> None:
    """However a patient moves, from deceased they can only be merged."""
    status: PatientStatus = "active"
    for to in asked:
        before = status
        try:
            status = rules.PATIENT.moved(status, to)
        except errors.PatientCannotBecome:
            assert status == before
        else:
            assert before != "deceased" or status == "merged"


def test_patient_cannot_merge_into_themselves() -> None:
    """PatientCannotMergeIntoThemselves."""
    record = Record(uuid4())
    with pytest.raises(errors.PatientCannotMergeIntoThemselves):
        rules.check_merge(record, record)


def test_patients_merge_within_one_facility() -> None:
    """PatientsMergeWithinOneFacility."""
    with pytest.raises(errors.PatientsMergeWithinOneFacility):
        rules.check_merge(Record(uuid4()), Record(uuid4(), facility_id=uuid4()))


def test_merge_target_is_itself_merged() -> None:
    """MergeTargetIsItselfMerged."""
    with pytest.raises(errors.MergeTargetIsItselfMerged):
        rules.check_merge(Record(uuid4()), Record(uuid4(), status="merged"))


@pytest.mark.parametrize("status", ["active", "inactive", "deceased"])
def test_two_records_of_one_facility_merge(status: PatientStatus) -> None:
    """A record merges into any living record of its facility, also of a patient who died."""
    rules.check_merge(Record(uuid4()), Record(uuid4(), status=status))


def test_a_death_is_not_forgotten_by_a_merge() -> None:
    """DeceasedMergesOnlyIntoDeceased: else the record that lives on would be that of somebody alive."""
    living: list[PatientStatus] = ["active", "inactive"]
    for status in living:
        with pytest.raises(errors.DeceasedMergesOnlyIntoDeceased):
            rules.check_merge(Record(uuid4(), status="deceased"), Record(uuid4(), status=status))
    rules.check_merge(Record(uuid4(), status="deceased"), Record(uuid4(), status="deceased"))


def test_merged_patient_is_read_only() -> None:
    """MergedPatientIsReadOnly."""
    with pytest.raises(errors.MergedPatientIsReadOnly):
        rules.check_writable(Record(uuid4(), status="merged"))


def test_an_unmerged_patient_is_what_they_were() -> None:
    """Also inactive; and deceased if they died since. Of a merge before this was remembered: active."""
    assert rules.status_after_unmerge("merged", "active", None) == "active"
    assert rules.status_after_unmerge("merged", "inactive", None) == "inactive"
    assert rules.status_after_unmerge("merged", "inactive", TODAY) == "deceased"
    assert rules.status_after_unmerge("merged", None, None) == "active"


@pytest.mark.parametrize("status", ["active", "inactive", "deceased"])
def test_only_a_merged_patient_can_be_unmerged(status: PatientStatus) -> None:
    """OnlyAMergedPatientCanBeUnmerged."""
    with pytest.raises(errors.OnlyAMergedPatientCanBeUnmerged):
        rules.status_after_unmerge(status, None, None)


def test_nothing_has_happened_in_the_future() -> None:
    """TimeIsInTheFuture, for moments, births and deaths."""
    tomorrow = TODAY + timedelta(days=1)
    with pytest.raises(errors.TimeIsInTheFuture):
        rules.check_happened(NOW + timedelta(seconds=1), NOW)
    with pytest.raises(errors.TimeIsInTheFuture):
        rules.check_birth(tomorrow, TODAY)
    with pytest.raises(errors.TimeIsInTheFuture):
        rules.check_death(tomorrow, date(1950, 1, 1), TODAY)


def test_death_is_not_before_birth() -> None:
    """DeathIsBeforeBirth."""
    with pytest.raises(errors.DeathIsBeforeBirth):
        rules.check_death(date(1949, 12, 31), date(1950, 1, 1), TODAY)
    assert rules.check_death(TODAY, TODAY, TODAY) == TODAY


def test_discharge_is_not_before_the_start() -> None:
    """DischargeIsBeforeTheStart."""
    with pytest.raises(errors.DischargeIsBeforeTheStart):
        rules.check_discharge(NOW - timedelta(hours=2), NOW - timedelta(hours=1), NOW)
    assert rules.check_discharge(NOW, NOW, NOW) == NOW


def test_every_rule_says_itself_in_one_sentence() -> None:
    """The message of each broken rule is the first line of its docstring, ending in a full stop."""
    broken = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, RuleBroken)]
    assert all(str(kind()).endswith(".") for kind in broken if kind is not RuleBroken)
