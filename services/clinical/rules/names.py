"""How alike two names are."""

from __future__ import annotations

import re
import unicodedata
from itertools import takewhile

PREFIX, SCALE = 4, 0.1
"""How many letters of a common beginning count, and how much each (Winkler 1990)."""


def normalised(name: str) -> str:
    """A name as it is compared: without case, accents and punctuation, its parts in the order of the alphabet."""
    letters = unicodedata.normalize("NFKD", name.casefold())
    return " ".join(sorted(re.findall(r"\w+", "".join(letter for letter in letters if not unicodedata.combining(letter)))))


def jaro_winkler(one: str, other: str) -> float:
    """How alike two texts are, from 0 to 1; a common beginning counts more."""
    jaro = _jaro(one, other)
    beginning = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one[:PREFIX], other[:PREFIX], strict=False)))
    return jaro + beginning * SCALE * (1 - jaro)


def _jaro(one: str, other: str) -> float:
    """Jaro (1989): the letters found in both at nearly the same place, less those that changed places."""
    reach = max(len(one), len(other)) // 2 - 1
    matched: list[str] = []
    taken: set[int] = set()
    for index, letter in enumerate(one):
        near = range(max(0, index - reach), min(len(other), index + reach + 1))
        place = next((place for place in near if other[place] == letter and place not in taken), None)
        if place is not None:
            matched.append(letter)
            taken.add(place)
    if not matched:
        return float(one == other)
    swapped = sum(letter != other[place] for letter, place in zip(matched, sorted(taken), strict=True)) / 2
    found = len(matched)
    return (found / len(one) + found / len(other) + (found - swapped) / found) / 3
