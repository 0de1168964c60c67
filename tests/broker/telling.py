"""Services whose messages fail, and operations, which keeps what they tell of it; with a ferry between their databases in place
of the broker."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from sqlalchemy import select, text

from broker import Permanent, Service
from broker._answering import subscription_to_replicas
from broker._batch import BatchProcessor
from broker._copied import state_event_of
from broker._database import Database, engine_for
from broker._envelope import Envelope
from broker._failures import Failures
from broker._replica_keeper import ReplicaKeeper
from broker._replica_processor import ReplicaProcessor, replica_fed_by
from broker._replica_runs import Place, Run, drift_of, runs
from broker._replicas import Replica
from broker._reporting import Reporter
from broker._tables import told
from broker.testing.scratch import Databases
from contracts.backbone import ReplicaRequested, ReplicaStates
from services.operations.app import service as operations
from services.operations.replicas import FailedMessageReference, FailureActionReference, ServiceCopyReference
from tests.broker.failing import Desk, make_desk
from tests.broker.ferrying import Crossing

REPLICAS: tuple[type[Replica[Any]], ...] = (FailedMessageReference, FailureActionReference, ServiceCopyReference)

COUNTED = """
    SELECT service, state, sum(count) FROM failure_counts GROUP BY service, state HAVING sum(count) <> 0
"""


@dataclass
class Tellers(Crossing):
    """Some desks by the names under which they tell what failed, operations' database, and what is on its way between them."""

    desks: Mapping[str, Desk]
    down: set[str] = field(default_factory=set)
    """Those that were killed: what goes to them waits."""

    def __post_init__(self) -> None:
        for name, desk in self.desks.items():
            teller = Service(name=name, port=0, contracts=ModuleType(f"contracts_of_{name}"))
            self.processors[name] = BatchProcessor(desk.database, teller, subscription_to_replicas(teller), Failures(teller))
        for subscription in operations.subscriptions:
            if replica_fed_by(operations, subscription) in REPLICAS:
                processor = ReplicaProcessor(self.keeper, operations, subscription, Failures(operations))
                self.processors[operations.queue(subscription)] = processor

    def place(self, owner: str, replica: type[Replica[Any]] = FailedMessageReference) -> Place:
        """What operations keeps of one of them."""
        return Place("operations", replica, owner)

    async def tell(self) -> None:
        """Those who are up tell everything that changed; nobody has heard it yet."""
        for name, desk in self._up().items():
            reporter = Reporter(desk.database, name, is_heard=True)
            while await reporter.run_once():
                pass

    def _up(self) -> dict[str, Desk]:
        return {name: desk for name, desk in self.desks.items() if name not in self.down}

    def databases(self) -> Mapping[str, Database]:
        return {name: desk.database for name, desk in self._up().items()} | {"operations": self.keeper}

    def addressees(self, envelope: Envelope) -> list[str]:
        if envelope.type == ReplicaRequested.contract.name:
            return list(self.desks)
        if envelope.type == ReplicaStates.contract.name:
            return [envelope.subject]
        copies = [each for each in REPLICAS if state_event_of(each).contract.name == envelope.type]
        return [f"operations.{each.__tablename__}" for each in copies]

    def is_up(self, to: str) -> bool:
        return to not in self.down

    async def settle(self) -> None:
        """Tells and delivers everything, with all that follows."""
        await self.tell()
        await super().settle()

    async def keep(self, *replicas: type[Replica[Any]]) -> None:
        """A round of what looks after operations' replicas."""
        places = [self.place(name, replica) for replica in replicas or REPLICAS for name in self.desks]
        await ReplicaKeeper(self.keeper, places, check_every=None).run_once()

    async def runs(self, place: Place) -> list[Run]:
        """Its runs, the first one first."""
        async with self.keeper.transaction() as session:
            return list(reversed(await runs(session, place)))

    async def drift(self, run: Run) -> dict[str, str]:
        """The keys that a run confirmed to differ, and how."""
        async with self.keeper.transaction() as session:
            return {key: kind for key, kind, _ in await drift_of(session, run.id)}

    async def damage(self, statement: str, **values: Any) -> None:
        """Somebody has their hands in operations' database."""
        async with self.keeper.transaction() as session:
            await session.execute(text(statement), values)

    async def rows(self, statement: str, **values: Any) -> list[tuple[Any, ...]]:
        """What a query finds in operations' database."""
        async with self.keeper.transaction() as session:
            return [tuple(row) for row in await session.execute(text(statement), values)]

    async def told(self, replica: type[Replica[Any]] = FailedMessageReference) -> dict[str, int]:
        """The version of each state that was told, by its key."""
        event = state_event_of(replica).contract
        found: dict[str, int] = {}
        for desk in self.desks.values():
            async with desk.database.transaction() as session:
                states = await session.scalars(select(told.c.state).where(told.c.type == event.name))
                found |= {state[event.key]: state["state_version"] for state in states}
        return found

    async def kept(self, replica: type[Replica[Any]] = FailedMessageReference) -> dict[str, int]:
        """The same of what operations has."""
        rows = await self.rows(f"SELECT id, state_version FROM {replica.__tablename__} WHERE NOT deleted")
        return {str(id_): version for id_, version in rows}

    async def assert_true(self) -> None:
        """Operations has exactly what fails, in its newest state, and has counted it rightly."""
        await self.settle()
        failed: dict[str, tuple[str, int, str]] = {}
        for name, desk in self.desks.items():
            failed |= {f"{name}/{row.position}": (row.state, row.attempts, row.reason) for row in await desk.rows()}
        query = "SELECT id, state, attempts, reason FROM failed_message_reference WHERE NOT deleted"
        assert {row[0]: row[1:] for row in await self.rows(query)} == failed
        counted = {(service, state): int(count) for service, state, count in await self.rows(COUNTED)}
        assert counted == Counter((key.partition("/")[0], state) for key, (state, *_) in failed.items())
        assert await self.kept() == await self.told()


@asynccontextmanager
async def tellers_over(make: Databases, *names: str) -> AsyncIterator[Tellers]:
    """Desks that tell under these names, and operations, each with a database made for it."""
    desks = {name: await make_desk(await make()) for name in names}
    url = await make(tables=operations.tables, migrations=operations.migrations)
    keeper = Database(engine_for(url), "operations")
    try:
        yield Tellers(keeper, desks)
    finally:
        for database in (keeper, *(desk.database for desk in desks.values())):
            await database.close()


async def fail(desk: Desk, *numbers: int) -> list[int]:
    """As many messages fail, each of a key of its own; gives their positions."""
    return [await desk.fail(f"item-{number}", number, Permanent(f"never {number}")) for number in numbers]
