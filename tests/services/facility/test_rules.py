"""Which bed is fit for whom, and which states follow which."""

from __future__ import annotations

from typing import get_args

import pytest

from contracts.clinical import Sex
from contracts.facility import BedStatus
from services.facility import rules
from services.facility.errors import (
    BedCannotBecome,
    IsolatedPatientLiesAlone,
    NobodyLiesBesideAnIsolatedPatient,
    WardIsForAnotherSex,
)
from services.facility.rules import Need, Place, WardSex


def place(sex: WardSex = "mixed", **given: object) -> Place:
    return Place(**{"ward_sex": sex, "ward_isolation": False, "is_single": False, **given})  # type: ignore[arg-type]


@pytest.mark.parametrize("status", get_args(BedStatus))
def test_a_bed_moves_only_as_drawn(status: BedStatus) -> None:
    """Available, reserved, occupied, cleaning, available; out of service from where nobody has it; the rest names the state."""
    drawn = {
        "available": {"reserved", "maintenance", "blocked"},
        "reserved": {"occupied", "available"},
        "occupied": {"cleaning"},
        "cleaning": {"available", "maintenance", "blocked"},
        "maintenance": {"available"},
        "blocked": {"available"},
    }
    for to in get_args(BedStatus):
        if to in drawn[status]:
            assert rules.BED.moved(status, to) == to
        else:
            with pytest.raises(BedCannotBecome, match=f"state={status}, asked={to}"):
                rules.BED.moved(status, to)


@pytest.mark.parametrize(
    ("ward", "lets_in"),
    [("female", {"female"}), ("male", {"male"}), ("mixed", {"female", "male", "other", "unknown"})],
)
def test_a_ward_is_for_one_sex_or_for_all(ward: WardSex, lets_in: set[Sex]) -> None:
    """A shared room takes the sex that its ward is for; a mixed ward takes everybody."""
    fit = {sex for sex in get_args(Sex) if rules.is_fit(Need(sex=sex, isolation=False), place(ward))}
    assert fit == lets_in
    with pytest.raises(WardIsForAnotherSex):
        rules.check_fit(Need(sex="other", isolation=False), place("female"))


@pytest.mark.parametrize("sex", ["other", "unknown"])
def test_a_single_room_takes_other_and_unknown_sexes(sex: Sex) -> None:
    """In any ward; but not the sex that the ward is not for."""
    assert rules.is_fit(Need(sex=sex, isolation=False), place("female", is_single=True))
    assert not rules.is_fit(Need(sex="male", isolation=False), place("female", is_single=True))


@pytest.mark.parametrize(
    ("where", "fit"),
    [
        (place(), False),
        (place(is_single=True), True),
        (place(ward_isolation=True), True),
        (place(ward_isolation=True, taken_beside=1), False),
    ],
)
def test_an_isolated_patient_lies_alone(where: Place, fit: bool) -> None:
    """In a single room, or in a ward that is equipped for it with nobody else in the room."""
    need = Need(sex="female", isolation=True)
    assert rules.is_fit(need, where) is fit
    if not fit:
        with pytest.raises(IsolatedPatientLiesAlone):
            rules.check_fit(need, where)


def test_nobody_lies_beside_an_isolated_patient() -> None:
    """The other beds of the room are for nobody."""
    with pytest.raises(NobodyLiesBesideAnIsolatedPatient):
        rules.check_fit(Need(sex="female", isolation=False), place(ward_isolation=True, taken_beside=1, isolated_beside=True))


@pytest.mark.parametrize(
    ("beds", "full"),
    [
        ([], False),
        (["blocked"], False),
        (["occupied", "available"], False),
        (["occupied", "cleaning"], False),
        (["occupied", "reserved", "blocked", "maintenance"], True),
    ],
)
def test_a_ward_is_full_when_every_bed_in_service_is_taken(beds: list[BedStatus], full: bool) -> None:
    """A bed that is cleaned is soon free; one out of service does not count."""
    assert rules.is_full(beds) is full
