"""The environment that every migration runs in; `broker._database` says which connection, tables and folder."""

from alembic import context

attributes = context.config.attributes
context.configure(
    connection=attributes["connection"],
    target_metadata=attributes["tables"],
    version_table=attributes["version_table"],
)
with context.begin_transaction():
    context.run_migrations()
