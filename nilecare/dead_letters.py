"""`nilecare dead-letters`: the messages that could not be handled, what became of them, and what to do about them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import aiormq
import asyncpg
import click
from sqlalchemy.exc import DBAPIError

from broker import Service, Settings
from broker._database import Database, engine_for
from broker._dead import DeadDrain
from broker._dead_letters import Filter, discard, find
from broker._envelope import Envelope
from broker._failures import Failures
from broker._replay import Outcome, Retrier
from broker._verdicts import Verdict
from broker._wakeup import Notifier
from nilecare import dead_letters_view as view
from nilecare.addresses import AddressError, settings_for
from nilecare.dead_letters_selection import Refused, Selection, declared, selecting
from nilecare.dead_letters_view import Located

Result = TypeVar("Result")


class Told(Failures):
    """Failures whose outcome the command itself prints."""

    def tell(self, subscription: str, envelope: Envelope | None, verdict: Verdict, attempts: int) -> None:
        """Leaves the log alone."""


@click.group("dead-letters")
def group() -> None:
    """Messages that could not be handled: dead ones need a person, the others go on by themselves."""


@group.command("list")
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, help="Messages to print.")
@selecting
def list_(selection: Selection, as_json: bool, limit: int) -> None:
    """List the failed messages of all services, oldest first."""
    found = _run(_find(selection))
    if as_json:
        view.as_json([each.as_json() for each in found])
    else:
        view.overview(found, limit=limit)


@group.command()
@click.option("--with-body", is_flag=True, help="Print body and properties too. They hold personal data.")
@selecting
def show(selection: Selection, as_json: bool, with_body: bool) -> None:
    """Show messages in full: what, why, since when, how many lie behind it, and what to do next."""
    found = _some(_run(_find(selection, with_body=with_body)))
    if as_json:
        view.as_json([each.as_json() for each in found])
        return
    for each in found:
        view.details(each)


@group.command()
@click.option("--dry-run", is_flag=True, help="Do it and roll it back, before any call to the outside.")
@click.option("--all", "everything", is_flag=True, help="All that the filters select, without naming each.")
@selecting
def retry(selection: Selection, as_json: bool, dry_run: bool, everything: bool) -> None:
    """Try messages again now, in order, with what lies behind them. Ends with status 1 when one failed again."""

    async def work() -> list[tuple[Located, Outcome, int]]:
        found = _chosen(await _find(selection), selection, everything)
        return [tried async for tried in _retry(found, dry_run)]

    tried = _run(work())
    if as_json:
        view.as_json([_tried_as_json(each, outcome, followed) for each, outcome, followed in tried])
    else:
        for each, outcome, followed in tried:
            click.echo(view.outcome_line(each, outcome, dry_run=dry_run, followed=followed))
    if any(not outcome.is_over for _, outcome, _ in tried):
        raise click.exceptions.Exit(1)


@group.command("discard")
@click.option("--all", "everything", is_flag=True, help="All that the filters select, without naming each.")
@selecting
def discard_(selection: Selection, as_json: bool, everything: bool) -> None:
    """Let messages go without effect. They count as handled, and what lies behind them goes on."""

    async def work() -> list[tuple[Located, bool]]:
        found = _chosen(await _find(selection), selection, everything)
        let_go = []
        for each in found:
            async with _database(_service(each.service)) as (database, _):
                let_go.append((each, await discard(database, each.message.position)))
        return let_go

    let_go = _run(work())
    if as_json:
        view.as_json([{"handle": each.handle, "id": each.message.id, "discarded": done} for each, done in let_go])
        return
    for each, done in let_go:
        behind = f"; {each.message.behind} behind it go on when {each.service} runs" if each.message.behind else ""
        click.echo(f"{each.handle}  {'discarded' + behind if done else 'is gone: it went through meanwhile'}")


@group.command()
@click.option("--service", help="Only of this service.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def drain(service: str | None, as_json: bool) -> None:
    """Take in what RabbitMQ gave up (<service>.dead). A running service does this by itself."""

    async def work() -> dict[str, int]:
        taken = {}
        for each in Selection(service=service, filter=Filter(), handles=()).services():
            async with _database(each) as (database, settings):
                loop = DeadDrain(database, each, settings, Told(each))
                try:
                    taken[each.name] = await loop.drain()
                finally:
                    await loop.close()
        return taken

    taken = _run(work())
    if as_json:
        view.as_json(taken)
        return
    for name, count in taken.items():
        click.echo(f"{name}.dead: {count} taken in")


async def _find(selection: Selection, *, with_body: bool = False) -> list[Located]:
    found = []
    for service in selection.services():
        wanted = selection.in_service(service.name)
        if wanted is None:
            continue
        async with _database(service) as (database, _), database.transaction() as session:
            found += [Located(service.name, message) for message in await find(session, wanted, with_body=with_body)]
    return found


async def _retry(found: Sequence[Located], dry_run: bool) -> AsyncIterator[tuple[Located, Outcome, int]]:
    for name in dict.fromkeys(each.service for each in found):
        service = _service(name)
        async with _database(service) as (database, _):
            notifier = Notifier(service.name, database.engine)
            database.on_publish = notifier.wake
            retrier = Retrier(database, service, Told(service))
            for each in found:
                if each.service != name:
                    continue
                outcome = await retrier.retry(each.message.position, dry_run=dry_run)
                goes_on = outcome.is_over and not dry_run and outcome.result != "gone"
                yield each, outcome, await retrier.follow(each.message.subscription, each.message.key) if goes_on else 0
            await notifier.run_once()


@asynccontextmanager
async def _database(service: Service) -> AsyncIterator[tuple[Database, Settings]]:
    """The service's database, as the service itself. Raises Refused in one line when it cannot be reached."""
    try:
        settings = settings_for(service)
        database = Database(engine_for(settings.database_url, pool_size=2), service.name)
        try:
            yield database, settings
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


def _run(work: Awaitable[Result]) -> Result:
    async def run() -> Result:
        return await work

    return asyncio.run(run())


def _service(name: str) -> Service:
    return next(service for service in declared() if service.name == name)


def _some(found: list[Located]) -> list[Located]:
    if not found:
        raise Refused("no failed message is like that")
    return found


def _chosen(found: list[Located], selection: Selection, everything: bool) -> list[Located]:
    """What may be acted on: each message was named, or there is one, or all of them were asked for."""
    found = _some(found)
    if len(found) > 1 and not selection.is_explicit and not everything:
        raise Refused(f"that selects {len(found)} messages: say --all, or name them with --id")
    return found


def _tried_as_json(each: Located, outcome: Outcome, followed: int) -> dict[str, Any]:
    verdict = outcome.verdict
    return {
        "handle": each.handle,
        "id": each.message.id,
        "result": outcome.result,
        "state": verdict.state if verdict else None,
        "error": verdict.error if verdict else None,
        "reason": verdict.reason if verdict else None,
        "published": list(outcome.published),
        "followed": followed,
    }
