"""Patients and staff who are made up: the same seed makes up the same ones, of parts that belong to nobody."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import date, timedelta

from nilecare.synthea.generate import FIRST, LAST, STREETS, TOWNS

TODAY = date(2026, 1, 1)
"""Nobody is born after it."""

STAFF = (
    "facility_manager",
    "bed_manager",
    "registrar",
    "clinician",
    "clinician",
    "nurse",
    "trainee",
    "technician",
    "pathologist",
    "lab_manager",
    "billing_clerk",
    "billing_manager",
    "billing_manager",
    "cashier",
    "cashier",
    "privacy_officer",
)
"""Who works in the hospital, by role; two of a kind where four eyes are needed."""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody, and how they are reached."""

    full_name: str
    email: str
    phone: str

    @property
    def secrets(self) -> frozenset[str]:
        """What nobody may read whom it does not concern."""
        return frozenset({*self.full_name.split(), self.email, self.phone})


@dataclass(frozen=True, slots=True)
class Patient(Person):
    """Somebody who comes to the hospital."""

    medical_record_number: str
    birth_date: str
    sex: str
    street: str
    city: str

    @property
    def label(self) -> dict[str, str]:
        """What stands on their samples."""
        return {"medical_record_number": self.medical_record_number, "full_name": self.full_name, "birth_date": self.birth_date}

    @property
    def secrets(self) -> frozenset[str]:
        """What nobody may read who does not treat them, or ask them for money."""
        return frozenset({*self.full_name.split(), self.email, self.phone, self.medical_record_number, self.street})


class Town:
    """Makes up who lives here."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 - it must be repeatable

    def patients(self, count: int) -> list[Patient]:
        """So many patients."""
        return [self._patient(number) for number in range(count)]

    def staff(self) -> list[tuple[str, Person]]:
        """Who works in the hospital, each with the role."""
        return [(role, self._person(self._random.choice("FM"), f"{role}{number}")) for number, role in enumerate(STAFF)]

    def _person(self, sex: str, at: str) -> Person:
        draw = self._random
        first = f"{draw.choice(FIRST[sex])}{draw.randint(1000, 9999)}"
        last = f"{draw.choice(LAST)}{draw.randint(1000, 9999)}"
        phone = f"+2119{draw.randint(10_000_000, 99_999_999)}"
        return Person(f"{first} {last}", f"{first}.{last}@{at.replace('_', '-')}.example".lower(), phone)

    def _patient(self, number: int) -> Patient:
        draw = self._random
        sex = draw.choice("FM")
        person = self._person(sex, "mail")
        return Patient(
            full_name=person.full_name,
            email=person.email,
            phone=person.phone,
            medical_record_number=f"MRN-{draw.randint(100_000, 999_999)}-{number:04d}",
            birth_date=(TODAY - timedelta(days=draw.randint(19 * 365, 85 * 365))).isoformat(),
            sex={"F": "female", "M": "male"}[sex],
            street=f"{draw.randint(1000, 9999)} {draw.choice(STREETS)}",
            city=draw.choice(TOWNS)[0],
        )
