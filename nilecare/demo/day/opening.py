"""Before the first patient comes: the hospital is founded, its staff register and get their roles, its prices are set."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterable
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from nilecare.demo.day.desk import Colleague, House
from nilecare.demo.day.hospital import Hospital
from nilecare.demo.day.people import Person
from nilecare.demo.day.post import LetterBox
from nilecare.synthea.panels import PANELS
from nilecare.synthea.ranges import ranges_of

WARDS: tuple[tuple[str, dict[str, Any], tuple[tuple[str, str], ...]], ...] = (
    ("Women", {"sex": "female", "capacity": 4}, (("W1", "W1a"), ("W1", "W1b"), ("W2", "W2a"), ("W2", "W2b"))),
    ("Men", {"sex": "male", "capacity": 4}, (("M1", "M1a"), ("M1", "M1b"), ("M2", "M2a"), ("M2", "M2b"))),
    ("Isolation", {"isolation": True, "capacity": 1}, (("I1", "I1a"),)),
)
"""Each ward with what it is, and its beds by room and label. There is one bed to isolate somebody in: the second waits."""

CONSULTATION, SUTURE = "99213", "12001"
"""What a visit costs beside its tests, by CPT code."""

PRICES = {code: panel.price for panel in PANELS for code in (analyte.code for analyte in panel.analytes)} | {
    CONSULTATION: "45.00",
    SUTURE: "120.00",
}


ZONE = "Africa/Juba"
"""Of the hospital, whose days are those of the people in it."""

EVERYWHERE = frozenset({"facility_manager", "lab_manager"})
"""Who works for every hospital: founds them, and keeps the catalogue that they share."""

ENGAGED = "A user registers, gets a role and signs in"
"""What the flow of somebody who is engaged shows."""


class Opening:
    """Opens one hospital. `letters` is where the mail arrives that users prove their addresses with."""

    def __init__(self, house: House, letters: LetterBox, administrator: Colleague) -> None:
        self._house = house
        self._letters = letters
        self._administrator = administrator

    async def open(self, people: Iterable[tuple[str, Person]]) -> Hospital:
        """The hospital, with everybody signed in."""
        facility_id = str(uuid4())
        managers = [(role, person) for role, person in people if role in EVERYWHERE]
        others = [(role, person) for role, person in people if role not in EVERYWHERE]
        hospital = Hospital(self._house, facility_id, self._administrator, staff={})
        await self._engage(managers, None, hospital)
        await self._found(hospital)
        await self._engage(others, facility_id, hospital)
        await asyncio.gather(self._furnish(hospital), self._list_tests(hospital), self._price(hospital))
        return hospital

    async def _engage(self, people: Iterable[tuple[str, Person]], facility_id: str | None, hospital: Hospital) -> None:
        engaging = (self._engaged(role, person, facility_id, hospital.flow(ENGAGED)) for role, person in people)
        for colleague in await asyncio.gather(*engaging):
            hospital.staff.setdefault(colleague.role, []).append(colleague)

    async def _engaged(self, role: str, person: Person, facility_id: str | None, flow: UUID) -> Colleague:
        """Somebody new registers, proves the address with the code in the mail, and gets the role."""
        colleague = Colleague(self._house, person.email, secrets.token_urlsafe(18), role)
        asked = {"email": person.email, "password": colleague.password, "full_name": person.full_name, "phone": person.phone}
        await colleague.ask("auth", "POST", "/register", asked, flow=flow)
        code = {"code": await self._letters.code_for(person.email)}
        verified = await colleague.ask("auth", "POST", "/verify", code, flow=flow)
        grant = {"role": role, "facility_id": facility_id}
        await self._administrator.ask("auth", "POST", f"/users/{verified['user_id']}/roles", grant, flow=flow)
        await colleague.sign_in(flow=flow)
        return colleague

    async def _found(self, hospital: Hospital) -> None:
        asked = {"name": "Nile Bank Hospital", "kind": "hospital", "time_zone": ZONE, "currency": "USD"}
        await hospital.the("facility_manager").ask("facility", "PUT", f"/facilities/{hospital.facility_id}", asked)

    async def _furnish(self, hospital: Hospital) -> None:
        at = f"/facilities/{hospital.facility_id}/departments"
        department = await hospital.as_("facility_manager", "facility", at, {"name": "Medicine"})
        for name, said, beds in WARDS:
            path = f"/departments/{department['department_id']}/wards"
            ward = await hospital.as_("facility_manager", "facility", path, {"name": name, **said})
            hospital.wards[name] = ward["ward_id"]
            for room, label in beds:
                bed = {"room": room, "label": label}
                await hospital.as_("facility_manager", "facility", f"/wards/{ward['ward_id']}/beds", bed)

    async def _list_tests(self, hospital: Hospital) -> None:
        for panel in PANELS:
            for analyte in panel.analytes:
                ranges = [_shown(given.limits) for given in ranges_of(analyte.code)]
                asked = {"name": analyte.name, "unit": analyte.unit, "ranges": ranges}
                await hospital.the("lab_manager").ask("lab", "PUT", f"/lab-tests/{analyte.code}", asked)

    async def _price(self, hospital: Hospital) -> None:
        for code, amount in PRICES.items():
            asked = {
                "facility_id": hospital.facility_id,
                "code": code,
                "price": {"amount": amount, "currency": "USD"},
                "effective_from": "2020-01-01",
            }
            await hospital.the("billing_manager").ask("billing", "PUT", "/prices", asked)


def _shown(limits: Any) -> dict[str, str]:
    named = ((name, getattr(limits, name)) for name in ("low", "high", "danger_low", "danger_high"))
    return {name: str(limit) for name, limit in named if isinstance(limit, Decimal)}
