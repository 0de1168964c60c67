"""Looking: `list`, `groups`, `show`, `try`, `history`. Nothing is changed, but that a look at personal data is written down."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from uuid import UUID

import click

from broker._actions import Action, Part, history, look, parts, past_of
from broker._dead_letters import Filter, Group, count, find, groups
from broker._inspection import Inspected, inspect
from broker._trial import Trial, attempt
from nilecare.dead_letters import view
from nilecare.dead_letters.access import as_json_option, asker_of, opened, run
from nilecare.dead_letters.selection import Refused, Selection, handle_of, selecting
from nilecare.dead_letters.sought import sought
from nilecare.dead_letters.view import Located


@click.command("list")
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, help="Messages to print, of each service.")
@click.option("--after", metavar="HANDLE", help="Only those after this one, such as billing/17: the next page.")
@as_json_option
@selecting
def list_(selection: Selection, as_json: bool, limit: int, after: str | None) -> None:
    """List failed messages, oldest first: dead ones, unless you say --state."""
    position = 0
    if after is not None:
        name, position = handle_of(after, "--after")
        selection = replace(selection, service=name)

    async def work() -> tuple[list[Located], Counter[str]]:
        found, counts = [], Counter[str]()
        for service, wanted in await sought(selection):
            async with opened(service) as house, house.database.transaction() as session:
                page = await find(session, wanted, limit=limit, after=position)
                found += [Located(house.name, message) for message in page]
                counts[house.name] = await count(session, wanted)
        return found, counts

    found, counts = run(work())
    if as_json:
        view.as_json([each.as_json() for each in found])
    else:
        view.overview(found, counts, after=position)


@click.command("groups")
@as_json_option
@selecting
def groups_(selection: Selection, as_json: bool) -> None:
    """Group failed messages by what they failed for: the reason to repair first is the first."""

    async def work() -> list[tuple[str, Group]]:
        found = []
        for service, wanted in await sought(selection):
            async with opened(service) as house, house.database.transaction() as session:
                found += [(house.name, group) for group in await groups(session, wanted)]
        return sorted(found, key=lambda each: -each[1].count)

    found = run(work())
    if as_json:
        view.as_json([view.group_as_json(service, group) for service, group in found])
    else:
        view.groups(found)


@click.command()
@click.option("--reveal", is_flag=True, help="Show personal data too. It is written down that you did: say --why.")
@click.option("--as", "name", help="Who you are, for the history. NILECARE_OPERATOR, or your login.")
@click.option("--why", help="Why you have to see personal data.")
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="Messages to show, of each service.")
@as_json_option
@selecting
def show(selection: Selection, as_json: bool, reveal: bool, name: str | None, why: str | None, limit: int) -> None:
    """Show messages in full: what, why, since when, what was done about them, and what to do next."""
    if reveal and not (why or "").strip():
        raise click.BadParameter("say why you have to see personal data", param_hint="--why")
    asker = asker_of(name, why or "")

    async def work() -> list[tuple[str, Inspected]]:
        found = []
        for service, wanted in await sought(selection):
            async with opened(service) as house, house.database.transaction() as session:
                seen = await inspect(session, house.retrier, wanted, limit=limit, asker=asker if reveal else None)
                found += [(house.name, each) for each in seen]
        return found

    found = run(work())
    if not found:
        raise Refused("no failed message is like that")
    if as_json:
        view.as_json([view.whole_as_json(*each) for each in found])
        return
    for each in found:
        view.details(*each)


@click.command("try")
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="Messages to try, of each service.")
@as_json_option
@selecting
def try_(selection: Selection, as_json: bool, limit: int) -> None:
    """Try messages without any effect: the real handler, rolled back, before any call to the outside.

    Ends with status 1 when a replay would not end one of them.
    """

    async def work() -> list[tuple[Located, Trial]]:
        tried = []
        for service, wanted in await sought(selection):
            async with opened(service) as house:
                async with house.database.transaction() as session:
                    found = await find(session, wanted, limit=limit)
                tried += [(Located(house.name, each), await attempt(house.retrier, each.position)) for each in found]
        return tried

    tried = run(work())
    if not tried:
        raise Refused("no failed message is like that")
    if as_json:
        view.as_json([view.trial_as_json(each, trial) for each, trial in tried])
    else:
        for each, trial in tried:
            click.echo(view.trial_line(each, trial))
    if not all(trial.is_well for _, trial in tried):
        raise click.exceptions.Exit(1)


@click.command("history")
@click.option("--service", help="Only of this service.")
@click.option("--id", "handle", metavar="ID", help="Only what was done about this message, such as billing/17.")
@click.option("--action", "action_id", type=click.UUID, help="This one, with what became of each of its messages.")
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="Actions, or messages, to print.")
@as_json_option
def history_(service: str | None, handle: str | None, action_id: UUID | None, limit: int, as_json: bool) -> None:
    """See what people did about failed messages: who, when, which, why, and what came of it."""
    named = handle_of(handle) if handle else None
    selection = Selection(service=named[0] if named else service, filter=Filter())

    async def work() -> list[tuple[str, Action, list[Part]]]:
        found: list[tuple[str, Action, list[Part]]] = []
        for each in selection.services():
            async with opened(each) as house, house.database.transaction() as session:
                if named is not None:
                    found += [(house.name, action, [part]) for action, part in await past_of(session, named[1])]
                elif action_id is not None:
                    one = await look(session, action_id)
                    found += [(house.name, one, await parts(session, action_id, limit=limit))] if one else []
                else:
                    found += [(house.name, action, []) for action in await history(session, limit=limit)]
        return sorted(found, key=lambda each: each[1].began_at, reverse=True)

    found = run(work())
    if action_id is not None and not found:
        raise Refused(f"there is no action {action_id}")
    if as_json:
        view.as_json([view.action_as_json(*each) for each in found])
    else:
        view.actions(found)


COMMANDS = (list_, groups_, show, try_, history_)
