"""The generator writes Synthea's format, and the same files for the same seed."""

from __future__ import annotations

import csv
from collections import defaultdict
from decimal import Decimal
from pathlib import Path

from nilecare.synthea.columns import COLUMNS
from nilecare.synthea.generate import Generator


def rows(folder: Path, name: str) -> list[dict[str, str]]:
    """The rows of one file."""
    with (folder / f"{name}.csv").open() as file:
        return list(csv.DictReader(file))


def test_the_same_seed_writes_the_same_files(tmp_path: Path) -> None:
    """A demo can be repeated to the last cent; another seed gives other patients."""
    for folder, seed in (("one", 7), ("two", 7), ("three", 8)):
        Generator(patients=5, seed=seed).write(tmp_path / folder)
    contents = [[(tmp_path / folder / f"{name}.csv").read_bytes() for name in COLUMNS] for folder in ("one", "two", "three")]
    assert contents[0] == contents[1]
    assert contents[0] != contents[2]


def test_every_reference_leads_somewhere(tmp_path: Path) -> None:
    """Encounters have patients and facilities, observations and claims have encounters, transactions have claims."""
    Generator(patients=20, seed=1).write(tmp_path)
    ids = {name: {row["Id"] for row in rows(tmp_path, name)} for name in ("patients", "organizations", "encounters", "claims")}
    assert {row["PATIENT"] for row in rows(tmp_path, "encounters")} == ids["patients"]
    assert {row["ORGANIZATION"] for row in rows(tmp_path, "encounters")} <= ids["organizations"]
    assert {row["ENCOUNTER"] for row in rows(tmp_path, "observations")} <= ids["encounters"]
    assert {row["APPOINTMENTID"] for row in rows(tmp_path, "claims")} == ids["encounters"]
    assert {row["CLAIMID"] for row in rows(tmp_path, "claims_transactions")} == ids["claims"]


def test_some_claims_are_paid_and_some_stay_open_and_none_is_overpaid(tmp_path: Path) -> None:
    """Charges minus payments is never below zero, and both cases occur."""
    Generator(patients=40, seed=1).write(tmp_path)
    open_: defaultdict[str, Decimal] = defaultdict(Decimal)
    for row in rows(tmp_path, "claims_transactions"):
        if row["TYPE"] == "CHARGE":
            open_[row["CLAIMID"]] += Decimal(row["AMOUNT"])
        elif row["TYPE"] == "PAYMENT":
            open_[row["CLAIMID"]] -= Decimal(row["PAYMENTS"])
    assert min(open_.values()) == 0
    assert max(open_.values()) > 0
