"""`nilecare demo`, on the command line."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path

import asyncpg
import click
from rich.console import Console
from sqlalchemy.exc import SQLAlchemyError

from broker import BackboneError
from broker._flows import FlowOpen
from broker._logs import configure_logs
from broker._management import ManagementError
from broker._sequences import write_page
from broker.servers import Stack, StackError, start_stack
from nilecare.demo.day.desk import Refused
from nilecare.demo.display import showing
from nilecare.demo.outcome import Outcome
from nilecare.demo.play import Play
from nilecare.demo.site import NAME, Site
from nilecare.demo.summary import WIDTH, summarise

FAILURES = (
    BackboneError,
    FlowOpen,
    ManagementError,
    Refused,
    StackError,
    SQLAlchemyError,
    asyncpg.PostgresError,
    OSError,
    TimeoutError,
)

INTERRUPTS = (signal.SIGINT, signal.SIGTERM)


@click.command("demo")
@click.option("--patients", default=40, show_default=True, type=click.IntRange(1, 5000), help="How many to make up.")
@click.option("--seed", default=1, show_default=True, help="The same seed makes up the same patients.")
@click.option("--json", "file", type=click.Path(dir_okay=False, path_type=Path), help="Also write the outcome to this file.")
@click.option(
    "--flows", "page", type=click.Path(dir_okay=False, path_type=Path), help="Also draw the day's flows to this page."
)
@click.option(
    "--stop", is_flag=True, help="End the servers with the demo, which keep nothing on disk then: nobody can look around."
)
def command(patients: int, seed: int, file: Path | None, page: Path | None, stop: bool) -> None:
    """Watch a day in a hospital: made-up patients and staff, nine services, a broker and two services killed.

    Ends with status 1 when anything was lost, doubled, reordered or disclosed, a replica is out of step, or the money does not
    add up.
    """
    configure_logs("ERROR")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    console = Console(width=None if Console().is_terminal else WIDTH)
    # A private stack is ended by `make down` or the next demo, and not with this process.
    os.environ.setdefault("TESTCONTAINERS_RYUK_DISABLED", "true")
    stack = start_stack(NAME, own=True, durable=not stop)
    keep = False
    try:
        outcome = _run(stack, console, patients, seed)
        keep = not stop
    finally:
        if not keep:
            stack.close()
    if file is not None:
        file.write_text(json.dumps(outcome.as_json(), indent=2) + "\n")
    if page is not None:
        write_page(page, dict(sorted(outcome.diagrams.items())))
    summarise(console, outcome, servers_run=keep)
    if outcome.faults:
        raise click.exceptions.Exit(1)


def _run(stack: Stack, console: Console, patients: int, seed: int) -> Outcome:
    try:
        with showing(console) as board:
            with board.phase("RabbitMQ and PostgreSQL"):
                stack.start()
            play = Play(Site(stack), board, patients=patients, seed=seed)
            signal.pthread_sigmask(signal.SIG_BLOCK, INTERRUPTS)
            return asyncio.run(_undisturbed(play))
    except BaseExceptionGroup as group:
        failure = _first(group)
        if isinstance(failure, FAILURES):
            raise click.ClickException(str(failure) or type(failure).__name__) from group
        raise
    except FAILURES as failure:
        raise click.ClickException(str(failure) or type(failure).__name__) from failure


async def _undisturbed(play: Play) -> Outcome:
    """The play, once asyncio can take an interrupt: one that came while its loop was being made has waited until here."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, INTERRUPTS)
    return await play.run()


def _first(failure: BaseException) -> BaseException:
    while isinstance(failure, BaseExceptionGroup):
        failure = failure.exceptions[0]
    return failure
