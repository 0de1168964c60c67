"""What it takes to fill an empty replica by events, beside copying the same rows from one database into the other."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import secrets
import sys
import time
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import asyncpg
from sqlalchemy import select

from benchmarks.measure import ContenderFailed
from broker._database import Database, engine_for
from broker._provision import provision
from broker._relay import CHANNEL
from broker._replica_runs import Place, begin, run_of
from broker.servers import Servers
from broker.testing.scratch import drop_platform, prepare
from nilecare.addresses import Platform
from nilecare.platform import services
from services.billing.replicas import PatientReference
from services.clinical.tables import Patient
from tests.waiting import until

OWNER, KEEPER = "clinical", "billing"
PLACE = Place(KEEPER, PatientReference)
COMMON = ("state_version", "facility_id", "medical_record_number", "full_name", "merged_into")
"""Columns that both sides have and that have to be equal at the end."""

PATIENTS = """
    INSERT INTO patients (patient_id, facility_id, medical_record_number, full_name, birth_date, sex, status, registered_at,
                          email, state_version)
    SELECT gen_random_uuid(), '0190b3c4-5d6e-7f80-9a1b-2c3d4e5f6071', 'MRN' || number, 'Patient number ' || number,
           date '1940-01-01' + (number % 30000)::int, 'female', 'active', now(), 'patient' || number || '@example.org',
           nextval('backbone.state_version')
    FROM generate_series(1, $1::int) number
"""
WRITES = 200
"""Patients that change in each second while the replica is filled."""

AT_ONCE = 20
"""Patients that change in one transaction."""

KILLS = ((0.2, (KEEPER,)), (0.45, (OWNER,)), (0.7, (OWNER, KEEPER)))
"""When which processes are killed: the share of the rows that are there by then."""

PATIENCE = 900.0
"""Seconds for the whole."""


@dataclass(frozen=True, slots=True)
class Filling:
    """What was found. seconds: of the fill, kills included, and of the copy; writes: patients changed meanwhile."""

    count: int
    seconds: float
    copied_in: float
    writes: int
    kills: int

    @property
    def ratio(self) -> float:
        """Its speed against the copy's."""
        return self.copied_in / self.seconds


@dataclass(slots=True)
class Site:
    """The platform's two services, as processes that can be killed."""

    platform: Platform
    processes: dict[str, Process]

    async def start(self, name: str) -> None:
        """Starts a service with its own account's rights."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("NILECARE_")} | {
            "NILECARE_DATABASE_URL": self.platform.database_url(name),
            "NILECARE_AMQP_URL": self.platform.service_amqp_url(name),
            f"NILECARE_{name.upper()}_PORT": "0",
        }
        command = (sys.executable, "-m", "nilecare.cli", "run", name, "--log-level", "ERROR")
        self.processes[name] = await asyncio.create_subprocess_exec(*command, env=environment, stdout=DEVNULL)

    async def kill(self, *names: str) -> None:
        """kill -9, and then another one."""
        for name in names:
            self.processes[name].kill()
            await self.processes[name].wait()
        for name in names:
            await self.start(name)

    async def ring(self, name: str) -> None:
        """Tells a service that something was published in its database."""
        connection = await asyncpg.connect(self.platform.database_url(name))
        await connection.execute(f"NOTIFY {CHANNEL}")
        await connection.close()

    async def end(self) -> None:
        """Kills what runs."""
        for process in self.processes.values():
            if process.returncode is None:
                process.kill()
                await process.wait()


async def measure_filling(count: int, servers: Servers) -> Filling:
    """Once. Raises ContenderFailed when owner and replica are not equal at the end."""
    async with _site(servers) as site:
        owner, keeper = (site.platform.database_url(name) for name in (OWNER, KEEPER))
        connection = await asyncpg.connect(owner)
        await connection.execute(PATIENTS, count, timeout=PATIENCE)
        await connection.execute("VACUUM ANALYZE patients", timeout=PATIENCE)
        ids = [row["patient_id"] for row in await connection.fetch("SELECT patient_id FROM patients LIMIT 10000")]
        await connection.close()
        copied_in = await _copy(owner, keeper)
        return await _fill(site, count, ids, copied_in)


@asynccontextmanager
async def _site(servers: Servers) -> AsyncIterator[Site]:
    prefix = f"bench_{secrets.token_hex(4)}"
    amqp_url = urlsplit(servers.amqp_url)._replace(path=f"/{prefix}").geturl()
    platform = Platform(
        postgres_url=servers.postgres_url, amqp_url=amqp_url, management_url=servers.management_url, secret=secrets.token_hex(),
        prefix=prefix,
    )  # fmt: skip
    site = Site(platform, {})
    try:
        await prepare(platform, services())
        await provision(platform, services())
        yield site
    finally:
        await site.end()
        await drop_platform(platform, services())


async def _copy(owner: str, keeper: str) -> float:
    """Seconds of `COPY … TO` piped into `COPY … FROM`, into a table like the replica's."""
    source, target = await asyncpg.connect(owner), await asyncpg.connect(keeper)
    columns = ["id", *COMMON, "deleted", "changed_at", "received_at"]
    query = f"SELECT patient_id, {', '.join(COMMON)}, false, now(), now() FROM patients"
    pipe: asyncio.Queue[bytes] = asyncio.Queue(64)

    async def chunks() -> AsyncIterator[bytes]:
        while chunk := await pipe.get():
            yield chunk

    async def read() -> None:
        await source.copy_from_query(query, output=pipe.put, format="binary", timeout=PATIENCE)
        await pipe.put(b"")

    try:
        await target.execute(f"CREATE TABLE copied (LIKE {PLACE.name} INCLUDING ALL)")
        began = time.perf_counter()
        into = target.copy_to_table("copied", source=chunks(), columns=columns, format="binary", timeout=PATIENCE)
        await asyncio.gather(read(), into)
        seconds = time.perf_counter() - began
        await target.execute("DROP TABLE copied")
        return seconds
    finally:
        await source.close()
        await target.close()


async def _fill(site: Site, count: int, ids: list[UUID], copied_in: float) -> Filling:
    keeper = Database(engine_for(site.platform.database_url(KEEPER)), KEEPER)
    owner = Database(engine_for(site.platform.database_url(OWNER)), OWNER)
    written = 0

    async def write() -> None:
        nonlocal written
        at = time.perf_counter()
        while True:
            chosen = random.sample(ids, AT_ONCE)
            async with owner.transaction() as session:
                for patient in await session.scalars(select(Patient).where(Patient.patient_id.in_(chosen))):
                    patient.full_name = f"Patient number {random.randrange(10**9)}"
            written += AT_ONCE
            at += AT_ONCE / WRITES
            await asyncio.sleep(max(0.0, at - time.perf_counter()))

    try:
        for name in (OWNER, KEEPER):
            await site.start(name)
        await _are_up(site)
        began = time.perf_counter()
        async with keeper.transaction() as session:
            run = await begin(session, PLACE, "fill", "the benchmark", anew=True)
        await site.ring(KEEPER)
        writer = asyncio.create_task(write())
        kills = await _see_through(site, keeper, run, count)
        seconds = time.perf_counter() - began
        writer.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await writer
        await _become_equal(site)
        return Filling(count, seconds, copied_in, written, kills)
    finally:
        await keeper.close()
        await owner.close()


async def _are_up(site: Site) -> None:
    """Returns when both services are at work: their own replicas have asked what there is to ask."""

    async def are_up() -> bool:
        states = []
        for name in (OWNER, KEEPER):
            connection = await asyncpg.connect(site.platform.database_url(name))
            states.append(await connection.fetchval("SELECT count(*) FROM backbone.replica_run"))
            await connection.close()
        return all(states)

    await _until(are_up, lambda: "the services did not start")


async def _see_through(site: Site, keeper: Database, run: UUID, count: int) -> int:
    """Kills what is to be killed, until the run is done; how many processes that were."""
    left, kills = list(KILLS), 0
    until_ = time.perf_counter() + PATIENCE
    while time.perf_counter() < until_:
        async with keeper.transaction() as session:
            now = await run_of(session, run)
        assert now is not None
        if now.state != "running":
            return kills
        if left and now.rows >= left[0][0] * count:
            _, names = left.pop(0)
            await site.kill(*names)
            kills += len(names)
        await asyncio.sleep(0.05)
    raise ContenderFailed("the fill did not end")


async def _become_equal(site: Site) -> None:
    sums: list[Any] = []

    async def are_equal() -> bool:
        sums[:] = [
            await _sum(site.platform.database_url(OWNER), "patients", "patient_id", "true"),
            await _sum(site.platform.database_url(KEEPER), PLACE.name, "id", "NOT deleted"),
        ]
        return bool(sums[0] == sums[1])

    await _until(are_equal, lambda: f"owner and replica differ: {sums}")


async def _until(condition: Callable[[], Awaitable[bool]], failure: Callable[[], str]) -> None:
    try:
        await until(condition, within=60)
    except AssertionError:
        raise ContenderFailed(failure()) from None


async def _sum(url: str, table: str, key: str, condition: str) -> tuple[int, int]:
    """How many rows there are, and a sum over all that they say."""
    said = ", ".join(f"{column}::text" for column in (key, *COMMON))
    query = f"SELECT count(*), sum(hashtextextended(concat_ws('|', {said}), 0)) FROM {table} WHERE {condition}"
    connection = await asyncpg.connect(url)
    try:
        (row,) = await connection.fetch(query, timeout=PATIENCE)
        return row[0], row[1]
    finally:
        await connection.close()
