"""A refund knows the flow that asked for it."""

from alembic import op

revision = "payment_0008"
down_revision = "payment_0007"

COMMENT = "that asked for it; what its provider says of its own accord belongs there"


def upgrade() -> None:
    op.execute("ALTER TABLE payment_refunds ADD COLUMN flow uuid")
    op.execute(f"COMMENT ON COLUMN payment_refunds.flow IS '{COMMENT}'")


def downgrade() -> None:
    op.execute("ALTER TABLE payment_refunds DROP COLUMN flow")
