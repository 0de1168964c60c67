"""How likely two records are of one person: the weights of Fellegi and Sunter (A Theory for Record Linkage, 1969).

What two records agree in weighs log2(m / u), what they differ in log2((1 - m) / (1 - u)): m is how often it agrees between two
records of one person, u between records of two. What one of them does not know weighs nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from math import log2
from typing import Literal, Protocol

from broker import LifeCycle
from contracts.clinical import Sex
from services.clinical.errors import DuplicateReviewCannotBecome
from services.clinical.rules.names import jaro_winkler, normalised

ReviewStatus = Literal["open", "confirmed", "dismissed"]

DUPLICATE_REVIEW = LifeCycle[ReviewStatus](
    {"open": {"confirmed", "dismissed"}, "confirmed": set(), "dismissed": set()}, refused=DuplicateReviewCannotBecome
)

AGREES_IN_ONE_PERSON = 0.95
"""m for everything: the start value of the R package reclin2."""

SAME_NAME_BY_CHANCE = 0.02 * 0.005
"""u of a first and a last name together (CMS patient matching specification 3.4.0, table 3)."""

SIMILAR_NAME_BY_CHANCE = 0.03 * 0.01
"""u of both with a slip in them (same table)."""

SAME_BIRTH_DATE_BY_CHANCE = 0.0001
"""u of a full date of birth (same table)."""

SAME_PHONE_BY_CHANCE = 0.000001
"""u of a telephone number (same table)."""

SAME_SEX_BY_CHANCE = 0.5
"""u of one of two."""

SIMILAR_NAME = 0.92
"""From which Jaro–Winkler similarity two names are one with a slip in it: the first level of Splink's NameComparison."""

REVIEW_FROM = log2(1_000_000)
"""From which score a person looks: so strong an agreement happens by chance once among a million patients."""


class Described(Protocol):
    """What is compared of two records."""

    @property
    def full_name(self) -> str: ...
    @property
    def birth_date(self) -> date: ...
    @property
    def sex(self) -> Sex: ...
    @property
    def phone(self) -> str | None: ...


def duplicate_score(one: Described, other: Described) -> float:
    """How much speaks for one person: the sum of the weights."""
    return sum(weights(one, other).values())


def weights(one: Described, other: Described) -> Mapping[str, float]:
    """What each thing that both know weighs."""
    found = {
        "full_name": _name_weight(one.full_name, other.full_name),
        "birth_date": _weight(one.birth_date == other.birth_date, SAME_BIRTH_DATE_BY_CHANCE),
    }
    if "unknown" not in {one.sex, other.sex}:
        found["sex"] = _weight(one.sex == other.sex, SAME_SEX_BY_CHANCE)
    if one.phone is not None and other.phone is not None:
        found["phone"] = _weight(one.phone == other.phone, SAME_PHONE_BY_CHANCE)
    return found


def _name_weight(one: str, other: str) -> float:
    one, other = normalised(one), normalised(other)
    if one != other and jaro_winkler(one, other) >= SIMILAR_NAME:
        return _weight(True, SIMILAR_NAME_BY_CHANCE)
    return _weight(one == other, SAME_NAME_BY_CHANCE)


def _weight(agrees: bool, by_chance: float) -> float:
    if agrees:
        return log2(AGREES_IN_ONE_PERSON / by_chance)
    return log2((1 - AGREES_IN_ONE_PERSON) / (1 - by_chance))
