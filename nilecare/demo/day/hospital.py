"""A hospital and those who work in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from broker._context import uuid7
from nilecare.demo.day.desk import Colleague, House


@dataclass
class Hospital:
    """Who is asked for what. `wards` are ids by name; `flows` the first flow of each kind, by what it shows."""

    house: House
    facility_id: str
    administrator: Colleague
    staff: dict[str, list[Colleague]]
    wards: dict[str, str] = field(default_factory=dict)
    flows: dict[str, UUID] = field(default_factory=dict)

    def the(self, role: str) -> Colleague:
        """Somebody with this role."""
        return self.staff[role][0]

    def another(self, role: str) -> Colleague:
        """Somebody else with it: a second pair of eyes."""
        return self.staff[role][1]

    def flow(self, shows: str) -> UUID:
        """A new flow; the first of its kind is remembered."""
        flow = uuid7()
        self.flows.setdefault(shows, flow)
        return flow

    async def as_(self, role: str, service: str, path: str, body: Any = None, *, flow: UUID | None = None) -> Any:
        """What somebody with a role is answered when they ask for something to be done."""
        return await self.the(role).ask(service, "POST", path, {} if body is None else body, flow=flow)
