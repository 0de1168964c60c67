"""What is looked for in a flow: events that are published, rows that replicas get."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar
from uuid import UUID

from broker._replicas import Replica
from broker._sight import Said, Sight
from broker.testing.deployment import Deployment
from contracts.event import Event

E = TypeVar("E", bound=Event)


@dataclass(frozen=True, slots=True)
class Published(Generic[E]):
    """An event that a service published, and the message it travelled in."""

    event: E
    id: UUID
    service: str


class UnderWay(Protocol):
    """The flow in which something is looked for."""

    deployment: Deployment

    async def until(self, holds: Callable[[Sight], Awaitable[Any | None]], wanted: str, seen: Callable[[], str] = str) -> Any:
        """What `holds` gives as soon as that is not None; fails when it never will, and tells what was seen last."""

    def expect(self, publications: Publications[Any], times: int) -> None:
        """Says how many of these there are in the end."""


class Publications(Generic[E]):
    """The events of one contract in a flow. Printed, it says which."""

    def __init__(self, started: UnderWay, contract: type[E], by: str | None, fields: dict[str, object]) -> None:
        unknown = fields.keys() - contract.model_fields.keys()
        if unknown:
            raise TypeError(f"{contract.__name__} has no field {', '.join(sorted(unknown))}")
        for name, value in fields.items():
            kind = contract.model_fields[name].annotation
            if isinstance(kind, type) and not isinstance(value, kind):
                raise TypeError(f"{name} of {contract.__name__} is a {kind.__name__}, and never {value!r}")
        self._started, self._contract, self._by, self._fields = started, contract, by, fields

    def __str__(self) -> str:
        by = f" by {self._by}" if self._by else ""
        fields = ", ".join(self._fields)
        return f"{self._contract.contract.name}{by}{f' with that {fields}' if fields else ''}"

    async def once(self) -> Published[E]:
        """The one event, as soon as it is published. In the end it has to be the only one."""
        __tracebackhide__ = True
        [event] = await self.times(1)
        return event

    async def times(self, count: int) -> list[Published[E]]:
        """So many events, as soon as they are published. In the end there have to be no more."""
        __tracebackhide__ = True
        self._started.expect(self, count)
        return (await self._at_least(count))[:count]

    async def first(self) -> Published[E]:
        """The first one; there may be more."""
        __tracebackhide__ = True
        return (await self._at_least(1))[0]

    async def _at_least(self, count: int) -> list[Published[E]]:
        __tracebackhide__ = True

        async def are_there(sight: Sight) -> list[Published[E]] | None:
            found = await self.among_all(sight)
            return found if len(found) >= count else None

        published: list[Published[E]] = await self._started.until(
            are_there, f"{self} is to be published" + (f" {count} times" if count > 1 else "")
        )
        return published

    def among(self, sight: Sight) -> list[Said]:
        """Those of what is known, whatever is in their fields; none where fields were named."""
        name = self._contract.contract.name
        if self._fields:
            return []
        return [said for said in sight.said if said.type == name and self._by in (None, said.service)]

    async def among_all(self, sight: Sight) -> list[Published[E]]:
        """Those of what is known."""
        name = self._contract.contract.name
        said = [each for each in sight.said if each.type == name and self._by in (None, each.service)]
        read = await self._started.deployment.read(self._contract, said)
        return [
            Published(event, each.id, each.service)
            for each, event in zip(said, read, strict=True)
            if all(getattr(event, field) == value for field, value in self._fields.items())
        ]


class Row:
    """A row of a replica, and what it is to become."""

    def __init__(self, started: UnderWay, service: str, replica: type[Replica[Any]], key: object) -> None:
        self._started, self._service, self._replica, self._key = started, service, replica, key

    async def reaches(self, *, version: int | None = None, **columns: object) -> Any:
        """The row, as soon as it has this version or a newer one, and these values."""
        __tracebackhide__ = True
        seen = ""

        async def is_there(sight: Sight) -> Any | None:
            nonlocal seen
            row = await self._row()
            seen = self._lacks(row, version, columns)
            return None if seen else row

        return await self._started.until(is_there, f"{self._named()} is to have {self._wanted(version, columns)}", lambda: seen)

    async def gone(self) -> None:
        """Returns when the row is deleted."""
        __tracebackhide__ = True

        async def is_gone(sight: Sight) -> bool | None:
            row = await self._row()
            return True if row is not None and row.deleted else None

        await self._started.until(is_gone, f"{self._named()} is to be deleted")

    async def _row(self) -> Any:
        return await self._started.deployment.replica_row(self._service, self._replica, self._key)

    def _named(self) -> str:
        return f"{self._service}.{self._replica.__tablename__} {self._key}"

    @staticmethod
    def _lacks(row: Any, version: int | None, columns: dict[str, object]) -> str:
        """What a row does not have yet, without its values; nothing when it has all."""
        if row is None:
            return "there is no row"
        if row.deleted:
            return "the row is deleted"
        if version is not None and row.state_version < version:
            return f"it has version {row.state_version}"
        others = [name for name, value in columns.items() if getattr(row, name) != value]
        return f"it has another {', '.join(others)}" if others else ""

    @staticmethod
    def _wanted(version: int | None, columns: dict[str, object]) -> str:
        versions = [] if version is None else [f"version {version}"]
        return ", ".join([*versions, *(f"its {name}" for name in columns)]) or "a row"
