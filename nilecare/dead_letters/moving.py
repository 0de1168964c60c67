"""Moving messages: `drain` what RabbitMQ gave up, `export` and `import` failed messages, as files or through a queue."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiormq
import click
from aiormq.abc import AbstractChannel
from aiormq.exceptions import ChannelNotFoundEntity, DeliveryError
from pamqp.commands import Basic
from sqlalchemy.ext.asyncio import AsyncSession

from broker._actions import Asker, begin, note
from broker._dead import DeadDrain
from broker._dead_letters import Filter
from broker._portable import LINE, Line, LineIsNotJson, LineIsWrong, exported, import_line
from nilecare.dead_letters import view
from nilecare.dead_letters.access import House, as_json_option, asking, opened, run
from nilecare.dead_letters.selection import Refused, Selection, one_of, selecting
from nilecare.dead_letters.sought import sought

PAGE = 200
"""Messages that are imported in one transaction."""

AMQP = click.option("--amqp", metavar="URL", help="RabbitMQ, with an account that may use that queue. Else the service's own.")


@click.command()
@click.option("--service", help="Only of this service.")
@as_json_option
def drain(service: str | None, as_json: bool) -> None:
    """Take in what RabbitMQ gave up (<service>.dead). A running service does this by itself."""

    async def work() -> dict[str, int]:
        taken = {}
        for each in Selection(service=service, filter=Filter()).services():
            async with opened(each) as house:
                loop = DeadDrain(house.database, each, house.settings, house.failures)
                try:
                    taken[each.name] = await loop.drain()
                finally:
                    await loop.close()
        return taken

    taken = run(work())
    if as_json:
        view.as_json(taken)
        return
    for name, count in taken.items():
        click.echo(f"{name}.dead: {count} taken in")


@click.command("export")
@click.option("--out", type=click.File("w", encoding="utf-8"), help="A file for JSON Lines; - for standard output.")
@click.option("--to-queue", "queue", help="A queue of RabbitMQ, which has to be there.")
@AMQP
@asking
@selecting
def export_(selection: Selection, asker: Asker, out: Any, queue: str | None, amqp: str | None) -> None:
    """Write failed messages out, whole: personal data is in them. They stay where they are. It is written down that you did."""
    if (out is None) == (queue is None):
        raise click.UsageError("say either --out FILE or --to-queue NAME")

    async def work() -> int:
        written = 0
        for service, wanted in await sought(selection):
            async with opened(service) as house, house.database.transaction() as session:
                if queue is None:
                    written += await _to_file(house, session, wanted, asker, out)
                    continue
                async with _channel(amqp or house.settings.amqp_url) as channel:
                    taken, is_full = await _to_queue(house, session, wanted, asker, channel, queue)
                    written += taken
            if is_full:
                raise Refused(
                    f"queue {queue} took {view.plural(written, 'message')} and no more: see `history`; make room first"
                )
        return written

    written = run(work())
    if not written:
        raise Refused("no failed message is like that")
    click.echo(f"{view.plural(written, 'message')} exported", err=True)


@click.command("import")
@click.argument("file", type=click.File("rb"), required=False)
@click.option("--service", required=True, help="Whose they are.")
@click.option("--from-queue", "queue", help="A queue of RabbitMQ that `export` filled, in place of a file.")
@AMQP
@as_json_option
@asking
def import_(file: Any, service: str, asker: Asker, queue: str | None, amqp: str | None, as_json: bool) -> None:
    """Take in what `export` wrote: each as a dead letter, unless it took effect or is there. Nothing takes effect by that.

    A file is read to its end first: when a line of it is wrong, nothing is taken in.
    """
    if (file is None) == (queue is None):
        raise click.UsageError("say either a FILE or --from-queue NAME")

    async def work() -> Counter[str]:
        async with opened(one_of(service)) as house:
            if queue is None:
                return await _from_file(house, asker, file)
            async with _channel(amqp or house.settings.amqp_url) as channel:
                return await _from_queue(house, asker, channel, queue)

    counted = run(work())
    if as_json:
        view.as_json(counted)
    else:
        click.echo(
            f"{service}: {counted['imported']} imported, {counted['known']} known already, "
            f"{counted['foreign']} of subscriptions that it does not have"
        )


async def _to_file(house: House, session: AsyncSession, wanted: Filter, asker: Asker, out: Any) -> int:
    action, written = await begin(session, "export", wanted, asker, state="done"), []
    async for position, line in exported(session, house.name, wanted):
        out.write(line.as_text + "\n")
        written.append(position)
    await note(session, action.id, dict.fromkeys(written, ("exported", None)))
    return len(written)


async def _to_queue(
    house: House, session: AsyncSession, wanted: Filter, asker: Asker, channel: AbstractChannel, queue: str
) -> tuple[int, bool]:
    """How many messages the queue took, which is written down, and whether it would not take another."""
    await _is_there(channel, queue, "declare it first, or export into a file: --out")
    action, written, is_full = await begin(session, "export", wanted, asker, state="done"), [], False
    async for position, line in exported(session, house.name, wanted):
        properties = Basic.Properties(
            message_id=str(line.id) if line.id else None,
            content_type="application/json",
            delivery_mode=2,
            headers={LINE: line.as_text},
        )
        try:
            await channel.basic_publish(line.content, routing_key=queue, properties=properties, mandatory=True)
        except DeliveryError:
            is_full = True
            break
        written.append(position)
    await note(session, action.id, dict.fromkeys(written, ("exported", queue)))
    return len(written), is_full


async def _from_file(house: House, asker: Asker, file: Any) -> Counter[str]:
    """Imports the lines of a file, all of which are looked at before one of them is taken in."""
    texts = [text for number, text in enumerate(file, 1) if _is_line(house, number, text)]
    if not texts:
        raise Refused("there is nothing in the file")
    counted = Counter[str]()
    for first in range(0, len(texts), PAGE):
        counted += await _take(house, asker, [Line.read(text) for text in texts[first : first + PAGE]])
    return counted


def _is_line(house: House, number: int, text: bytes) -> bool:
    """Whether there is something in it. Raises Refused for what is no message of this service."""
    if not text.strip():
        return False
    try:
        _check_owner(house, Line.read(text))
    except LineIsNotJson:
        why = "is not JSON: an import takes the lines that `export` wrote"
    except LineIsWrong as wrong:
        why = f"is not a message that `export` wrote ({_shortened(wrong.facts['fields'])})"
    except Refused as foreign:
        why = f"is {foreign.message}"
    else:
        return True
    raise Refused(f"line {number} {why}; nothing was imported")


def _check_owner(house: House, line: Line) -> None:
    if line.service != house.name:
        raise Refused(f"a message of {line.service}, not of {house.name}")


def _shortened(fields: str, most: int = 3) -> str:
    listed = fields.split(", ")
    return ", ".join(listed[:most]) + (f" and {len(listed) - most} more" if len(listed) > most else "")


async def _from_queue(house: House, asker: Asker, channel: AbstractChannel, queue: str) -> Counter[str]:
    await _is_there(channel, queue, "name the one that `export --to-queue` filled")
    counted = Counter[str]()
    while True:
        message = await channel.basic_get(queue)
        if message.delivery_tag is None:
            return counted
        headers = (message.header.properties.headers or {}) if message.header else {}
        try:
            line = Line.read(str(headers.get(LINE, "")))
        except LineIsWrong as wrong:
            fields = _shortened(wrong.facts.get("fields", f"no header {LINE}"))
            raise Refused(
                f"a message of {queue} was not exported ({fields}): it is left there; "
                f"{view.plural(counted.total(), 'message')} before it went through"
            ) from None
        try:
            _check_owner(house, line)
        except Refused as foreign:
            raise Refused(f"queue {queue} has {foreign.message}: it is left there") from None
        counted += await _take(house, asker, [line])
        await channel.basic_ack(message.delivery_tag)


async def _take(house: House, asker: Asker, lines: list[Line]) -> Counter[str]:
    """Imports lines in one transaction; says how many were what."""
    counted, positions = Counter[str](), []
    async with house.database.transaction() as session:
        for line in lines:
            result, position = await import_line(session, house.retrier.subscriptions, house.failures, line)
            counted[result] += 1
            positions += [position] if position is not None else []
        if positions:
            action = await begin(session, "import", Filter(positions=tuple(positions)), asker, state="done")
            await note(session, action.id, dict.fromkeys(positions, ("imported", None)))
    return counted


async def _is_there(channel: AbstractChannel, queue: str, advice: str) -> None:
    """Raises Refused, with the advice, for a queue that RabbitMQ does not have."""
    try:
        await channel.queue_declare(queue, passive=True)
    except ChannelNotFoundEntity:
        raise Refused(f"there is no queue {queue}: {advice}") from None


@asynccontextmanager
async def _channel(url: str) -> AsyncIterator[AbstractChannel]:
    try:
        connection = await aiormq.connect(url)
    except ValueError:
        raise Refused("--amqp is no address of RabbitMQ: it is like amqp://name:password@host:5672/vhost") from None
    try:
        yield await connection.channel(publisher_confirms=True)
    finally:
        await connection.close()


COMMANDS = (drain, export_, import_)
