"""`nilecare administrator`: the first platform administrator, who can then let in everybody else."""

from __future__ import annotations

import asyncio
import json
import secrets
import sys

import asyncpg
import click
from sqlalchemy.exc import DBAPIError

from broker import BackboneError, Settings
from broker._database import Database, engine_for
from nilecare.addresses import AddressError, settings_for
from services.auth.app import service
from services.auth.commands import Registration, appoint_first_administrator
from services.auth.rules import LONGEST_PASSWORD, SHORTEST_PASSWORD
from services.auth.vault import SECRET, Vault

FAILURES = (AddressError, BackboneError, asyncpg.PostgresError, OSError)


async def appoint(settings: Settings, email: str, password: str, full_name: str) -> str:
    """Appoints the first administrator on auth's database, whether or not auth is running; gives their id.

    settings: auth's. Raises AdministratorExistsAlready, AddressError, DBAPIError, OSError.
    """
    if not settings.outside.get(SECRET):
        raise AddressError(f"NILECARE_OUTSIDE_{SECRET.upper()} must be set in the environment, as it is for auth")
    database = Database(engine_for(settings.database_url), service.name)
    asked = Registration(email=email.lower(), password=password, full_name=full_name, phone=None, locale="en", time_zone="UTC")
    try:
        async with database.transaction() as session:
            user = await appoint_first_administrator(session, asked, Vault(settings.outside[SECRET]))
            return str(user.user_id)
    finally:
        await database.close()


@click.command("administrator")
@click.argument("email")
@click.option("--name", default="Platform administrator", show_default=True, help="What others see.")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input instead of making one.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(email: str, name: str, password_stdin: bool, as_json: bool) -> None:
    """Appoint the first platform administrator, who signs in as EMAIL, and print their password.

    There is one already: they appoint others, by auth's API.
    """
    password = sys.stdin.readline().rstrip("\n") if password_stdin else secrets.token_urlsafe(18)
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise click.UsageError(f"a password has {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters")
    try:
        user_id = asyncio.run(appoint(settings_for(service), email, password, name))
    except DBAPIError as failure:
        raise click.ClickException(f"auth's database refuses: {type(failure.orig).__name__}") from failure
    except FAILURES as failure:
        raise click.ClickException(str(failure) or type(failure).__name__) from failure
    told = {"user_id": user_id, "email": email.lower(), **({} if password_stdin else {"password": password})}
    click.echo(json.dumps(told) if as_json else "\n".join(f"{key:<9} {value}" for key, value in told.items()))
