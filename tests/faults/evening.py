"""The kitchen and the dining room for an evening: what is ordered, how the kitchen dies, and the proof of what came of it."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from multiprocessing import Pipe
from multiprocessing.context import ForkServerProcess
from typing import Any, Self
from uuid import uuid4

import aiormq
import httpx
from aiormq.abc import DeliveredMessage

from broker import publish
from broker._actions import Asker, Pace, Verb, begin
from broker._context import uuid7
from broker._crash_points import CrashPoint
from broker._dead_letters import Filter
from broker._flows import Flows
from broker._inbox import AHEAD, partition_name
from broker._relay import CHANNEL
from broker._replay import Retrier
from broker._replica_runs import Place
from broker._replica_runs import begin as begin_run
from broker._tokens import issue_token, key_set_of, new_key
from broker.servers.ports import free_ports
from broker.testing import forked
from contracts.operations import OperationRequested, Wanted
from tests.faults.copies import Copies
from tests.faults.kitchen import COOK, DinerErased, DishOrdered, DishOrderedNow, Menu, Stove, StoveCopy, Table
from tests.faults.process import Declared
from tests.waiting import until

forked.preload("tests.faults.kitchen")

KEY, WISH = new_key(), "no salt"

CHEF = Asker("chef", "the fire is out")

OUTCOMES = """
    SELECT DISTINCT outcome FROM (
        SELECT DISTINCT ON (key) outcome FROM backbone.action_message
        WHERE action = (SELECT max(id::text)::uuid FROM backbone.action) ORDER BY key, position
    ) AS dead
"""
"""What became of the first message of each key in the last action."""

LEFT = " UNION ALL ".join(
    f"SELECT '{table}', count(*) FROM backbone.{table} HAVING count(*) > 0"
    for table in ("failed_message", "held_key", "attempt", "operation")
)
"""What of these tables is not empty."""

NUMBERS = "SELECT place, number FROM effect WHERE role = :role ORDER BY position"


class Evening(Copies):
    """The two services; the dining room stays at work, and the kitchen dies."""

    async def open(self, release: Declared | None = None) -> Self:
        """With both at work, one stove, and the table that most dishes are for."""
        await super().open(release or Menu(watched=True))
        self._ports = free_ports(2)
        market = self._logs / "market"
        market.touch()
        self.market = market
        more: dict[str, Any] = {"journal": True, "pool_size": 2, "report_every": timedelta(hours=1)}
        services = Menu().services()
        await self.provide(
            services["kitchen"], port=self._ports[0], key_set=key_set_of(KEY), outside={"market": str(market)}, **more
        )
        await self.provide(services["dining"], port=0, **more)
        async with self.databases["kitchen"].transaction() as session:
            session.add(Stove(id="stove", heat=0))
        async with self.databases["dining"].transaction() as session:
            session.add(Table(id="window", seats=2))
        self._ordered: Counter[str] = Counter()
        self._hows: Counter[str] = Counter()
        self.heat = 0
        self.is_sound = False
        self.menu = Menu()
        self.start_copy("dining", Menu(watched=True))
        self.start_kitchen()
        return self

    @property
    def flows(self) -> Flows:
        """What is under way in both databases."""
        services = self.menu.services()
        return Flows({services[name]: database for name, database in self.databases.items()})

    def start_kitchen(self, **more: Any) -> ForkServerProcess:
        """The kitchen of the menu that counts; see Copy."""
        self._line, others = Pipe()
        self.kitchen = self.start_copy("kitchen", self.menu, line=others, **more)
        others.close()
        return self.kitchen

    async def arm(self, point: CrashPoint, times: int) -> ForkServerProcess:
        """Has the kitchen at work die at a point; comes back when it knows."""

        async def has_answered() -> bool:
            return self._line.poll()

        self._line.send((point, times))
        await until(has_answered)
        return self.kitchen

    async def close_kitchen(self) -> None:
        """kill -9."""
        await self.kill(self.kitchen)

    async def dies(self, process: ForkServerProcess) -> None:
        """The process ends by itself, and as kill -9 ends one."""
        await self.ended(process, within=20)
        assert process.exitcode == -signal.SIGKILL

    async def order(self, *hows: str, table: str = "window", newer: bool = False) -> None:
        """One dish for each of `hows` at a table, in one transaction."""
        async with self.databases["dining"].transaction() as session:
            for how in hows or ("",):
                self.diner = uuid4()
                said = {"table": table, "number": self._ordered[table], "how": how, "diner_id": self.diner}
                publish(session, DishOrderedNow(**said, plates=2) if newer else DishOrdered(**said))
                self._ordered[table] += 1
                self._hows.update(how.split())
        await self.run("dining", f"NOTIFY {CHANNEL}")

    async def order_anew(self, *hows: str) -> str:
        """The same at a table at which nothing was ordered before; says at which."""
        table = f"table {len(self._ordered)}"
        await self.order(*hows, table=table)
        return table

    async def order_newer(self) -> None:
        """A dish of which this release cannot read the order, and one behind it."""
        await self.order("", newer=True)
        await self.order("")
        await self.has_failed(2)

    async def order_what_waits_and_burns(self) -> None:
        """A dish that waits for its table, and then burns."""
        await self.set_on_fire()
        await self.order_anew("seated burnt")
        await self.has_failed(1)

    async def erase(self) -> None:
        """Who ordered last wants to be forgotten."""
        async with self.databases["dining"].transaction() as session:
            publish(session, DinerErased(diner_id=self.diner))
        await self.run("dining", f"NOTIFY {CHANNEL}")

    async def has_forgotten(self) -> None:
        """Returns when the kitchen has noted that; then it knows nothing of the diner's wish."""

        async def noted() -> bool:
            return await self.rows("kitchen", "SELECT count(*) FROM backbone.erased WHERE person = :id", id=self.diner) == [1]

        await until(noted)
        bodies = await self.rows("kitchen", "SELECT convert_from(body, 'UTF8') FROM backbone.failed_message")
        assert bodies
        assert all(WISH not in body for body in bodies)

    async def lay(self) -> None:
        """There is a seat, or one more, at each table at which something was ordered."""
        async with self.databases["dining"].transaction() as session:
            for name in self._ordered:
                table = await session.get(Table, name)
                if table is None:
                    session.add(Table(id=name, seats=1))
                else:
                    table.seats += 1
        await self.run("dining", f"NOTIFY {CHANNEL}")

    async def ask_for_stoves(self) -> None:
        """The dining room compares its copy of the stoves with the kitchen's."""
        async with self.databases["dining"].transaction() as session:
            await begin_run(session, Place("dining", StoveCopy), "repair", "chef", anew=True)
        await self.run("dining", f"NOTIFY {CHANNEL}")

    async def set_on_fire(self) -> None:
        """What can burn does."""
        await self.run("kitchen", "INSERT INTO fire VALUES (true) ON CONFLICT DO NOTHING")

    async def put_out(self) -> None:
        """Nothing burns any more."""
        await self.run("kitchen", "DELETE FROM fire")

    async def has_failed(self, count: int) -> None:
        """Returns when the kitchen has so many failed messages, of which none is to be tried."""

        async def kept() -> bool:
            states = await self.rows("kitchen", "SELECT state FROM backbone.failed_message")
            return len(states) == count and "retrying" not in states

        await until(kept)

    async def burn(self, *, tables: int = 1, behind: int = 0) -> None:
        """So many tables have each a dead letter, with so many messages behind it; the fire still burns."""
        await self.set_on_fire()
        for _ in range(tables):
            await self.order_anew("burnt", *[""] * behind)
        await self.has_failed(tables * (1 + behind))

    async def begin(self, verb: Verb) -> None:
        """Somebody wants something done about all dead letters and what lies behind them; of a kind one is tried first."""
        async with self.databases["kitchen"].transaction() as session:
            await begin(session, verb, Filter(states=("dead", "held")), CHEF, pace=Pace(canary=1, few=0))

    async def acted(self) -> None:
        """Returns when nothing of that is left to do."""

        async def is_over() -> bool:
            return await self.rows("kitchen", "SELECT count(*) FROM backbone.action WHERE state = 'running'") == [0]

        await until(is_over)

    async def replayed(self) -> None:
        """When the last replay is over, its history says of each dead letter that it took effect."""
        await self.acted()
        assert await self.rows("kitchen", OUTCOMES) == ["took effect"]

    async def ask(self) -> None:
        """Somebody in operations asks for a replay: the kitchen has kept the request."""
        asked = OperationRequested(
            request_id=uuid7(), service="kitchen", operation="replay", asked_by="chef", why="", wanted=Wanted(states=["dead"])
        )
        await self.run(
            "kitchen",
            "INSERT INTO backbone.operation VALUES (:id, CAST(:request AS jsonb), now())",
            id=asked.request_id,
            request=asked.model_dump_json(),
        )

    async def lose_partitions(self) -> None:
        """The kitchen's inbox has no partitions for the next days."""
        today = datetime.now(UTC).date()
        for days in range(1, AHEAD.days + 1):
            await self.run("kitchen", f"DROP TABLE backbone.{partition_name(today + timedelta(days=days))}")

    async def retry_the_dead(self) -> None:
        """Tries each dead letter, and what lies behind it, as a person does."""
        retrier = Retrier(self.databases["kitchen"], self.menu.services()["kitchen"])
        query = "SELECT position, subscription, key FROM backbone.failed_message WHERE state = 'dead' ORDER BY position"
        for position, subscription, key in await self.rows("kitchen", query):
            assert (await retrier.retry(position)).is_over
            await retrier.follow(subscription, key)

    async def give_up(self) -> None:
        """Has the broker give up the one message that is in the queue of the kitchen, of which no copy is at work."""
        connection = await aiormq.connect(self.amqp_url)
        channel, delivered = await connection.channel(), asyncio.Queue[int]()

        async def take(message: DeliveredMessage) -> None:
            delivered.put_nowait(message.delivery_tag or 0)

        async def is_given_up() -> bool:
            return bool((await channel.queue_declare("kitchen.dead", passive=True)).message_count)

        await channel.basic_consume("kitchen.cook", take)
        await channel.basic_reject(await delivered.get(), requeue=False)
        await until(is_given_up)
        await connection.close()

    async def rename(self) -> None:
        """The menu's new name for what cooks is known to the broker; what was ordered so far is under the old one."""
        connection = await aiormq.connect(self.amqp_url)
        channel = await connection.channel()

        async def is_there() -> bool:
            return bool((await channel.queue_declare("kitchen.cook", passive=True)).message_count)

        await until(is_there)
        await self.apply(self.menu)
        await connection.close()

    async def heat_up(self, *, place: int = 0) -> int | None:
        """The next request to the kitchen, sent again as long as nobody listens; its status, None when the line broke."""
        token = issue_token(KEY, subject="cook", roles=[COOK], facilities=None, lifetime=timedelta(hours=1))
        headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": str(self.heat)}
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{self._ports[place]}/api/v1", headers=headers) as client:

            async def answered() -> int | str | None:
                try:
                    return (await client.post("/stoves/stove")).status_code
                except httpx.ConnectError:
                    return None
                except httpx.TransportError:
                    return "broken off"

            status = await until(answered)
        return status if isinstance(status, int) else None

    async def heat_up_once(self) -> None:
        """Sends the next request, for the first time or again: its effect is one."""
        assert await self.heat_up() == httpx.codes.NO_CONTENT
        self.heat += 1

    def start_second(self, dies_at: CrashPoint) -> ForkServerProcess:
        """A second copy of the kitchen, which listens at another port: for `heat_up`, at place 1."""
        return self.start_copy("kitchen", self.menu, settings={"port": self._ports[1]}, dies_at=(dies_at, 1))

    async def relays(self) -> bool:
        """Whether all that the kitchen has published was sent."""
        return await self.rows("kitchen", "SELECT count(*) FROM backbone.outbox") == [0]

    async def is_cooked(self) -> bool:
        """Whether all that was ordered is."""
        return bool(await self.rows("kitchen", "SELECT count(*) FROM effect WHERE role = 'cook'") == [self._ordered.total()])

    async def end_claims(self) -> None:
        """Whoever claimed a failed message is given up, as if the time of its lease were over."""
        await self.run("kitchen", "UPDATE backbone.failed_message SET due_at = now() WHERE state = 'retrying'")

    async def has_lost_nothing(self) -> bool:
        """Whether each event has an effect or is kept as failed wherever it was to be heard."""
        return await self.flows.lost() == []

    async def proven(self) -> None:
        """When all is over, each dish was cooked and served once, in order at each table, and nothing is left or differs."""
        flows = self.flows
        await flows.settled(seconds=20)
        # What a kitchen asks for that has only just started may be on its way; what is lost stays so.
        await until(self.has_lost_nothing)
        assert await flows.order_violations() == []
        for service in self.databases:
            assert await self.rows(service, LEFT) == [], service
        dishes = {table: list(range(count)) for table, count in self._ordered.items()}
        assert await self._numbers("kitchen", "cook") == dishes
        assert await self._numbers("dining", "serve") == dishes
        for service, role, how in (("kitchen", "season", "spicy"), ("dining", "praise", "slow")):
            once = await self._numbers(service, role)
            assert sum(map(len, once.values())) == self._hows[how]
            assert all(len(set(numbers)) == len(numbers) for numbers in once.values())
        assert await self.rows("kitchen", "SELECT heat FROM stove") == [self.heat]
        await self._copied()

    async def _numbers(self, service: str, role: str) -> dict[str, list[int]]:
        found = defaultdict(list)
        for place, number in await self.rows(service, NUMBERS, role=role):
            found[place].append(number)
        return found

    async def _copied(self) -> None:
        """Both replicas have what their owners have."""
        stoves = await self.rows("kitchen", "SELECT id, heat, state_version FROM stove ORDER BY id")
        tables = await self.rows("dining", "SELECT id, seats, state_version FROM dining_table ORDER BY id")
        copies = (("dining", "stove_copy", "heat", stoves), ("kitchen", "table_copy", "seats", tables))
        for service, copy, column, owned in copies:
            assert await self.rows(service, f"SELECT id, {column}, state_version FROM {copy} ORDER BY id") == owned


Deed = Callable[[Evening], Awaitable[Any]]


async def nothing(evening: Evening) -> None:
    """What is done where nothing is to be done."""
