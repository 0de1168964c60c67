"""When messages of a group, or of a wording, failed last is found by an index."""

from alembic import op

revision = "backbone_0017"
down_revision = "backbone_0016"

KINDS = {"group": "fingerprint", "wording": "wording"}
"""What has an index of its last failures, by the column that tells one kind of messages from another."""


def upgrade() -> None:
    for name, column in KINDS.items():
        op.execute(
            f"CREATE INDEX failed_message_{name}_latest_idx"
            f" ON backbone.failed_message (subscription, state, {column}, last_failed_at)"
        )


def downgrade() -> None:
    for name in KINDS:
        op.execute(f"DROP INDEX backbone.failed_message_{name}_latest_idx")
