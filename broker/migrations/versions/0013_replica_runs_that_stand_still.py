"""Runs over replicas ask again when nothing comes, and note that rows came after them."""

from alembic import op

revision = "backbone_0013"
down_revision = "backbone_0012"


def upgrade() -> None:
    op.execute("ALTER TABLE backbone.replica_run ADD COLUMN asked_again_at timestamptz")
    op.execute("ALTER TABLE backbone.replica_run ADD COLUMN has_grown boolean NOT NULL DEFAULT false")
    op.execute("COMMENT ON COLUMN backbone.replica_run.asked_again_at IS 'when nothing had come for long'")
    op.execute("COMMENT ON COLUMN backbone.replica_run.has_grown IS 'it ended without rows, and some came later'")


def downgrade() -> None:
    op.execute("ALTER TABLE backbone.replica_run DROP COLUMN has_grown")
    op.execute("ALTER TABLE backbone.replica_run DROP COLUMN asked_again_at")
