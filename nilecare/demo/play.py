"""The course of the demo, from empty servers to the outcome."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime

from sqlalchemy import TextClause, text

from broker import Service
from broker._database import Database
from broker._flows import Flows
from contracts.money import Money
from nilecare.demo.agreement import agreements
from nilecare.demo.board import Board
from nilecare.demo.duplicates import duplicated
from nilecare.demo.incidents import Incidents, break_a_message
from nilecare.demo.latency import Outage, latencies
from nilecare.demo.milestones import Milestones
from nilecare.demo.money import balance
from nilecare.demo.outcome import Outcome
from nilecare.demo.people import People
from nilecare.demo.pulse import feel
from nilecare.demo.site import Site
from nilecare.demo.troubles import troubles
from nilecare.load import databases_of
from nilecare.provision import provision
from nilecare.synthea.generate import Generator
from nilecare.synthea.load import Loader
from nilecare.synthea.panels import PANELS
from nilecare.synthea.report import Progress

PATIENCE = 120.0
"""Seconds in which everything must be over once nobody does anything new."""

BROKER_DOWN = 2.0
SERVICE_DOWN = 1.5
"""Seconds between a kill and the next start, which takes its own time."""

BROKER, SERVICE = "rabbitmq", "billing"

PRICES = {analyte.code: Money.of(panel.price) for panel in PANELS for analyte in panel.analytes}

EVENTS = text("SELECT type, count(*) FROM backbone.published GROUP BY type")
FLOWS = text("SELECT DISTINCT flow FROM backbone.published")
FAILED = text("SELECT state, count(*) FROM backbone.failed_message GROUP BY state")
HANDLED = text("SELECT count(*) FROM backbone.inbox")


class Play:
    """One run. Raises StackError, FlowOpen, TimeoutError, and what the servers raise, when it cannot come to its end."""

    def __init__(self, site: Site, board: Board, *, patients: int, seed: int) -> None:
        self._site = site
        self._board = board
        self._generator = Generator(patients, seed)
        self._milestones = Milestones()
        self._outages: list[Outage] = []
        self._incidents: list[str] = []

    async def run(self) -> Outcome:
        """Everything, with the services up meanwhile."""
        site, board = self._site, self._board
        with board.phase("accounts, databases, topology"):
            await provision(site.platform, site.services)
        files = site.folder / "synthea"
        self._generator.write(files)
        async with self._services(), databases_of(site.platform, site.services) as databases:
            feeling = asyncio.create_task(feel(databases, board))
            try:
                return await self._happen(databases)
            finally:
                feeling.cancel()
                with suppress(asyncio.CancelledError):
                    await feeling

    @asynccontextmanager
    async def _services(self) -> AsyncIterator[None]:
        workers = self._site.workers.values()
        with self._board.phase("the services and a card provider"):
            for worker in workers:
                worker.start()
            await asyncio.gather(*(worker.ready() for worker in workers))
        try:
            yield
            with self._board.phase("stopping the services"):
                for worker in workers:
                    worker.ask_to_stop()
                await asyncio.gather(*(asyncio.to_thread(worker.stopped) for worker in workers))
        finally:
            for worker in workers:
                worker.kill()

    async def _happen(self, databases: Mapping[Service, Database]) -> Outcome:
        by_name = {service.name: database for service, database in databases.items()}
        people, flows, last = People(by_name), Flows(databases), asyncio.Event()
        loader = Loader(self._site.folder / "synthea", databases, prices=PRICES, say=self._say)
        async with asyncio.TaskGroup() as everybody:
            everybody.create_task(people.pay(last))
            async with asyncio.TaskGroup() as work:
                loading = work.create_task(loader.run())
                work.create_task(self._kill_the_broker())
                work.create_task(self._kill_a_service(Incidents(by_name)))
                work.create_task(self._let_things_go_wrong(Incidents(by_name)))
            self._board.end_steps()
            with self._board.phase("people pay by card"):
                await flows.settled(seconds=PATIENCE)
                last.set()
        with self._board.phase("until all flows are over"):
            await flows.settled(seconds=PATIENCE)
        with self._board.phase("a message that is broken"):
            account = self._site.platform.account("lab")
            dead = await break_a_message(self._site.platform.service_amqp_url("lab"), account, by_name["clinical"])
        with self._board.phase("looking whether all is well"):
            latency, undisturbed = await latencies(databases, self._outages)
            return Outcome(
                events=await _counted(databases, EVENTS),
                flows=len(await _distinct(databases)),
                effects=sum([await _number(database) for database in databases.values()]),
                lost=len(await flows.lost()),
                out_of_order=len(await flows.order_violations()),
                duplicated=await duplicated(by_name),
                failed=await _counted(databases, FAILED),
                replicas=await agreements(databases),
                money=await balance(by_name, self._site.folder / "synthea"),
                latency=latency,
                latency_undisturbed=undisturbed,
                killed=[outage.what for outage in self._outages],
                troubles=troubles(worker.log for worker in self._site.workers.values()),
                incidents=self._incidents,
                report=loading.result(),
                people=people,
                dead_letter=dead,
                key=self._site.write_key(),
                seconds=self._board.seconds,
            )

    def _say(self, progress: Progress) -> None:
        self._board.step(progress.step, progress.done, progress.total)
        self._milestones.note(progress)

    async def _kill_the_broker(self) -> None:
        server = self._site.stack.rabbitmq
        await self._milestones.reached("orders", 0.5)

        async def start() -> None:
            await asyncio.to_thread(server.start)

        await self._outage(BROKER, "RabbitMQ", lambda: asyncio.to_thread(server.kill), BROKER_DOWN, start)

    async def _kill_a_service(self, incidents: Incidents) -> None:
        worker = self._site.workers[SERVICE]
        await self._milestones.reached("payments", 0.5)

        async def start() -> None:
            what = "a newcomer was tested and discharged while billing was down"
            await self._incident(what, incidents.treat_a_newcomer())
            worker.start()
            await worker.ready()

        await self._outage(SERVICE, SERVICE, lambda: asyncio.to_thread(worker.kill), SERVICE_DOWN, start)

    async def _outage(
        self, what: str, name: str, kill: Callable[[], Awaitable[None]], down: float, start: Callable[[], Awaitable[None]]
    ) -> None:
        await kill()
        began = datetime.now(UTC)
        self._board.down.add(what)
        self._board.note(f"{name} was killed (kill -9)")
        await asyncio.sleep(down)
        await start()
        ended = datetime.now(UTC)
        self._outages.append(Outage(what, began, ended))
        self._board.down.discard(what)
        self._board.note(f"{name} is back after {(ended - began).total_seconds():.1f} s")

    async def _let_things_go_wrong(self, incidents: Incidents) -> None:
        """What the people at the desks do beside the ordinary."""
        await self._milestones.reached("discharges", 0.5)
        await self._incident("a sample was haemolysed, and taken again", incidents.reject_a_sample())
        await self._incident("a result was corrected", incidents.correct_a_result())
        await self._milestones.reached("payments", 0.2)
        await self._incident("two patients turned out to be one", incidents.merge_two_patients())

    async def _incident(self, what: str, happening: Awaitable[bool]) -> None:
        if await happening:
            self._incidents.append(what)
            self._board.note(what)


async def _counted(databases: Mapping[Service, Database], statement: TextClause) -> Counter[str]:
    counted: Counter[str] = Counter()
    for database in databases.values():
        async with database.engine.connect() as connection:
            for name, count in await connection.execute(statement):
                counted[name] += count
    return counted


async def _distinct(databases: Mapping[Service, Database]) -> set[object]:
    flows: set[object] = set()
    for database in databases.values():
        async with database.engine.connect() as connection:
            flows.update(await connection.scalars(FLOWS))
    return flows


async def _number(database: Database) -> int:
    async with database.engine.connect() as connection:
        return int(await connection.scalar(HANDLED) or 0)
