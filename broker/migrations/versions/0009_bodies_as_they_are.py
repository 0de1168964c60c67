"""Bodies in the outbox are kept as they are: they are gone in a moment, and pressing a large one takes longer than that."""

from alembic import op

revision = "backbone_0009"
down_revision = "backbone_0008"

TABLES = ("outbox", "outbox_0", "outbox_1", "outbox_2")


def upgrade() -> None:
    for table in TABLES:
        op.execute(f"ALTER TABLE backbone.{table} ALTER COLUMN body SET STORAGE EXTERNAL")


def downgrade() -> None:
    for table in TABLES:
        op.execute(f"ALTER TABLE backbone.{table} ALTER COLUMN body SET STORAGE EXTENDED")
