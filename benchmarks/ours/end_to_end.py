"""Publisher and subscriber in one process, from a command's commit to its effect's. See `benchmarks.pace`."""

from __future__ import annotations

import itertools
from uuid import UUID

import uvloop
from sqlalchemy import insert

from benchmarks.contending import Where
from benchmarks.effects import Account, Base, Entry, accounts, posting
from benchmarks.ours import ledger, timing
from benchmarks.ours import reader as says_nothing
from benchmarks.pace import Pace, asked
from broker import Service, publish
from broker._database import engine_for
from broker._logs import configure_logs
from broker._provision import provision
from broker._runtime import Runtime
from broker._service import check_platform
from nilecare.addresses import Platform

SERVICES = (
    Service(name="ledger", port=0, contracts=ledger),
    Service(name="reader", port=0, contracts=says_nothing, handlers=timing),
)


async def run(where: Where) -> None:
    """Both services at work, and commands at the pace that was asked for."""
    configure_logs("WARNING")
    platform = Platform(
        postgres_url=where.postgres_url,
        amqp_url=where.amqp_url,
        management_url=where.management_url,
        secret="benchmark",
        prefix=where.name,
    )
    await provision(platform, SERVICES)
    for service in SERVICES:
        engine = engine_for(platform.database_url(service.name))
        async with engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
            await connection.execute(insert(Account), accounts())
        await engine.dispose()
    publisher, subscriber = (
        Runtime(service, platform.settings_for(service), subscribed=check_platform(SERVICES)) for service in SERVICES
    )
    numbers = itertools.count()

    async def command() -> UUID:
        made = posting(next(numbers))
        async with publisher.database.transaction() as session:
            session.add(Entry(id=made.entry_id, account_id=made.account_id, amount=made.amount, note=made.note))
            publish(session, ledger.Posted(**made.model_dump()))
        return made.entry_id

    rate, seconds = asked()
    pace = Pace(command, rate=rate, seconds=seconds)
    timing.told.append(pace.took_effect)
    try:
        await publisher.start()
        await subscriber.start()
        await pace.run()
    finally:
        await publisher.stop()
        await subscriber.stop()


if __name__ == "__main__":
    uvloop.run(run(Where.from_environment()))
