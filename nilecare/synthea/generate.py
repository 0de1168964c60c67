"""A seeded generator of patients in Synthea's own format: the same seed writes the same files, to the last byte.

Names, streets and numbers are put together from parts that belong to nobody.
"""

from __future__ import annotations

import csv
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from uuid import UUID

from nilecare.synthea.columns import COLUMNS
from nilecare.synthea.panels import PANELS, Analyte

Row = dict[str, str]

EPOCH = datetime(2024, 1, 8, 7, 30, tzinfo=UTC)
SICK = 0.15
"""The share of values drawn three times as far out."""

FIRST = {"F": ("Abuk", "Achol", "Adut", "Nyandeng", "Ayen", "Lucia"), "M": ("Akol", "Deng", "Garang", "Majok", "Ladu", "Wani")}
LAST = ("Abednego", "Bulabek", "Chanwai", "Dengdit", "Gatwechi", "Lokujang", "Malithor", "Nyarweng")
STREETS = ("Acacia Walk", "Ferry Road", "Harbour Street", "Kapok Lane", "Papyrus Row", "Tamarind Avenue")
TOWNS = (("Bor Quay", "Jonglei"), ("Kit Bridge", "Equatoria"), ("Sobat Mouth", "Upper Nile"))
FACILITIES = ("NILE BANK HOSPITAL", "SOBAT CLINIC", "WHITE RIVER HEALTH CENTRE")
VISITS = (
    ("ambulatory", "185345009", "Encounter for symptom", "77.49"),
    ("wellness", "162673000", "General examination of patient", "129.16"),
    ("emergency", "50849002", "Emergency room admission", "146.18"),
    ("inpatient", "183452005", "Encounter inpatient", "1172.10"),
)
PROCEDURES = (("430193006", "Medication reconciliation", "388.15"), ("171207006", "Depression screening", "431.40"))
METHODS = ("CASH", "CC", "CHECK", "COPAY", "ECHECK")


@dataclass(slots=True)
class Generator:
    """Writes the files of `patients` patients with about `visits` encounters each."""

    patients: int
    seed: int
    visits: int = 2
    rows: dict[str, list[Row]] = field(default_factory=lambda: {name: [] for name in COLUMNS})
    _random: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)  # noqa: S311 - it must be repeatable

    def write(self, folder: Path) -> dict[str, int]:
        """Writes one CSV file per kind of row into `folder`; gives how many rows each has."""
        self._generate()
        folder.mkdir(parents=True, exist_ok=True)
        for name, columns in COLUMNS.items():
            with (folder / f"{name}.csv").open("w", newline="") as file:
                writer = csv.DictWriter(file, columns, restval="", lineterminator="\n")
                writer.writeheader()
                writer.writerows(self.rows[name])
        return {name: len(rows) for name, rows in self.rows.items()}

    def _generate(self) -> None:
        facilities = [self._facility(name) for name in FACILITIES]
        for number in range(self.patients):
            self._patient(number, self._random.choice(facilities))

    def _id(self) -> str:
        return str(UUID(int=self._random.getrandbits(128), version=4))

    def _facility(self, name: str) -> str:
        town, state = self._random.choice(TOWNS)
        id_ = self._id()
        address = f"{self._random.randint(1, 99)} {self._random.choice(STREETS)}".upper()
        self.rows["organizations"].append({"Id": id_, "NAME": name, "ADDRESS": address, "CITY": town, "STATE": state})
        return id_

    def _patient(self, number: int, facility: str) -> None:
        draw = self._random
        sex = draw.choice("FM")
        town, state = draw.choice(TOWNS)
        born = EPOCH - timedelta(days=draw.randint(19 * 365, 85 * 365))
        patient = self._id()
        self.rows["patients"].append(
            {
                "Id": patient,
                "BIRTHDATE": born.date().isoformat(),
                "SSN": f"999-{draw.randint(10, 99)}-{number:04d}",
                "FIRST": f"{draw.choice(FIRST[sex])}{draw.randint(100, 999)}",
                "LAST": f"{draw.choice(LAST)}{draw.randint(100, 999)}",
                "GENDER": sex,
                "ADDRESS": f"{draw.randint(1, 999)} {draw.choice(STREETS)} Unit {draw.randint(1, 99)}",
                "CITY": town,
                "STATE": state,
            }
        )
        for _ in range(draw.randint(1, 2 * self.visits - 1)):
            self._encounter(patient, facility, EPOCH + timedelta(minutes=draw.randint(0, 300 * 24 * 60)))

    def _encounter(self, patient: str, facility: str, start: datetime) -> None:
        draw = self._random
        kind, code, description, cost = draw.choices(VISITS, weights=(6, 4, 2, 1))[0]
        encounter = self._id()
        stop = start + timedelta(minutes=draw.randint(15, 180))
        self.rows["encounters"].append(
            {
                "Id": encounter,
                "START": _time(start),
                "STOP": _time(stop),
                "PATIENT": patient,
                "ORGANIZATION": facility,
                "ENCOUNTERCLASS": kind,
                "CODE": code,
                "DESCRIPTION": description,
                "BASE_ENCOUNTER_COST": cost,
            }
        )
        for panel in draw.sample(PANELS, draw.randint(0, 2)):
            self.rows["observations"] += [self._observation(patient, encounter, start, analyte) for analyte in panel.analytes]
        self._claim(patient, facility, encounter, start, stop, [(code, description, cost), *self._procedures()])

    def _procedures(self) -> list[tuple[str, str, str]]:
        return self._random.sample(PROCEDURES, self._random.choice((0, 0, 1, 2)))

    def _observation(self, patient: str, encounter: str, at: datetime, analyte: Analyte) -> Row:
        spread = analyte.deviation * (3 if self._random.random() < SICK else 1)
        value = max(self._random.gauss(analyte.mean, spread), 10**-analyte.decimals)
        return {
            "DATE": _time(at),
            "PATIENT": patient,
            "ENCOUNTER": encounter,
            "CATEGORY": "laboratory",
            "CODE": analyte.code,
            "DESCRIPTION": analyte.name,
            "VALUE": f"{value:.{analyte.decimals}f}",
            "UNITS": analyte.unit,
            "TYPE": "numeric",
        }

    def _claim(
        self, patient: str, facility: str, encounter: str, start: datetime, stop: datetime, lines: list[tuple[str, str, str]]
    ) -> None:
        claim = self._id()
        transactions = list(self._transactions(lines))
        owed = sum(Decimal(row.get("AMOUNT", "0")) for row in transactions if row["TYPE"] == "CHARGE")
        paid = sum(Decimal(row.get("PAYMENTS", "0")) for row in transactions if row["TYPE"] == "PAYMENT")
        status = "CLOSED" if owed == paid else "BILLED"
        self.rows["claims"].append(
            {
                "Id": claim,
                "PATIENTID": patient,
                "APPOINTMENTID": encounter,
                "CURRENTILLNESSDATE": _time(start),
                "SERVICEDATE": _time(start),
                "STATUS1": status,
                "STATUSP": status,
                "OUTSTANDING1": str(owed - paid),
                "LASTBILLEDDATE1": _time(stop),
            }
        )
        for number, row in enumerate(transactions):
            common = {
                "ID": self._id(),
                "CLAIMID": claim,
                "CHARGEID": str(number),
                "PATIENTID": patient,
                "FROMDATE": _time(start),
                "TODATE": _time(stop),
                "PLACEOFSERVICE": facility,
                "APPOINTMENTID": encounter,
            }
            self.rows["claims_transactions"].append(common | row)

    def _transactions(self, lines: list[tuple[str, str, str]]) -> Iterator[Row]:
        """A charge per line; most are paid whole, by the insurer and the patient, some in part or not at all."""
        draw = self._random
        for code, note, cost in lines:
            line = {"PROCEDURECODE": code, "NOTES": note, "UNITS": "1"}
            yield {"TYPE": "CHARGE", "AMOUNT": cost, "UNITAMOUNT": cost} | line
            covered = (Decimal(cost) * draw.choice((0, 1, 4, 8, 10)) / 10).quantize(Decimal("0.01"))
            rest = Decimal(cost) - covered
            if covered:
                yield {"TYPE": "PAYMENT", "METHOD": draw.choice(METHODS), "PAYMENTS": str(covered)} | line
            if covered and rest:
                yield {"TYPE": "TRANSFEROUT", "TRANSFERS": str(rest), "OUTSTANDING": str(rest)} | line
                yield {"TYPE": "TRANSFERIN", "AMOUNT": str(rest), "TRANSFERTYPE": "p", "TRANSFERS": str(rest)} | line
            if rest and draw.random() < 0.85:
                yield {"TYPE": "PAYMENT", "METHOD": draw.choice(METHODS), "PAYMENTS": str(rest)} | line


def _time(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")
