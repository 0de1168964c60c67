"""`nilecare migration`: what a service's tables have become since its last migration, written down as the next one."""

from __future__ import annotations

import asyncio
import importlib
import io
import re
import secrets
import textwrap
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import click
from alembic.autogenerate import produce_migrations
from alembic.operations import Operations
from alembic.operations.ops import MigrateOperation, OpContainer
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection

from broker import Service
from broker._database import engine_for, migrate
from broker.servers import StackError, start_stack

VERSIONS = frozenset({"backbone_version", "service_version"})
"""Alembic's own tables."""

FILE = '''"""{title}."""

from alembic import op

revision = "{revision}"
down_revision = {before}


def upgrade() -> None:
{body}
'''


class NothingChanged(Exception):
    """The migrations already make the tables as they are declared."""


def statements(connection: Connection, service: Service) -> list[str]:
    """The SQL that turns a migrated database into what the service's tables say."""
    options = {"include_name": lambda name, type_, parents: name not in VERSIONS, "compare_server_default": True}
    difference = produce_migrations(MigrationContext.configure(connection, opts=options), service.tables)
    written = io.StringIO()
    offline = MigrationContext.configure(dialect_name="postgresql", opts={"as_sql": True, "output_buffer": written})
    operations = Operations(offline)
    for operation in _flat(difference.upgrade_ops):
        operations.invoke(operation)
    return [statement for part in written.getvalue().split(";\n") if (statement := _tidy(part))]


def _flat(container: OpContainer | None) -> list[MigrateOperation]:
    found: list[MigrateOperation] = []
    for operation in container.ops if container is not None else []:
        found += _flat(operation) if isinstance(operation, OpContainer) else [operation]
    return found


def _tidy(statement: str) -> str:
    """As a person would write it: no tabs and empty lines, types as PostgreSQL calls them."""
    lines = (line.replace("\t", "    ").rstrip() for line in statement.strip().splitlines())
    text = "\n".join(line for line in lines if line)
    text = text.replace("TIMESTAMP WITH TIME ZONE", "timestamptz")
    return re.sub(r"\b(TEXT|UUID|INTEGER|BIGINT|DATE|BOOLEAN|NUMERIC|JSONB|SMALLINT|BYTEA)\b", lambda m: m[1].lower(), text)


async def difference(service: Service, postgres_url: str) -> list[str]:
    """The same, on a database that is made for it and dropped."""
    name = f"migration_{secrets.token_hex(6)}"
    admin = await asyncpg.connect(postgres_url)
    try:
        await admin.execute(f"CREATE DATABASE {name}")
        engine = engine_for(urlsplit(postgres_url)._replace(path=f"/{name}").geturl())
        try:
            await migrate(engine, service.tables, service.migrations)
            async with engine.connect() as connection:
                return await connection.run_sync(statements, service)
        finally:
            await engine.dispose()
            await admin.execute(f"DROP DATABASE {name}")
    finally:
        await admin.close()


def write(service: Service, title: str, sql: list[str]) -> Path:
    """Writes the next migration of a service. Raises NothingChanged."""
    if not sql:
        raise NothingChanged
    folder = Path(str(importlib.import_module(f"services.{service.name}").__file__)).parent / "migrations" / "versions"
    folder.mkdir(parents=True, exist_ok=True)
    number = 1 + max((int(file.name[:4]) for file in folder.glob("[0-9][0-9][0-9][0-9]_*.py")), default=0)
    before = f'"{service.name}_{number - 1:04}"' if number > 1 else None
    body = "\n".join(_call(statement) for statement in sql)
    file = folder / f"{number:04}_{re.sub(r'[^a-z0-9]+', '_', title.lower()).strip('_')}.py"
    text = FILE.format(title=title.rstrip("."), revision=f"{service.name}_{number:04}", before=before, body=body)
    file.write_text(text)
    return file


def _call(statement: str) -> str:
    if "\n" not in statement and '"' not in statement and len(statement) < 100:
        return f'    op.execute("{statement}")'
    quoted = textwrap.indent(statement, " " * 8)
    return f'    op.execute(\n        """\n{quoted}\n        """\n    )'


@click.command("migration")
@click.argument("name", metavar="SERVICE")
@click.argument("title", metavar="TITLE")
def command(name: str, title: str) -> None:
    """Write the next migration of SERVICE: all that its tables are declared otherwise than its migrations make them.

    TITLE says what it brings. Read what was written: a rename looks like a loss and a gain, and old rows may need a value.
    """
    try:
        service: Service = importlib.import_module(f"services.{name}.app").service
    except ModuleNotFoundError as absent:
        raise click.UsageError(f"there is no services/{name}/app.py") from absent
    try:
        with start_stack("migration") as stack:
            sql = asyncio.run(difference(service, stack.servers.postgres_url))
        click.echo(write(service, title, sql))
    except NothingChanged as nothing:
        raise click.ClickException(f"the migrations of {name} already make its tables as they are declared") from nothing
    except (StackError, asyncpg.PostgresError, OSError) as failure:
        raise click.ClickException(str(failure)) from failure
