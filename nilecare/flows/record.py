"""`nilecare flows record`: writes down a flow of a running platform, masked, to be replayed in a test."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import aiormq
import asyncpg
import click
from rich.console import Console
from sqlalchemy.exc import DBAPIError

from broker import DeclarationError, Envelope, Service
from broker._database import Database, engine_for
from broker._flows import Flows
from broker._overheard import Overheard
from broker._recordings import OF_BACKBONE, Recorded, Recording, contracts_of, write
from broker._sight import Sight
from broker.errors import Permanent
from nilecare.addresses import AddressError, Platform, known, required
from nilecare.platform import services

LOOK = 0.2
"""Seconds between two looks at whether the flow is over."""

REMEMBERED = 20_000
"""Messages that are kept while it is not known whose flow is meant: the oldest are forgotten."""

PATIENCE = 10.0
"""Seconds that RabbitMQ has for what it has still to deliver."""

INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which flow: this one, the next one in which a type is said, or, of neither, the next one of all."""

    flow: UUID | None
    type: str | None

    def __str__(self) -> str:
        if self.flow is not None:
            return f"flow {self.flow}"
        return f"the next flow with {self.type}" if self.type else "the next flow"


@dataclass(frozen=True, slots=True)
class Heard:
    """What was heard of a flow, and how many messages of it were not."""

    flow: UUID | None
    messages: list[Envelope]
    missed: int


class Recorder:
    """Listens until the wanted flow is over, or `enough` is set.

    flows: what knows when it is over; None where nothing does. flow: the one that is recorded, once it is known.
    """

    def __init__(self, overheard: Overheard, wanted: Wanted, flows: Flows | None) -> None:
        self._overheard, self._wanted, self._flows = overheard, wanted, flows
        self._kept: dict[UUID, Envelope] = {}
        self._sight: Sight | None = None
        self.flow = wanted.flow
        self.enough = asyncio.Event()

    async def messages(self, tell: Callable[[str], None]) -> list[Envelope]:
        """The messages of the flow, in the order in which they were heard; `tell` is told how far it is.

        Raises ClickException where there will be none.
        """
        while not self.enough.is_set():
            if not self._overheard.is_listening:
                raise click.ClickException("RabbitMQ has closed the connection: nothing was recorded")
            self._take()
            left = await self._left() if self.flow is not None else ""
            if self.flow is not None and not left:
                break
            if left:
                tell(f"flow {self.flow}: {_counted(len(self._kept))}; {left}")
            await self._news()
        async with asyncio.timeout(PATIENCE):
            await self._overheard.everything()
        self._take()
        if self.flow is None:
            return []
        if not self._kept and self._said:
            raise click.ClickException(f"flow {self.flow} is over: a recording begins before its flow does, with --next")
        return list(self._kept.values())

    def _take(self) -> None:
        """Takes over what was heard. What is no CloudEvent is nobody's."""
        taken = []
        while self._overheard.messages:
            with contextlib.suppress(Permanent):
                taken.append(Envelope.received(self._overheard.messages.pop(next(iter(self._overheard.messages)))))
        own = [each for each in taken if each.type not in OF_BACKBONE]
        self._kept.update((each.id, each) for each in own if each.id not in self._kept)
        if self.flow is None:
            self.flow = next((each.flow for each in own if self._wanted.type in (None, each.type)), None)
        forgotten = list(self._kept)[:-REMEMBERED] if self.flow is None else []
        foreign = [id_ for id_, each in self._kept.items() if self.flow not in (None, each.flow)] if own else []
        for id_ in (*forgotten, *foreign):
            del self._kept[id_]

    async def _left(self) -> str:
        """What is still under way, in words; nothing when the flow is over."""
        unknown = "Ctrl-C ends the recording"
        if self._flows is None:
            return unknown
        sight = self._sight or self._flows.sight(self.flow)
        try:
            await sight.look()
        except (DBAPIError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
            self._flows = None
            return unknown
        self._sight = sight
        if not self._said or not self._kept.keys() <= self._said:
            self._sight = None  # it was read before this was said; or there is no journal
            return unknown
        return ", ".join(f"{count} {what}" for what, count in sorted(sight.open().items()))

    @property
    def missed(self) -> int:
        """How many of its messages were said before this listened, as far as is known."""
        return len(self._said - self._kept.keys())

    @property
    def _said(self) -> set[UUID]:
        if self._sight is None:
            return set()
        return {each.id for each in self._sight.said if each.type not in OF_BACKBONE}

    async def _news(self) -> None:
        """Comes back when something was heard, when it is time to look again, or when it is enough."""
        self._overheard.news.clear()
        waiting = [asyncio.ensure_future(each.wait()) for each in (self._overheard.news, self.enough)]
        await asyncio.wait(waiting, timeout=LOOK, return_when=asyncio.FIRST_COMPLETED)
        for each in waiting:
            each.cancel()


@click.command()
@click.option("--flow", type=click.UUID, help="The flow with this id, which is under way or yet to begin.")
@click.option("--next", "type_", metavar="TYPE", help="The next flow in which an event of this type is said.")
@click.option("--out", required=True, type=click.Path(dir_okay=False, writable=True, path_type=Path), help="The file to write.")
def record(flow: UUID | None, type_: str | None, out: Path) -> None:
    """Write down what the services say in one flow, masked, one line per message; a test replays it.

    It listens until the flow is over. Where nobody can say when that is, since no journal is kept or a database does not
    answer, it goes on until Ctrl-C, which ends a recording in any case and keeps what was heard. Without --flow and --next it
    takes the next flow.
    """
    platform = services()
    if flow is not None and type_ is not None:
        raise click.UsageError("say --flow or --next, not both")
    if type_ is not None and type_ not in contracts_of(platform):
        raise click.BadParameter(f"no service publishes {type_}: `nilecare contracts` knows what there is", param_hint="--next")
    if not out.parent.is_dir():
        raise click.BadParameter(f"there is no folder {out.parent}", param_hint="--out")
    environment = known()
    logging.getLogger("aiormq").addHandler(logging.NullHandler())  # what it would say, a line says in the end
    try:
        (amqp_url,) = required(environment, "NILECARE_AMQP_URL")
        heard = asyncio.run(_listen(amqp_url, platform, environment, Wanted(flow, type_)))
        recording = Recording.of(heard.messages, platform)
        if recording.lines:
            write(out, recording.lines)
    except (AddressError, DeclarationError) as wrong:
        raise click.ClickException(str(wrong)) from wrong
    except (aiormq.AMQPError, OSError) as failure:
        raise click.ClickException(f"it cannot be recorded: {type(failure).__name__}: {failure}") from failure
    if heard.missed:
        click.echo(f"left out: {_counted(heard.missed)} that were said before it listened", err=True)
    for reason in recording.left_out:
        click.echo(f"left out: {reason}", err=True)
    if not recording.lines:
        click.echo("nothing was heard, nothing is written", err=True)
        raise click.exceptions.Exit(INTERRUPTED)
    click.echo(f"{out}: {_told(recording.lines)}, of flow {heard.flow}")


async def _listen(amqp_url: str, platform: Sequence[Service], environment: Mapping[str, str], wanted: Wanted) -> Heard:
    overheard = await Overheard.on(amqp_url, platform)
    try:
        async with _flows(platform, environment) as flows:
            recorder = Recorder(overheard, wanted, flows)
            loop = asyncio.get_running_loop()
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(number, recorder.enough.set)
            with _progress(f"listening for {wanted}; Ctrl-C ends the recording") as tell:
                messages = await recorder.messages(tell)
            return Heard(recorder.flow, messages, recorder.missed)
    finally:
        await overheard.close()


@asynccontextmanager
async def _flows(platform: Sequence[Service], environment: Mapping[str, str]) -> AsyncIterator[Flows | None]:
    """What the services' databases know, where the environment says how they are reached."""
    try:
        urls = Platform.from_environment(environment)
    except AddressError:
        yield None
        return
    databases = {service: Database(engine_for(urls.database_url(service.name), pool_size=1), None) for service in platform}
    try:
        yield Flows(databases)
    finally:
        await asyncio.gather(*(database.close() for database in databases.values()))


@contextmanager
def _progress(first: str) -> Iterator[Callable[[str], None]]:
    """Tells how far it is: on a terminal in one line, elsewhere in a line for every change."""
    console = Console(stderr=True, soft_wrap=True)
    if console.is_terminal:
        with console.status(first) as status:
            yield status.update
        return
    last = ""

    def tell(text: str) -> None:
        nonlocal last
        if text != last:
            click.echo(text, err=True)
        last = text

    tell(first)
    yield tell


def _told(lines: Sequence[Recorded]) -> str:
    counted = Counter(line.source for line in lines)
    return f"{_counted(len(lines))} ({', '.join(f'{count} by {source}' for source, count in sorted(counted.items()))})"


def _counted(count: int) -> str:
    return "1 message" if count == 1 else f"{count} messages"
