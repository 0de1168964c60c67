"""Correcting one message: `edit` its body, `redirect` it to another subscription."""

from __future__ import annotations

import json
from typing import Any

import click
from sqlalchemy.ext.asyncio import AsyncSession

from broker._actions import Action, Asker
from broker._corrections import edit, redirect
from broker._dead_letters import Filter
from broker._inspection import inspect
from broker._masking import MASK
from broker.errors import Failure
from nilecare.called import called
from nilecare.dead_letters import view
from nilecare.dead_letters.access import House, as_json_option, asking, opened, run
from nilecare.dead_letters.selection import Refused, handle_of, one_of

NAMED = click.option("--id", "handle", required=True, metavar="ID", help="The message: billing/17 as `list` says.")


@click.command("edit")
@NAMED
@click.option(
    "--file", "file", type=click.File("r", encoding="utf-8"), help="The whole new body, as JSON; - for standard input."
)
@click.option("--set", "changes", multiple=True, metavar="FIELD=JSON", help='One field, such as amount.currency="KES".')
@as_json_option
@asking
def edit_(handle: str, asker: Asker, as_json: bool, file: Any, changes: tuple[str, ...]) -> None:
    """Correct a message's body, checked against its contract; the original is kept. Replay it then.

    Without --file or --set your editor opens, with personal data masked: what stays masked stays as it was.
    """
    service, position = handle_of(handle)
    given = None if file is None else _json(file.read(), "--file")
    assigned = [_assignment(change) for change in changes]

    async def work() -> Action:
        async with opened(one_of(service)) as house:
            if given is None and not assigned:
                async with house.database.transaction() as session:
                    shown = await _masked(house, session, position)
                edited = _edited(shown)
            else:
                edited = given
            async with house.database.transaction() as session:
                return await edit(session, house.retrier, position, lambda body: _changed(body, edited, assigned), asker)

    _done(handle, work, as_json, f"corrected. Try it: {called()} dead-letters try --id " + handle)


@click.command("redirect")
@NAMED
@click.option("--to", required=True, metavar="SUBSCRIPTION", help="The subscription, of the same service, without its name.")
@as_json_option
@asking
def redirect_(handle: str, to: str, asker: Asker, as_json: bool) -> None:
    """Give a message to another subscription, after a rename that did not name the former name. Replay it then."""
    service, position = handle_of(handle)

    async def work() -> Action:
        async with opened(one_of(service)) as house, house.database.transaction() as session:
            return await redirect(session, house.retrier, position, to, asker)

    _done(handle, work, as_json, f"is {to}'s. Try it: {called()} dead-letters try --id {handle}")


def _done(handle: str, work: Any, as_json: bool, words: str) -> None:
    try:
        action = run(work())
    except Failure as refused:
        raise Refused(f"{handle}: {refused}") from None
    if as_json:
        view.as_json(view.action_as_json(handle.partition("/")[0], action, []))
    else:
        click.echo(f"{handle}  {words}")


async def _masked(house: House, session: AsyncSession, position: int) -> str:
    found = await inspect(session, house.retrier, Filter(positions=(position,)), limit=1)
    if not found:
        raise Refused("no failed message is like that")
    return found[0].body


def _edited(shown: str) -> Any:
    """What a person made of it in their editor. Raises Refused when they changed nothing."""
    written = click.edit(shown, extension=".json")
    if written is None or written.strip() == shown.strip():
        raise Refused("nothing was changed")
    return _json(written, "the edited body")


def _changed(body: Any, edited: Any, assigned: list[tuple[list[str], Any]]) -> Any:
    """The new body: what was edited, or the old one, with each assigned field. What is not said stays as it is, by MASK."""
    new = edited if edited is not None else _kept(body)
    for path, value in assigned:
        place = new
        for step in path[:-1]:
            place = _at(place, step, path)
        last = path[-1]
        if isinstance(place, list) and last.isdigit() and int(last) < len(place):
            place[int(last)] = value
        elif isinstance(place, dict):
            place[last] = value
        else:
            raise Refused(f"the body has no field {'.'.join(path)}")
    return new


def _kept(body: Any) -> Any:
    if isinstance(body, dict):
        return {name: _kept(value) for name, value in body.items()}
    return [_kept(value) for value in body] if isinstance(body, list) else MASK if body is not None else None


def _at(place: Any, step: str, path: list[str]) -> Any:
    if isinstance(place, list) and step.isdigit() and int(step) < len(place):
        return place[int(step)]
    if isinstance(place, dict) and isinstance(place.get(step), dict | list):
        return place[step]
    raise Refused(f"the body has no field {'.'.join(path)}")


def _assignment(text: str) -> tuple[list[str], Any]:
    field, equals, value = text.partition("=")
    if not equals or not field:
        raise click.BadParameter(f'{text!r} is not like amount.currency="KES"', param_hint="--set")
    return field.split("."), _json(value, "--set")


def _json(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as wrong:
        raise click.BadParameter(f"is not JSON ({wrong.args[0].split(':')[0]})", param_hint=where) from None


COMMANDS = (edit_, redirect_)
