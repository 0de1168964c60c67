"""What the commands share: a service's database, the engine on it, and who asks."""

from __future__ import annotations

import asyncio
import getpass
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cached_property, wraps
from typing import Any, TypeVar

import aiormq
import asyncpg
import click
from sqlalchemy.exc import DBAPIError

from broker import Service, Settings, clock
from broker._acting import ActionLoop
from broker._actions import Asker
from broker._database import Database, engine_for
from broker._envelope import Envelope
from broker._failures import Failures
from broker._replay import Retrier
from broker._verdicts import Verdict
from broker._wakeup import Notifier
from nilecare.addresses import AddressError, known, settings_for
from nilecare.dead_letters.selection import Refused

Result = TypeVar("Result")
Command = Callable[..., Any]


class Told(Failures):
    """Failures whose outcome the command itself prints."""

    def tell(self, subscription: str, envelope: Envelope | None, verdict: Verdict, attempts: int) -> None:
        """Leaves the log alone."""


@dataclass(frozen=True)
class House:
    """One service, as its own account sees it."""

    service: Service
    settings: Settings
    database: Database

    async def wake(self) -> None:
        """Tells the running service at once what was published."""
        notifier = Notifier(self.service.name, self.database.engine)
        notifier.wake()
        await notifier.run_once()

    @property
    def name(self) -> str:
        """The service's name."""
        return self.service.name

    @cached_property
    def failures(self) -> Failures:
        """Where its failed messages are kept."""
        return Told(self.service)

    @cached_property
    def retrier(self) -> Retrier:
        """What runs them through its handlers."""
        return Retrier(self.database, self.service, self.failures)

    @cached_property
    def actions(self) -> ActionLoop:
        """What carries actions out."""
        return ActionLoop(self.retrier)


@asynccontextmanager
async def opened(service: Service) -> AsyncIterator[House]:
    """The service's database; what was published in it is told to the running service at the end.

    Raises Refused in one line when it cannot be reached.
    """
    try:
        settings = settings_for(service)
        database = Database(engine_for(settings.database_url, pool_size=3), service.name)
        published: list[None] = []
        database.on_publish = lambda: published.append(None)
        try:
            await clock.take_over(database.engine)
            house = House(service, settings, database)
            yield house
            if published:
                await house.wake()
        finally:
            await database.close()
    except AddressError as absent:
        raise Refused(str(absent)) from absent
    except aiormq.AMQPError as failure:
        raise Refused(f"RabbitMQ refuses {service.name} ({type(failure).__name__}): nothing was lost") from failure
    except (DBAPIError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as failure:
        orig = getattr(failure, "orig", None)
        why = type(getattr(orig, "__cause__", None) or orig or failure).__name__
        raise Refused(f"the database of {service.name} does not answer as it should ({why})") from failure


def run(work: Awaitable[Result]) -> Result:
    """Runs a command's work."""

    async def running() -> Result:
        return await work

    return asyncio.run(running())


def asking(command: Command) -> Command:
    """The options that say who asks, and why; the command receives an Asker."""

    @click.option("--as", "name", help="Who you are, for the history. NILECARE_OPERATOR, or your login.")
    @click.option("--why", required=True, help="Why, for the history: no personal data.")
    @wraps(command)
    def with_asker(*arguments: Any, name: str | None, why: str, **options: Any) -> Any:
        if not why.strip():
            raise click.BadParameter("say why, for whoever reads the history", param_hint="--why")
        return command(*arguments, asker=asker_of(name, why), **options)

    return with_asker


def asker_of(name: str | None, why: str) -> Asker:
    """Who asks: as they say, or as the environment or their login says."""
    return Asker(name or known().get("NILECARE_OPERATOR") or getpass.getuser(), why)


def as_json_option(command: Command) -> Command:
    """`--json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)
