"""The flags of the CDISC pilot study's laboratory data, where that data is at hand."""

from __future__ import annotations

import csv
import gzip
import os
from collections import Counter
from decimal import Decimal, InvalidOperation
from pathlib import Path

import pytest

from services.lab.rules import Limits, flag_of

NAMES = {None: "NORMAL", "L": "LOW", "H": "HIGH"}


def _data() -> Path:
    given = os.environ.get("NILECARE_TEST_DATA")
    folder = Path(given) if given else Path(__file__).resolve().parents[4] / "shared" / "data"
    return folder / "lab" / "cdisc" / "lb.csv.gz"


def _number(text: str) -> Decimal | None:
    try:
        return Decimal(text)
    except InvalidOperation:
        return None


@pytest.mark.skipif(not _data().exists(), reason="the CDISC data is not here; NILECARE_TEST_DATA says where")
def test_flags_are_those_of_the_cdisc_data() -> None:
    """Every numeric result has the indicator that its range gives, but 318 that a physician called abnormal without one."""
    seen: Counter[tuple[str, str]] = Counter()
    with gzip.open(_data(), "rt", newline="") as file:
        for row in csv.DictReader(file):
            value = _number(row["LBORRES"])
            if value is not None:
                limits = Limits(low=_number(row["LBORNRLO"]), high=_number(row["LBORNRHI"]))
                seen[NAMES[flag_of(value, limits)], row["LBNRIND"]] += 1
    assert sum(count for (ours, theirs), count in seen.items() if ours == theirs) == 58_382
    assert {pair: count for pair, count in seen.items() if pair[0] != pair[1]} == {("NORMAL", "ABNORMAL"): 318}
