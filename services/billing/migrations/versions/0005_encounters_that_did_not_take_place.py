"""Encounters that did not take place."""

from alembic import op

revision = "billing_0005"
down_revision = "billing_0004"


def upgrade() -> None:
    op.execute("ALTER TABLE encounter_bills ADD COLUMN cancelled_at timestamp with time zone")
    op.execute("COMMENT ON COLUMN encounter_bills.cancelled_at IS 'when it turned out that it did not take place'")


def downgrade() -> None:
    op.execute("ALTER TABLE encounter_bills DROP COLUMN cancelled_at")
