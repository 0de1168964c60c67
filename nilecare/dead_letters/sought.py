"""Whom a command asks, and for what; a name that nobody knows is said at once, instead of finding nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from broker import Service
from broker._dead import UNKNOWN
from broker._dead_letters import Filter, is_kept, kept_names
from nilecare.dead_letters.access import opened
from nilecare.dead_letters.selection import Refused, Selection, near_first

DECLARED: Mapping[str, Callable[[Service], set[str]]] = {
    "subscription": lambda service: {
        UNKNOWN, *(name for each in service.subscriptions for name in (each.name, *each.formerly))
    },
    "type": lambda service: {event.contract.name for each in service.subscriptions for event in each.events},
}  # fmt: skip
"""The names that a service knows by its code, by the option that takes them."""


async def sought(selection: Selection) -> list[tuple[Service, Filter]]:
    """The services to ask, and what is asked of each. Raises Refused for a name that none of them knows."""
    found = [(service, selection.in_service(service.name)) for service in selection.services()]
    houses = [(service, wanted) for service, wanted in found if wanted is not None]
    for option, names in DECLARED.items():
        name = getattr(selection.filter, option)
        if name is not None and houses:
            await _check(option, name, names, [service for service, _ in houses])
    return houses


async def _check(option: str, name: str, names: Callable[[Service], set[str]], services: Sequence[Service]) -> None:
    """Raises Refused for a name that is neither in the code of one of these services nor of a message that one keeps."""
    known = set[str]().union(*map(names, services))
    if name in known:
        return
    for service in services:
        async with opened(service) as house, house.database.transaction() as session:
            if await is_kept(session, option, name):
                return
            known |= await kept_names(session, option)
    where = f" in {services[0].name}" if len(services) == 1 else ""
    raise Refused(f"there is no {option} {name}{where}: it is one of {near_first(name, known)}")
