"""The README's example, as it stands there, on real servers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from types import ModuleType
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from broker import Service, Settings
from broker._alignment import apply
from broker._database import engine_for
from broker._management import Management
from broker._runtime import Runtime
from broker._service import check_platform
from broker._topology import Topology
from broker.servers import Servers
from broker.testing.scratch import Databases, VirtualHosts
from tests.docs.pages import blocks
from tests.waiting import until


class Base(DeclarativeBase):
    """The tables of both services."""


class Meal(Base):
    """What the kitchen keeps."""

    __tablename__ = "meal"

    position: Mapped[int] = mapped_column(primary_key=True)
    patient_id: Mapped[UUID]
    kilocalories: Mapped[int]


class Intake(Base):
    """What the diet service keeps; nothing unique, so that a second effect would be seen."""

    __tablename__ = "intake"

    position: Mapped[int] = mapped_column(primary_key=True)
    patient_id: Mapped[UUID]
    kilocalories: Mapped[int]


@dataclass(frozen=True, slots=True)
class Example:
    """The README's code as a module, and the two services in it at work."""

    code: ModuleType
    kitchen: Runtime
    diet: Runtime

    async def eaten(self, patient_id: UUID) -> list[int]:
        """What the diet service has added up, in the order in which it did."""
        query = select(Intake.kilocalories).where(Intake.patient_id == patient_id).order_by(Intake.position)
        async with self.diet.database.transaction() as session:
            return list(await session.scalars(query))


@pytest.fixture
async def example(servers: Servers, database: Databases, vhost: VirtualHosts) -> AsyncIterator[Example]:
    code = ModuleType("contracts.kitchen")
    vars(code).update(Meal=Meal, Intake=Intake)
    [source] = [block.text for block in blocks("README.md") if block.language == "python"]
    exec(compile(source, "README.md", "exec", dont_inherit=True), vars(code))
    platform = [
        Service(name="kitchen", port=1, contracts=code),
        Service(name="diet", port=2, contracts=ModuleType("contracts.diet"), handlers=code),
    ]
    amqp_url = await vhost()
    async with Management(servers.management_url, urlsplit(amqp_url).path[1:]) as management:
        await apply(management, Topology.of(platform))
    async with AsyncExitStack() as stack:
        running = []
        for service in platform:
            settings = Settings(database_url=await database(), amqp_url=amqp_url, port=0)
            engine = engine_for(settings.database_url)
            async with engine.begin() as connection:
                await connection.run_sync(Base.metadata.create_all)
            await engine.dispose()
            runtime = Runtime(service, settings, subscribed=check_platform(platform))
            stack.push_async_callback(runtime.stop)
            await runtime.start()
            running.append(runtime)
        yield Example(code, *running)


async def test_what_is_committed_arrives_once_and_in_order(example: Example) -> None:
    """Twenty meals of one patient are added up one by one; a meal that was rolled back never was."""
    patient_id = uuid4()
    with pytest.raises(RuntimeError, match="dropped"):
        async with example.kitchen.database.transaction() as session:
            await example.code.serve_meal(session, patient_id, 999)
            raise RuntimeError("dropped")
    for kilocalories in range(100, 120):
        async with example.kitchen.database.transaction() as session:
            await example.code.serve_meal(session, patient_id, kilocalories)

    async def all_came() -> bool:
        return len(await example.eaten(patient_id)) >= 20

    await until(all_came)
    assert await example.eaten(patient_id) == list(range(100, 120))
