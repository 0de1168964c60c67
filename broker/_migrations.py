"""Bringing a database up to date, and telling whether it is, by Alembic.

A module of its own: most processes need neither, and Alembic takes a tenth of a service's start.
"""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, MetaData

from broker._tables import BACKBONE_MIGRATIONS


def upgrade(connection: Connection, folder: Path, tables: MetaData | None) -> None:
    """Applies what the database lacks of a folder's migrations."""
    command.upgrade(_config(folder, connection, tables), "head")


def has_all(connection: Connection, folder: Path) -> bool:
    """Whether the database has every migration of a folder. Newer ones do not hurt."""
    scripts = ScriptDirectory.from_config(_config(folder))
    context = MigrationContext.configure(connection, opts={"version_table": _version_table(folder)})
    applied = set(context.get_current_heads())
    known = {script.revision for script in scripts.walk_revisions()}
    return bool(applied) and (applied == set(scripts.get_heads()) or not applied <= known)


def _config(folder: Path, connection: Connection | None = None, tables: MetaData | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(BACKBONE_MIGRATIONS))
    config.set_main_option("version_locations", str(folder / "versions"))
    config.set_main_option("path_separator", "os")
    config.attributes.update(connection=connection, tables=tables, version_table=_version_table(folder))
    return config


def _version_table(folder: Path) -> str:
    return "backbone_version" if folder == BACKBONE_MIGRATIONS else "service_version"
