"""Failed messages are filled again and checked, service by service; and counted when they are wiped."""

from alembic import op

revision = "operations_0004"
down_revision = "operations_0003"


def upgrade() -> None:
    op.execute('CREATE INDEX failed_message_reference_told_idx ON failed_message_reference (service, id COLLATE "C")')
    op.execute(
        """
        CREATE FUNCTION count_failures_truncate() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            DELETE FROM failure_counts;
            RETURN NULL;
        END $$
        """
    )
    op.execute(
        "CREATE TRIGGER count_truncate AFTER TRUNCATE ON failed_message_reference"
        " FOR EACH STATEMENT EXECUTE FUNCTION count_failures_truncate()"
    )


def downgrade() -> None:
    op.execute("DROP TRIGGER count_truncate ON failed_message_reference")
    op.execute("DROP FUNCTION count_failures_truncate")
    op.execute("DROP INDEX failed_message_reference_told_idx")
