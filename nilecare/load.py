"""`nilecare load`: Synthea's files, through the services' own commands."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import asyncpg
import click
import uvloop
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from broker import BackboneError, Service
from broker._database import Database, engine_for
from broker._flows import FlowOpen
from broker._logs import configure_logs
from broker._provision import provision
from broker._runtime import Runtime
from broker._service import check_platform
from broker._wakeup import Notifier
from nilecare.addresses import AddressError, Platform
from nilecare.platform import services
from nilecare.synthea.load import Loader, files_of
from nilecare.synthea.read import FolderUnusable
from nilecare.synthea.report import Progress, Report

SHOWN_REASONS = 12


@click.command("load")
@click.option("--synthea", "folder", required=True, type=click.Path(path_type=Path), help="Folder with Synthea's CSV files.")
@click.option("--report", type=click.Path(dir_okay=False, path_type=Path), help="Write what became of every row, as JSON.")
@click.option("--json", "as_json", is_flag=True, help="Print that JSON instead of the summary.")
@click.option("--services/--no-services", "run_services", default=True, show_default=True, help="Run the services meanwhile.")
def command(folder: Path, report: Path | None, as_json: bool, run_services: bool) -> None:
    """Take patients, encounters, laboratory results, claims and payments from Synthea's CSV files.

    It can be stopped at any time; run again, it goes on where it was, and takes nothing twice.
    """
    configure_logs("ERROR")
    try:
        outcome = uvloop.run(load(folder, Platform.from_environment(), run_services=run_services, quiet=as_json))
    except (FolderUnusable, AddressError, BackboneError, FlowOpen) as failure:
        raise click.ClickException(str(failure)) from failure
    except (asyncpg.PostgresError, OSError) as failure:
        raise click.ClickException(f"a server went away ({type(failure).__name__}): run it again, it goes on") from failure
    text = json.dumps(outcome.as_json(), indent=2)
    if report is not None:
        report.write_text(text + "\n")
    click.echo(text if as_json else summary(outcome))


async def load(folder: Path, platform: Platform, *, run_services: bool, quiet: bool) -> Report:
    """Loads one folder. Raises FolderUnusable, FlowOpen."""
    files, every = files_of(folder), services()
    await provision(platform, every)
    async with AsyncExitStack() as stack:
        if run_services:
            await stack.enter_async_context(running(platform, every))
        databases = await stack.enter_async_context(databases_of(platform, every))
        bars = Bars(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), disable=quiet)
        tasks = {}
        with bars:

            def say(progress: Progress) -> None:
                if progress.step not in tasks:
                    tasks[progress.step] = bars.add_task(progress.step, total=progress.total)
                bars.update(tasks[progress.step], completed=progress.done)

            return await Loader(files, databases, say=say).run()


@asynccontextmanager
async def running(platform: Platform, every: Sequence[Service]) -> AsyncIterator[None]:
    """The services, in this process and on free ports; beside others of the same name they stand by."""
    subscribed = check_platform(every)
    async with AsyncExitStack() as stack:
        for service in every:
            settings = replace(platform.settings_for(service), port=0, journal=True)
            runtime = Runtime(service, settings, subscribed=subscribed)
            stack.push_async_callback(runtime.stop)
            await runtime.start()
        yield


@asynccontextmanager
async def databases_of(platform: Platform, every: Sequence[Service]) -> AsyncIterator[dict[Service, Database]]:
    """Each service's database, to run its commands on; its relay is woken wherever it runs."""
    async with AsyncExitStack() as stack:
        databases = {}
        for service in every:
            database = Database(engine_for(platform.database_url(service.name)), service.name)
            stack.push_async_callback(database.close)
            notifier = Notifier(service.name, database.engine)
            stack.push_async_callback(notifier.stop)
            await notifier.start()
            database.on_publish = notifier.wake
            databases[service] = database
        yield databases


def summary(report: Report) -> str:
    """What a person wants to know: how much was taken, and what was not and why."""
    console = Console(width=118)
    with console.capture() as captured:
        for file in sorted({*report.taken, *report.taken_before}):
            before = f", {report.taken_before[file]} were there" if report.taken_before[file] else ""
            console.print(f"{file:<26} {report.taken[file]} rows taken{before}", highlight=False)
        reasons = report.reasons()
        if reasons:
            console.print(f"\n{len(report.not_taken)} rows were not taken:")
        for file, reason, count in reasons[:SHOWN_REASONS]:
            console.print(f"  {count:>6}  {file}: {reason}", highlight=False, markup=False)
        if len(reasons) > SHOWN_REASONS:
            console.print(f"  … and {len(reasons) - SHOWN_REASONS} more reasons: --report FILE lists every row")
    return captured.get().rstrip()
