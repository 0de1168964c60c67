"""Acting on many: `replay`, `discard`, `restore`, and `stop` and `resume` of what was begun."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from threading import current_thread, main_thread
from typing import Any
from uuid import UUID

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from sqlalchemy import func, select

from broker import Service
from broker._actions import Action, Asker, Pace, Verb, begin, look, resume, stop
from broker._corrections import discarded_by
from broker._dead_letters import Filter, Group, groups
from broker._tables import discarded_message
from nilecare.called import called
from nilecare.dead_letters import view
from nilecare.dead_letters.access import House, as_json_option, asking, opened, run
from nilecare.dead_letters.selection import Refused, Selection, selecting
from nilecare.dead_letters.sought import sought

LOOK = 0.5
"""Seconds between two looks at how far an action is."""

Command = Callable[..., Any]


def yes_option(command: Command) -> Command:
    """`--yes`."""
    return click.option("--yes", is_flag=True, help="Do not ask: the plan is printed all the same.")(command)


def all_option(command: Command) -> Command:
    """`--all`, for what is a mistake where it was not meant for all."""
    return click.option("--all", "is_for_all", is_flag=True, help="All of them, when nothing says which.")(command)


@click.command()
@click.option("--canary", type=click.IntRange(min=1), default=1, show_default=True, help="Of each reason, tried first.")
@click.option("--few", type=click.IntRange(min=0), default=10, show_default=True, help="Of each reason, tried next.")
@click.option("--rate", type=click.FloatRange(min=0, min_open=True), help="The rest: messages a second. As fast as it goes.")
@yes_option
@as_json_option
@asking
@selecting
def replay(selection: Selection, asker: Asker, as_json: bool, yes: bool, canary: int, few: int, rate: float | None) -> None:
    """Replay messages: one of each reason first, a few more, then the rest, in order for each key.

    A reason whose cure was none is left alone as soon as one fails for it again. Ends with status 1 when a message did not end.
    """
    ended = run(_act("replay", selection, asker, Pace(canary, few, rate), is_sure=yes, quiet=as_json))
    _tell(ended, as_json)
    if any(not view.is_well(action) for _, action in ended):
        raise click.exceptions.Exit(1)


@click.command()
@all_option
@yes_option
@as_json_option
@asking
@selecting
def discard(selection: Selection, asker: Asker, as_json: bool, yes: bool, is_for_all: bool) -> None:
    """Let messages go without effect. They count as handled, what lies behind them goes on, and they can be restored.

    A service or a state alone does not say which: then --all has to.
    """
    _check_narrowed("discard", selection.is_narrowed or is_for_all)
    _tell(run(_act("discard", selection, asker, Pace(), is_sure=yes, quiet=as_json)), as_json)


@click.command()
@click.option("--action", "action_id", type=click.UUID, help="What this action discarded, as `history` names it.")
@all_option
@yes_option
@as_json_option
@asking
@selecting
def restore(selection: Selection, asker: Asker, as_json: bool, yes: bool, is_for_all: bool, action_id: UUID | None) -> None:
    """Make discarded messages dead letters again, in their old places. Nothing takes effect by that, but keys are held again.

    A service alone does not say which: then --all has to.
    """
    _check_narrowed("restore", selection.is_narrowed or is_for_all or action_id is not None)
    ended = run(_act("restore", selection, asker, Pace(), is_sure=yes, quiet=as_json, action_id=action_id))
    _tell(ended, as_json)


@click.command("stop")
@click.argument("action_id", type=click.UUID, metavar="ACTION")
@click.option("--service", help="Where it is, if only one service's address is known.")
def stop_(action_id: UUID, service: str | None) -> None:
    """Stop an action after the message in hand. What it has done stays; `resume` goes on."""

    async def work() -> bool:
        async with opened(await _service_of(action_id, service)) as house, house.database.transaction() as session:
            return await stop(session, action_id)

    if not run(work()):
        raise Refused("it has ended already")
    click.echo(f"stopped. Go on: {called()} dead-letters resume {action_id}")


@click.command("resume")
@click.argument("action_id", type=click.UUID, metavar="ACTION")
@click.option("--service", help="Where it is, if only one service's address is known.")
@as_json_option
def resume_(action_id: UUID, service: str | None, as_json: bool) -> None:
    """Go on with an action that was stopped, or whose process was killed, where it was."""

    async def work() -> list[tuple[str, Action]]:
        async with opened(await _service_of(action_id, service)) as house:
            async with house.database.transaction() as session:
                action = await look(session, action_id) if not await resume(session, action_id) else None
                if action is not None and action.state != "running":
                    raise Refused(view.why_not_resumed(house.name, action))
            return [(house.name, await _watch(house, action_id, quiet=as_json))]

    ended = run(work())
    _tell(ended, as_json)
    if any(not view.is_well(action) for _, action in ended):
        raise click.exceptions.Exit(1)


def _check_narrowed(verb: Verb, is_narrowed: bool) -> None:
    if not is_narrowed:
        which = "--action, --fingerprint, --id" if verb == "restore" else "--fingerprint, --type, --id"
        raise Refused(f"say which messages to {verb} ({which}, …: see --help), or --all if you mean all of them")


def _tell(ended: list[tuple[str, Action]], as_json: bool) -> None:
    if as_json:
        view.as_json([view.action_as_json(service, action, []) for service, action in ended])
    else:
        for service, action in ended:
            click.echo(view.ended_line(service, action))


async def _act(
    verb: Verb,
    selection: Selection,
    asker: Asker,
    pace: Pace,
    *,
    is_sure: bool,
    quiet: bool,
    action_id: UUID | None = None,
) -> list[tuple[str, Action]]:
    """Says what it is going to do, asks, and does it, one service after the other."""
    plan: list[tuple[Service, Filter, list[Group], int]] = []
    for service, meant in await sought(selection):
        async with opened(service) as house, house.database.transaction() as session:
            if verb == "restore":
                wanted = replace(meant, states=())  # that they were in before does not matter
                if action_id is not None:
                    wanted = await discarded_by(session, wanted, action_id)
                count = select(func.count()).select_from(discarded_message).where(wanted.on(discarded_message))
                plan.append((service, wanted, [], await session.scalar(count) or 0))
            else:
                found = await groups(session, meant)
                plan.append((service, meant, found, sum(each.count for each in found)))
    plan = [each for each in plan if each[3]]
    if not plan:
        raise Refused("no discarded message is like that" if verb == "restore" else "no failed message is like that")
    total = sum(each[3] for each in plan)
    if not quiet or not is_sure:
        view.plan(verb, [(service.name, found, count) for service, _, found, count in plan], pace, err=quiet)
    if not is_sure and not _confirmed(f"{verb} {view.plural(total, 'message')}?", err=quiet):
        raise Refused("nothing was done")
    ended = []
    for service, wanted, _, _ in plan:
        async with opened(service) as house:
            async with house.database.transaction() as session:
                action = await begin(session, verb, wanted, asker, pace=pace)
            ended.append((service.name, await _watch(house, action.id, quiet=quiet)))
    return ended


def _confirmed(question: str, *, err: bool) -> bool:
    """What a person says to it. Raises Refused when there is neither a terminal nor an answer on standard input."""
    try:
        if sys.stdin is not None:
            return click.confirm(question, err=err)
    except click.Abort as aborted:
        if sys.stdin.isatty() or not isinstance(aborted.__context__, EOFError):
            raise
    click.echo(err=err)
    raise Refused("nobody can be asked here, so nothing was done: give --yes if you mean it")


async def _watch(house: House, id_: UUID, *, quiet: bool) -> Action:
    """Carries an action out, or watches the service do it, and shows how far it is. Ctrl-C stops the action."""
    console = Console(stderr=True, quiet=quiet)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with _interrupted() as asked, Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task(house.name)
        carrying = asyncio.create_task(house.actions.carry_out(id_))
        while True:
            async with house.database.transaction() as session:
                action = await look(session, id_)
                if asked.is_set() and action is not None and action.state == "running":
                    await stop(session, id_)
            assert action is not None
            progress.update(bar, total=action.total, completed=action.total - action.left)
            if carrying.done():
                carrying.result()
                if action.state != "running":
                    return action
                carrying = asyncio.create_task(house.actions.carry_out(id_))
            await asyncio.wait([carrying], timeout=LOOK)


@contextmanager
def _interrupted() -> Iterator[asyncio.Event]:
    """Set by Ctrl-C or SIGTERM, which do nothing else meanwhile."""
    asked, loop = asyncio.Event(), asyncio.get_running_loop()
    numbers = (signal.SIGINT, signal.SIGTERM) if current_thread() is main_thread() else ()
    for number in numbers:
        loop.add_signal_handler(number, asked.set)
    try:
        yield asked
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


async def _service_of(action_id: UUID, name: str | None) -> Service:
    """The service in whose database an action is. Raises Refused."""
    for service in Selection(service=name, filter=Filter()).services():
        async with opened(service) as house, house.database.transaction() as session:
            if await look(session, action_id) is not None:
                return service
    raise Refused(f"there is no action {action_id}: {called()} dead-letters history lists those that there are")


COMMANDS = (replay, discard, restore, stop_, resume_)
