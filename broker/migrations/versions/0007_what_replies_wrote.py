"""A reply that is given again says what it wrote."""

from alembic import op

revision = "backbone_0007"
down_revision = "backbone_0006"


def upgrade() -> None:
    op.execute("ALTER TABLE backbone.idempotency ADD COLUMN headers jsonb DEFAULT '{}' NOT NULL")
    op.execute("COMMENT ON COLUMN backbone.idempotency.headers IS 'those of the reply that are given again'")


def downgrade() -> None:
    op.execute("ALTER TABLE backbone.idempotency DROP COLUMN headers")
