"""`nilecare run`: one or more services in this process."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import asyncpg
import click
import uvloop

from broker import BackboneError, Service
from broker._logs import configure_logs
from broker._provision import provision
from broker._runtime import Runtime, serve
from broker._service import check_platform
from nilecare.addresses import AddressError, Platform, known, settings_for
from nilecare.platform import services
from nilecare.token import KeyUnusable, development_key_set

FAILURES = (AddressError, BackboneError, KeyUnusable, asyncpg.PostgresError, OSError)


@click.command("run")
@click.argument("names", metavar="[SERVICE]...", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Run every service.")
@click.option("--log-level", type=click.Choice(["DEBUG", "INFO", "WARNING", "ERROR"]), default="INFO", show_default=True)
def command(names: tuple[str, ...], everything: bool, log_level: str) -> None:
    """Run services until they are asked to end (Ctrl-C, SIGTERM).

    With the administrators' addresses in the environment (development), accounts, databases and topology are set up first.
    """
    if everything == bool(names):
        raise click.UsageError("name services to run, or say --all")
    configure_logs(log_level)
    try:
        platform = services()
        uvloop.run(run(_chosen(platform, names) if names else platform, platform))
    except FAILURES as failure:
        raise click.ClickException(str(failure) or type(failure).__name__) from failure


async def run(chosen: Sequence[Service], platform: Sequence[Service]) -> None:
    """Runs the chosen services of the platform until the process is asked to end.

    Raises AddressError, BackboneError for a wrong declaration or a server that refuses, OSError for a server or port.
    """
    subscribed = check_platform(platform)
    settings = {service.name: settings_for(service) for service in chosen}
    if is_development():
        await provision(Platform.from_environment(), platform)
        settings = {
            name: each if each.key_set else replace(each, key_set=development_key_set()) for name, each in settings.items()
        }
    runtimes = [Runtime(service, settings[service.name], subscribed=subscribed) for service in chosen]
    await serve(runtimes, _say)


def is_development() -> bool:
    """Whether the environment holds the platform's secret, and so the right to set it up."""
    return bool(known().get("NILECARE_SECRET"))


def _chosen(platform: Sequence[Service], names: Sequence[str]) -> list[Service]:
    known = {service.name: service for service in platform}
    for name in names:
        if name not in known:
            raise click.UsageError(f"there is no service {name}: there are {', '.join(known)}")
    return [known[name] for name in dict.fromkeys(names)]


def _say(runtime: Runtime) -> None:
    click.echo(f"{runtime.service.name:<14} http://{runtime.settings.host}:{runtime.port}")
