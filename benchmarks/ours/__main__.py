"""The backbone's process. Options: `journal` keeps what was relayed; `poison` makes one posting in a hundred fail for good."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import uvloop
from sqlalchemy import insert

from benchmarks.contending import Prepared, Where, Workload, main
from benchmarks.effects import Account, Base, accounts, events
from benchmarks.ours import inserting, ledger, refusing, replicas, updating
from benchmarks.ours import reader as says_nothing
from broker import Service, publish
from broker._database import Database, engine_for
from broker._logs import configure_logs
from broker._provision import provision
from broker._relay import Relay
from broker._runtime import Runtime
from broker._service import check_platform
from contracts.event import Event
from nilecare.addresses import Platform

LEDGER = Service(name="ledger", port=0, contracts=ledger)


HANDLERS = {"insert": inserting, "update": updating, "relay": inserting}


def reader(workload: Workload, options: frozenset[str]) -> Service:
    """The subscriber of a workload."""
    if workload == "replica":
        return Service(name="reader", port=0, contracts=says_nothing, replicas=replicas)
    handlers = refusing if "poison" in options else HANDLERS[workload]
    return Service(name="reader", port=0, contracts=says_nothing, handlers=handlers)


def published(workload: Workload, count: int) -> Iterable[Event]:
    """The events of a workload, as contracts."""
    contract = ledger.AccountChanged if workload == "replica" else ledger.Posted
    return (contract(**event.model_dump()) for event in events(workload, count))


class Backbone:
    """A publisher's process for `relay`, a subscriber's for the other workloads."""

    def __init__(self, where: Where, options: frozenset[str]) -> None:
        self._options = options
        self._platform = Platform(
            postgres_url=where.postgres_url,
            amqp_url=where.amqp_url,
            management_url=where.management_url,
            secret="benchmark",
            prefix=where.name,
        )

    async def prepare(self, workload: Workload, count: int) -> Prepared:
        services = [LEDGER, reader(workload, self._options)]
        await provision(self._platform, services)
        await self._make_tables(workload)
        await self._publish(published(workload, count))
        if workload != "relay":
            await self._relay_all()
        subscription = services[1].subscriptions[0]
        return Prepared(services[1].queue(subscription), self._platform.settings_for(services[1]).database_url)

    async def work(self, workload: Workload) -> None:
        configure_logs("WARNING")
        subscriber = reader(workload, self._options)
        service = LEDGER if workload == "relay" else subscriber
        settings = self._platform.settings_for(service, journal="journal" in self._options)
        runtime = Runtime(service, settings, subscribed=check_platform([LEDGER, subscriber]))
        await runtime.start()
        try:
            await asyncio.Event().wait()
        finally:
            await runtime.stop()

    async def _make_tables(self, workload: Workload) -> None:
        engine = engine_for(self._platform.database_url("reader"))
        async with engine.begin() as connection:
            if workload == "replica":
                await connection.run_sync(replicas.Base.metadata.create_all)
            else:
                await connection.run_sync(Base.metadata.create_all)
                await connection.execute(insert(Account), accounts())
        await engine.dispose()

    async def _publish(self, made: Iterable[Event]) -> None:
        database = Database(engine_for(self._platform.database_url("ledger")), "ledger")
        waiting = list(made)
        for begin in range(0, len(waiting), 1000):
            async with database.transaction() as session:
                for event in waiting[begin : begin + 1000]:
                    publish(session, event)
        await database.close()

    async def _relay_all(self) -> None:
        relay = Relay("ledger", self._platform.settings_for(LEDGER), subscribed={})
        while await relay.run_once() or not relay.is_active:
            pass
        await relay.close()


if __name__ == "__main__":
    main(Backbone, uvloop.run)
