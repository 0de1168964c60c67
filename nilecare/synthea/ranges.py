"""Adult reference ranges of the tests that Synthea's patients have most, in its units, with the limits that make a call urgent.

Values in general use in adult medicine (the ABIM's laboratory reference ranges, January 2024; critical limits after CAP
Q-Probes surveys). A test that is not here gets no range, and so no flag.
"""

from __future__ import annotations

from decimal import Decimal

from services.lab.rules import GivenRange, Limits

_ADULT: dict[str, tuple[str | None, str | None, str | None, str | None]] = {
    "2339-0": ("70", "99", "40", "450"),
    "6299-2": ("8", "20", None, "100"),
    "38483-4": ("0.5", "1.3", None, "7.4"),
    "49765-1": ("8.6", "10.2", "6.6", "13"),
    "2947-0": ("136", "145", "120", "158"),
    "6298-4": ("3.5", "5.0", "2.8", "6.2"),
    "2069-3": ("98", "106", "75", "126"),
    "20565-8": ("23", "28", "11", "40"),
    "2093-3": (None, "200", None, None),
    "2571-8": (None, "150", None, None),
    "18262-6": (None, "130", None, None),
    "2085-9": ("40", None, None, None),
    "4548-4": ("4.0", "5.6", None, None),
    "6690-2": ("4.0", "11.0", "2.0", "30"),
    "789-8": ("4.2", "5.9", None, None),
    "718-7": ("12", "17", "7", "20"),
    "4544-3": ("36", "51", "20", "60"),
    "777-3": ("150", "350", "40", "1000"),
}


def ranges_of(code: str) -> list[GivenRange]:
    """The ranges of a LOINC code; none when they are not known."""
    if code not in _ADULT:
        return []
    low, high, danger_low, danger_high = (None if limit is None else Decimal(limit) for limit in _ADULT[code])
    return [GivenRange(limits=Limits(low=low, high=high, danger_low=danger_low, danger_high=danger_high))]
