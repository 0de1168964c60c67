"""A process that calls outside, to be killed: `python -m tests.broker.caller_process DATABASE_URL PROVIDER`."""

from __future__ import annotations

import asyncio
import sys
from datetime import timedelta

import httpx
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession

from broker import World, ask, outside, publish
from broker._calls import CallWorkers
from broker._database import Database, engine_for
from contracts.event import Event


class Charge(BaseModel):
    """What is asked for."""

    account: str
    amount: int


class Charged(BaseModel):
    """What came of it."""

    amount: int


class AccountCharged(Event, name="account.charged", version=1, key="account", publisher="till"):
    """The effect."""

    account: str
    amount: int


async def look_up(request: Charge, key: str, world: World) -> Charged | None:
    """Asks the provider."""
    reply = await world.http.get(f"{world['provider']}/charges/{key}")
    return None if reply.status_code == httpx.codes.NOT_FOUND else Charged.model_validate_json(reply.raise_for_status().content)


@outside(deadline=timedelta(seconds=1), if_unknown=ask(look_up))
async def charge(request: Charge, key: str, world: World) -> Charged:
    """Charges."""
    reply = await world.http.post(f"{world['provider']}/charges/{key}", content=request.model_dump_json())
    return Charged.model_validate_json(reply.raise_for_status().content)


@charge.then
async def note(session: AsyncSession, request: Charge, outcome: Charged) -> None:
    """Publishes, with nothing in the database that would refuse a second time."""
    publish(session, AccountCharged(account=request.account, amount=outcome.amount))


async def main(database_url: str, provider: str) -> None:
    """Makes calls until it is killed."""
    database = Database(engine_for(database_url), "till")
    await CallWorkers(database, [charge], {"provider": provider}, interval=0.05, first_pause=0.05).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
