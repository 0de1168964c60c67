"""`nilecare provision`: sets the platform up."""

from __future__ import annotations

import asyncio

import asyncpg
import click

from broker import DeclarationError
from broker._management import ManagementError
from broker._provision import provision
from nilecare.addresses import AddressError, Platform
from nilecare.platform import services as all_services


@click.command("provision")
def command() -> None:
    """Set up accounts, databases, tables and topology. Harmless when repeated."""
    services = all_services()
    try:
        asyncio.run(provision(Platform.from_environment(), services))
    except (AddressError, DeclarationError, ManagementError, asyncpg.PostgresError, OSError) as failure:
        raise click.ClickException(f"{failure}" or type(failure).__name__) from failure
    click.echo(f"provisioned: {', '.join(service.name for service in services)}")
