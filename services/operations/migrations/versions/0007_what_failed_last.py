"""What failed last of a group is found at once: one that failed again in a replay, not the one that came last."""

from alembic import op

revision = "operations_0007"
down_revision = "operations_0006"


def upgrade() -> None:
    op.execute(
        "CREATE INDEX failed_message_reference_latest_idx ON failed_message_reference"
        " (service, heard_by, state, fingerprint, last_failed_at, id) WHERE NOT deleted"
    )


def downgrade() -> None:
    op.execute("DROP INDEX failed_message_reference_latest_idx")
