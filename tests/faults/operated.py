"""The courier and operations at work, what is asked of them there, and the proof of what became of it."""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from itertools import product
from multiprocessing.context import ForkServerProcess
from typing import Any, Self
from uuid import UUID

import asyncpg
import httpx

from broker import publish
from broker._publishing import lock_number
from broker._tokens import issue_token, key_set_of, new_key
from broker.servers.ports import free_ports
from services.operations.app import service as operations
from services.operations.rules import OPERATOR
from tests.faults.copies import Copies
from tests.faults.parcels import OBSTACLES, Parcels, ParcelSent, courier
from tests.faults.process import Declared
from tests.waiting import until

EACH = 4
"""Parcels for one address. Something is in the way of the first, and the others are held behind it."""

REPORTS = lock_number("reporter")
"""Whoever has this lock alone tells operations of what changed."""

KEY, HOUR = new_key(), timedelta(hours=1)

ACTION = "SELECT state, asked_by, why, total FROM backbone.action WHERE id = :id"

OUTCOMES = """
    SELECT coalesce(outcome, 'left'), count(*) FROM backbone.action_message WHERE action = :id GROUP BY outcome
"""

HEARD = """
    SELECT action.id, action.state, action.asked_by, action.why, action.total, action.outcomes
    FROM failure_action_reference action JOIN operation_requests request ON request.answer->>'action_id' = action.id::text
    WHERE request.request_id = :request AND action.state <> 'running'
"""


class Locks:
    """Advisory locks in the courier's database that this test has."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection

    async def take(self, number: int) -> None:
        """Returns when nobody else has it."""
        await self._connection.execute("SELECT pg_advisory_lock($1)", number)

    async def give_back(self, number: int) -> None:
        """Whoever waits for it goes on."""
        assert await self._connection.fetchval("SELECT pg_advisory_unlock($1)", number)

    async def is_wanted(self, number: int) -> bool:
        """Whether somebody waits for a lock of ours, a small number."""
        return bool(
            await self._connection.fetchval(
                "SELECT EXISTS (SELECT FROM pg_locks JOIN pg_database ON pg_database.oid = database WHERE NOT granted"
                " AND datname = current_database() AND locktype = 'advisory' AND classid = 0 AND objid = $1)",
                number,
            )
        )

    async def close(self) -> None:
        """Gives all back."""
        await self._connection.close()


class Operated(Copies):
    """The two services; every parcel goes to an address of its own kind: with one obstacle after the other."""

    async def open(self, release: Declared | None = None) -> Self:
        """With nothing delivered, and nothing running yet."""
        await super().open(release or Parcels())
        await self.provide(courier, port=0, pool_size=5)
        (self._port,) = free_ports(1)
        await self.provide(operations, operations.migrations, port=self._port, key_set=key_set_of(KEY), pool_size=5)
        self.locks = Locks(await asyncpg.connect(self.settings["courier"].database_url))
        self._sent = 0
        return self

    def start(self, service: str) -> ForkServerProcess:
        """One more copy of a service."""
        return self.start_copy(service, Parcels())

    async def fail(self, addresses: int) -> None:
        """Sends parcels to so many new addresses, none of which can be delivered; returns when operations knows of them."""
        await self.run("courier", "INSERT INTO obstacle SELECT unnest(CAST(:names AS text[]))", names=list(OBSTACLES))
        names = list(OBSTACLES)
        async with self.databases["courier"].transaction() as session:
            for address, number in product(range(self._sent, self._sent + addresses), range(EACH)):
                obstacle = names[address % len(names)] if number == 0 else None
                publish(session, ParcelSent(address=str(address), number=number, obstacle=obstacle))
        self._sent += addresses
        await self.knows(addresses * EACH)

    async def knows(self, count: int) -> None:
        """Returns when operations knows of so many failed messages."""

        async def knows() -> bool:
            known = await self.rows("operations", "SELECT count(*) FROM failed_message_reference WHERE NOT deleted")
            return bool(known == [count])

        await until(knows, within=60)

    async def cure(self, *names: str) -> None:
        """Takes obstacles out of the way."""
        await self.run("courier", "DELETE FROM obstacle WHERE name = ANY(:names)", names=list(names))

    async def close_gates(self, *numbers: int) -> None:
        """Has the courier wait when so many parcels are delivered, until the gate's lock is given back."""
        for number in numbers:
            await self.locks.take(number)
            await self.run("courier", "INSERT INTO gate VALUES (:number)", number=number)

    async def ask(self, asked_by: str, why: str) -> UUID:
        """Somebody asks operations for a replay of all that failed; gives the request's id."""
        messages = {"states": ["dead", "held"]}
        body = {"service": "courier", "operation": "replay", "why": why, "messages": messages, "canary": 2, "few": 5}
        async with self._client(asked_by) as client:
            reply = await client.post("/requests", json=body)
        assert reply.status_code == 202, reply.text
        return UUID(reply.json()["request_id"])

    async def answer(self, asked_by: str, request: UUID) -> Any:
        """What the courier answered, as whoever asked is shown it."""
        async with self._client(asked_by) as client:
            shown = (await client.get(f"/requests/{request}")).json()
        assert shown["state"] == "answered"
        return shown["answer"]

    async def came_to(self, request: UUID) -> tuple[tuple[str, str, str, int], dict[str, int]]:
        """What a request came to, once operations knows: state, who asked, why, how many messages; and the outcomes.

        What operations knows is what the courier's own history says.
        """

        async def has_heard() -> list[Any]:
            return await self.rows("operations", HEARD, request=request)

        ((id_, *said, outcomes),) = await until(has_heard, within=60)
        assert await self.rows("courier", ACTION, id=id_) == [tuple(said)]
        assert dict(await self.rows("courier", OUTCOMES, id=id_)) == outcomes
        return (said[0], said[1], said[2], said[3]), outcomes

    async def deliveries(self) -> dict[int, list[int]]:
        """The numbers that were delivered, in order, by address; each by another message."""
        found = defaultdict(list)
        for address, number in await self.rows("courier", "SELECT address, number FROM delivery ORDER BY position"):
            found[int(address)].append(number)
        doubled = "SELECT source FROM delivery GROUP BY source HAVING count(*) > 1"
        assert await self.rows("courier", doubled) == []
        return found

    async def proven(self) -> None:
        """All that was ever sent was delivered once, in order per address, and nothing is left that failed."""
        assert await self.deliveries() == {address: list(range(EACH)) for address in range(self._sent)}
        for table in ("failed_message", "held_key", "operation"):
            assert await self.rows("courier", f"SELECT count(*) FROM backbone.{table}") == [0], table
        await self.knows(0)

    async def close(self) -> None:
        """Kills what still runs."""
        await self.locks.close()
        await super().close()

    def _client(self, asked_by: str) -> httpx.AsyncClient:
        token = issue_token(KEY, subject=asked_by, roles=[OPERATOR], facilities=None, lifetime=HOUR)
        headers = {"Authorization": f"Bearer {token}"}
        return httpx.AsyncClient(base_url=f"http://127.0.0.1:{self._port}/api/v1", headers=headers, timeout=30)
