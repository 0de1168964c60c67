"""What begins first is what the list says: a file that moved away would begin last, and be waited for."""

from __future__ import annotations

from pathlib import Path

from tests.distribution import LONGEST

ROOT = Path(__file__).parents[2]


def test_what_takes_longest_is_there() -> None:
    """Each file and folder that begins first is one of the project's."""
    places = [place for piece in LONGEST for place in piece]
    assert [place for place in places if not (ROOT / place).exists()] == []
    assert len(places) == len(set(places))
