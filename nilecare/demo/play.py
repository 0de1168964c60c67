"""The course of the demo, from empty servers to the outcome."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import httpx
from sqlalchemy import TextClause, text

from broker import Service
from broker._database import Database
from broker._flows import Flows
from broker._provision import provision
from broker._sequences import read_flow
from nilecare.administrator import appoint
from nilecare.demo.agreement import agreements
from nilecare.demo.board import Board
from nilecare.demo.broken import break_a_message
from nilecare.demo.day.desk import CLOSED, Colleague, House
from nilecare.demo.day.hospital import Hospital
from nilecare.demo.day.journeys import Day
from nilecare.demo.day.opening import ZONE, Opening
from nilecare.demo.day.people import Town
from nilecare.demo.day.post import LetterBox
from nilecare.demo.discretion import Discretion
from nilecare.demo.duplicates import duplicated
from nilecare.demo.latency import Outage, latencies
from nilecare.demo.milestones import Milestones
from nilecare.demo.money import balance
from nilecare.demo.outcome import Outcome
from nilecare.demo.pulse import feel
from nilecare.demo.site import MESSAGES, Site
from nilecare.demo.troubles import troubles
from nilecare.load import databases_of

PATIENCE = 120.0
"""Seconds in which everything must be over once nobody does anything new."""

BROKER_DOWN = 2.0
SERVICE_DOWN = 1.5
"""Seconds between a kill and the next start, which takes its own time."""

BROKER, SERVICE, AUTH = "rabbitmq", "billing", "auth"

MONTH = timedelta(days=35)
"""Until the second instalments, and past the due date of every invoice."""

EVENTS = text("SELECT type, count(*) FROM backbone.published GROUP BY type")
FLOWS = text("SELECT DISTINCT flow FROM backbone.published")
FAILED = text("SELECT state, count(*) FROM backbone.failed_message GROUP BY state")
HANDLED = text("SELECT count(*) FROM backbone.inbox")


class Play:
    """One run. Raises StackError, FlowOpen, Refused, TimeoutError, and what servers raise, when it cannot come to its end."""

    def __init__(self, site: Site, board: Board, *, patients: int, seed: int) -> None:
        self._site = site
        self._board = board
        town = Town(seed)
        self._staff, self._patients = town.staff(), town.patients(patients)
        self._seed = seed
        self._milestones = Milestones()
        self._outages: list[Outage] = []
        self._incidents: list[str] = []

    async def run(self) -> Outcome:
        """Everything, with the services up meanwhile."""
        site, board = self._site, self._board
        with board.phase("accounts, databases, topology"):
            await provision(site.platform, site.services)
        async with (
            httpx.AsyncClient(timeout=30) as http,
            self._services(http),
            databases_of(site.platform, site.services) as databases,
            self._felt(databases),
        ):
            return await self._happen(databases, http)

    @asynccontextmanager
    async def _felt(self, databases: Mapping[Service, Database]) -> AsyncIterator[None]:
        """The pulse of every service is on the board meanwhile, where somebody watches it."""
        if not self._board.watched:
            yield
            return
        feeling = asyncio.create_task(feel(databases, self._board))
        try:
            yield
        finally:
            feeling.cancel()
            with suppress(asyncio.CancelledError):
                await feeling

    @asynccontextmanager
    async def _services(self, http: httpx.AsyncClient) -> AsyncIterator[None]:
        workers = self._site.workers.values()
        with self._board.phase("the services and the world outside"):
            for worker in workers:
                worker.start()
            await asyncio.gather(*(worker.ready(http) for worker in workers))
        try:
            yield
            with self._board.phase("stopping the services"):
                for worker in workers:
                    worker.ask_to_stop()
                await asyncio.gather(*(asyncio.to_thread(worker.stopped) for worker in workers))
        finally:
            for worker in workers:
                worker.kill()

    async def _happen(self, databases: Mapping[Service, Database], http: httpx.AsyncClient) -> Outcome:
        site, flows = self._site, Flows(databases)
        by_name = {service.name: database for service, database in databases.items()}
        house = House(site.urls, http)
        letters = LetterBox(http, site.urls[MESSAGES], site.secrets["message_gateway_secret"])
        with self._board.phase("a hospital opens, staff sign in"):
            hospital = await Opening(house, letters, await self._administrator(house)).open(self._staff)
        day = Day(hospital, seed=self._seed, today=datetime.now(ZoneInfo(ZONE)).date(), say=self._say)
        async with asyncio.TaskGroup() as everybody:
            everybody.create_task(day.run(self._patients))
            everybody.create_task(self._kill_the_broker())
            everybody.create_task(self._kill_a_service(http))
        self._board.end_steps()
        with self._board.phase("until all flows are over"):
            await flows.settled(seconds=PATIENCE)
        with self._board.phase("a month later"):
            await flows.move_clock(MONTH)
            await day.a_month_later()
            await flows.settled(seconds=PATIENCE)
        with self._board.phase("a session is revoked, auth killed"):
            refused_after = await self._revoke(flows, hospital)
        with self._board.phase("a message that is broken"):
            account = site.platform.account("clinical")
            dead = await break_a_message(site.platform.service_amqp_url("clinical"), account, by_name["billing"])
        with self._board.phase("looking whether all is well"):
            await flows.settled(seconds=PATIENCE)
            latency, undisturbed = await latencies(databases, self._outages)
            discretion = Discretion([*self._patients, *(person for _, person in self._staff)])
            return Outcome(
                events=await _counted(databases, EVENTS),
                flows=len(await _distinct(databases)),
                effects=sum([await _number(database) for database in databases.values()]),
                lost=len(await flows.lost()),
                out_of_order=len(await flows.order_violations()),
                duplicated=await duplicated(by_name),
                failed=await _counted(databases, FAILED),
                replicas=await agreements(databases),
                money=await balance(by_name),
                latency=latency,
                latency_undisturbed=undisturbed,
                killed=[outage.what for outage in sorted(self._outages, key=lambda outage: outage.began)],
                troubles=troubles(worker.log for worker in site.workers.values()),
                incidents=self._incidents,
                seen=day.seen,
                asked=house.asked,
                cards=day.desk.cards,
                declined=day.desk.declined,
                mails=await letters.subjects(),
                texts=await letters.texts(),
                refused_after=refused_after,
                disclosed=await discretion.disclosed(site, house, by_name, await letters.texts()),
                diagrams={shows: await read_flow(databases, flow) for shows, flow in hospital.flows.items()},
                dead_letter=dead,
                key=site.write_key(),
                seconds=self._board.seconds,
            )

    async def _administrator(self, house: House) -> Colleague:
        """The first one, appointed by whoever runs the platform."""
        auth = next(service for service in self._site.services if service.name == AUTH)
        settings = self._site.platform.settings_for(auth, {}, outside=self._site.outside[AUTH])
        administrator = Colleague(house, "administrator@nile-bank.example", secrets.token_urlsafe(18), "administrator")
        await appoint(settings, administrator.email, administrator.password, "Administrator")
        await administrator.sign_in()
        return administrator

    async def _say(self, through: int) -> None:
        self._board.step("patients come and go", through, len(self._patients))
        await self._milestones.note(through / len(self._patients))

    async def _kill_the_broker(self) -> None:
        server = self._site.stack.rabbitmq
        await self._milestones.reached(0.2)

        async def start() -> None:
            await asyncio.to_thread(server.start)

        await self._outage(BROKER, "RabbitMQ", lambda: asyncio.to_thread(server.kill), BROKER_DOWN, start)

    async def _kill_a_service(self, http: httpx.AsyncClient) -> None:
        worker = self._site.workers[SERVICE]
        await self._milestones.reached(0.5)

        async def start() -> None:
            worker.start()
            await worker.ready(http)

        await self._outage(SERVICE, SERVICE, lambda: asyncio.to_thread(worker.kill), SERVICE_DOWN, start)

    async def _revoke(self, flows: Flows, hospital: Hospital) -> float:
        """A nurse's sessions are revoked, and auth is killed; gives the seconds until every other service refused the nurse."""
        nurse, auth = hospital.the("nurse"), self._site.workers[AUTH]
        # The session of a month ago is over, and forgotten.
        await nurse.sign_in()
        await hospital.administrator.ask("auth", "DELETE", f"/users/{nurse.user_id}/sessions")
        began = time.monotonic()
        while not all(await asyncio.gather(*(nurse.is_refused(name) for name in CLOSED))):
            if time.monotonic() - began > PATIENCE:
                raise TimeoutError(f"a revoked session was not refused everywhere within {PATIENCE:.0f} seconds")
        seconds = time.monotonic() - began
        await flows.settled(seconds=PATIENCE)
        down = datetime.now(UTC)
        await asyncio.to_thread(auth.kill)
        stays = all(await asyncio.gather(*(nurse.is_refused(name) for name in CLOSED)))
        auth.start()
        await auth.ready(hospital.house.client)
        self._outages.append(Outage(AUTH, down, datetime.now(UTC)))
        told = "also while auth was down" if stays else "but not while auth was down"
        self._note(f"{len(CLOSED)} services refused a revoked session after {seconds:.2f} s, {told}")
        return seconds if stays else float("inf")

    async def _outage(
        self, what: str, name: str, kill: Callable[[], Awaitable[None]], down: float, start: Callable[[], Awaitable[None]]
    ) -> None:
        began = datetime.now(UTC)
        await kill()
        self._board.down.add(what)
        self._board.note(f"{name} was killed (kill -9)")
        await asyncio.sleep(down)
        await start()
        ended = datetime.now(UTC)
        self._outages.append(Outage(what, began, ended))
        self._board.down.discard(what)
        self._board.note(f"{name} is back after {(ended - began).total_seconds():.1f} s")

    def _note(self, what: str) -> None:
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
