"""What a virtual host holds against what it should: telling the difference, adding what is missing, removing what is left over.

Adding takes nothing away, with one exception: a renamed subscription. Its new queue is bound first and only then is the old one
unbound, so that every event is in at least one of them, and the old one comes to an end.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import aiormq
from aiormq.exceptions import AMQPError

from broker._depth import depths_of
from broker._management import Management, ManagementError
from broker._topology import OURS, Binding, Part, Topology

P = TypeVar("P", bound=Part)

PLURAL = {"exchange": "exchanges", "policy": "policies", "queue": "queues", "account": "permissions"}


@dataclass(frozen=True, slots=True, order=True)
class Item:
    """One thing in a virtual host; where it matters, a note on what is the matter with it."""

    kind: str
    name: str
    note: str = field(default="", compare=False)

    def __str__(self) -> str:
        return f"{self.kind} {self.name}" + (f" ({self.note})" if self.note else "")


Present = dict[Item, dict[str, Any]]
"""A virtual host as it is: each thing with what the broker says of it. Without what the broker itself or a connection owns."""


@dataclass(frozen=True, slots=True)
class Difference:
    """`missing` and `different` are for apply, `surplus` is for prune."""

    missing: tuple[Item, ...]
    different: tuple[Item, ...]
    surplus: tuple[Item, ...]

    def __bool__(self) -> bool:
        return bool(self.missing or self.different or self.surplus)


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was removed; and what was kept although nobody declares it, each with the reason."""

    removed: tuple[Item, ...]
    kept: tuple[Item, ...]


async def read(management: Management) -> Present:
    """What the virtual host holds."""
    exchanges, queues, bindings, policies, permissions = await asyncio.gather(
        *(management.all_of(kind) for kind in ("exchanges", "queues", "bindings", "policies")), management.permissions()
    )
    passing = {each["name"] for each in queues if each.get("exclusive") or each["auto_delete"]}
    return {
        **{Item("exchange", each["name"]): each for each in exchanges if not re.match(r"$|amq\.", each["name"])},
        **{Item("queue", each["name"]): each for each in queues if each["name"] not in passing},
        **{_binding(each): each for each in bindings if each["source"] and each["destination"] not in passing},
        **{Item("policy", each["name"]): each for each in policies},
        **{Item("account", each["user"]): each for each in permissions},
    }


async def diff(management: Management, topology: Topology) -> Difference:
    """What the virtual host lacks, has otherwise, and has beyond the topology."""
    return difference(topology, await read(management))


def difference(topology: Topology, present: Present) -> Difference:
    """The difference to what was read. Of policies and accounts, only those count as surplus whose name says they are ours."""
    declared = {_item(part): part for part in topology.parts}
    different = [item for item, part in declared.items() if item in present and not _same(part, present[item])]
    overruled = [
        replace(item, note=f"under policy {raw['policy']}, not ours")
        for item, raw in present.items()
        if item in declared and not raw.get("policy", OURS).startswith(OURS)
    ]
    ours = {"policy": OURS, "account": f"{topology.prefix}_"}
    surplus = [item for item in present if item not in declared and item.name.startswith(ours.get(item.kind, ""))]
    return Difference(
        missing=tuple(sorted(item for item in declared if item not in present)),
        different=tuple(sorted([*different, *overruled])),
        surplus=tuple(sorted(surplus)),
    )


async def apply(management: Management, topology: Topology) -> tuple[Item, ...]:
    """Makes the virtual host hold at least the topology; gives what was added or changed. Two may do it at once.

    Permissions are given to the accounts that exist: provisioning creates those.
    Raises ManagementError, for one when a queue is there with other arguments, which can never be changed.
    """
    present, accounts = await asyncio.gather(read(management), management.accounts())
    todo = [part for part in _unlike(topology, present) if part.kind != "account" or part.name in accounts]
    await _import_missing(management, topology, present)
    left = set(map(_item, _unlike(topology, await read(management)))) if todo else set()
    for kind in dict.fromkeys(part.kind for part in todo):
        await _all(_declare(management, part) for part in todo if part.kind == kind and _item(part) in left)
    ended = {
        replace(item, note=f"unbound: {topology.former_queues[raw['destination']]} goes on"): raw
        for item, raw in present.items()
        if item.kind == "binding" and raw["destination"] in topology.former_queues
    }
    await _all(_unbind(management, raw) for raw in ended.values())
    return (*map(_item, todo), *sorted(ended))


async def prune(management: Management, topology: Topology, amqp_url: str, *, dry_run: bool = False) -> Pruned:
    """Unbinds what nobody declares, then removes what nobody declares and nobody can miss.

    That is: queues without messages or consumers, exchanges without bindings, our policies that hold for no queue left, and the
    permissions of accounts. With `dry_run` nothing is changed. Raises ManagementError.
    """
    present = await read(management)
    surplus = difference(topology, present).surplus
    loose = [item for item in surplus if item.kind == "binding"]
    if not dry_run:
        await _all(_unbind(management, present[item]) for item in loose)
    kept = await _in_use(amqp_url, [item for item in surplus if item.kind == "queue"])
    for item in surplus:
        needing = [each.name for each in kept if item.kind == "policy" and re.search(present[item]["pattern"], each.name)]
        if needing:
            kept.append(replace(item, note=f"holds for {', '.join(needing)}"))
    removed = []
    for item in surplus:
        if item in loose or item in kept:
            removed += [item] if item in loose else []
        elif dry_run or await _removed(management, item):
            removed.append(item)
        else:
            kept.append(replace(item, note="something is bound to it"))
    return Pruned(tuple(removed), tuple(sorted(kept)))


async def _in_use(amqp_url: str, queues: list[Item]) -> list[Item]:
    """Those that hold messages or are consumed, with a note that says so."""
    try:
        connection = await aiormq.connect(amqp_url)
    except (AMQPError, OSError) as failure:
        raise ManagementError(f"RabbitMQ cannot be asked for its queues' depth ({type(failure).__name__})") from failure
    try:
        depths = await depths_of(connection, [item.name for item in queues])
    finally:
        await connection.close()
    there = [(item, depths[item.name]) for item in queues if item.name in depths]
    return [replace(item, note=str(depth)) for item, depth in there if not depth.abandoned]


async def _removed(management: Management, item: Item) -> bool:
    if item.kind == "exchange":
        return await management.delete_unused_exchange(item.name)
    await management.delete(PLURAL[item.kind], item.name)
    return True


async def _import_missing(management: Management, topology: Topology, present: Present) -> None:
    """Adds what is missing in one request, in place of hundreds. What it leaves out it does not say: look again."""
    missing = replace(
        topology,
        exchanges=_absent(topology.exchanges, present),
        policies=_absent(topology.policies, present),
        queues=_absent(topology.queues, present),
        bindings=_absent(topology.bindings, present),
    ).definitions(management.vhost)
    del missing["vhosts"]
    if any(missing.values()):
        await management.import_definitions(missing)


async def _declare(management: Management, part: Part) -> None:
    if isinstance(part, Binding):
        await management.bind(part.exchange, part.queue, part.routing_key)
    else:
        await management.put(PLURAL[part.kind], part.name, part.declaration)


async def _unbind(management: Management, raw: dict[str, Any]) -> None:
    kind = raw["destination_type"][0]
    await management.unbind(raw["source"], kind, raw["destination"], raw["properties_key"])


async def _all(changes: Iterable[Awaitable[None]]) -> None:
    """All at once; the first failure is raised when the others have come to their end."""
    for outcome in await asyncio.gather(*changes, return_exceptions=True):
        if outcome is not None:
            raise outcome


def _item(part: Part) -> Item:
    return Item(part.kind, part.name)


def _absent(parts: tuple[P, ...], present: Present) -> tuple[P, ...]:
    return tuple(part for part in parts if _item(part) not in present)


def _unlike(topology: Topology, present: Present) -> list[Part]:
    """The parts that are not there, or otherwise."""
    return [part for part in topology.parts if not _same(part, present.get(_item(part)))]


def _same(part: Part, raw: dict[str, Any] | None) -> bool:
    return raw is not None and all(raw.get(name) == value for name, value in part.declaration.items())


def _binding(raw: dict[str, Any]) -> Item:
    plain = raw["destination_type"] == "queue" and not raw["arguments"]
    name = Binding(raw["source"], raw["routing_key"], raw["destination"]).name
    return Item("binding", name if plain else f"{name} ({raw['destination_type']}, {raw['properties_key']})")
