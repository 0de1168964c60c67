"""Whether anything of a person can be read where it does not belong: logs, traces, metrics, errors, headers, short messages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sqlalchemy import text

from broker._database import Database
from nilecare.demo.day.desk import House
from nilecare.demo.day.people import Person
from nilecare.demo.site import Site

REASONS = "SELECT reason || properties::text FROM backbone.failed_message"
KEYS = "SELECT type || ' ' || key FROM backbone.published"


class Discretion:
    """Looks for every name, number and address of these people."""

    def __init__(self, people: Iterable[Person]) -> None:
        self._secrets = frozenset(secret for person in people for secret in person.secrets)

    def found_in(self, told: str) -> int:
        """How many different secrets a text tells."""
        return sum(secret in told for secret in self._secrets)

    async def disclosed(
        self, site: Site, house: House, databases: Mapping[str, Database], short_messages: Iterable[str]
    ) -> dict[str, int]:
        """How many were disclosed, by where; nothing when all is well."""
        told = {f"the log of {name}": worker.log.read_text(errors="replace") for name, worker in site.workers.items()}
        told |= {f"the metrics of {name}": await _metrics(site, house, name) for name in databases}
        for name, database in databases.items():
            async with database.engine.connect() as connection:
                told[f"the failures of {name}"] = "\n".join(await connection.scalars(text(REASONS)))
                told[f"the keys of {name}"] = "\n".join(await connection.scalars(text(KEYS)))
        told["the problem documents"] = "\n".join(house.problems)
        told["the short messages"] = "\n".join(short_messages)
        return {where: count for where, said in told.items() if (count := self.found_in(said))}


async def _metrics(site: Site, house: House, name: str) -> str:
    return (await house.client.get(f"{site.urls[name]}/metrics")).raise_for_status().text
