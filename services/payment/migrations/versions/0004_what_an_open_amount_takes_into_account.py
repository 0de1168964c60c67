"""Which payments an invoice's open amount takes into account."""

from alembic import op

revision = "payment_0004"
down_revision = "payment_0003"


def upgrade() -> None:
    op.execute("ALTER TABLE invoice_reference ADD COLUMN heard jsonb")
    comment = "the payments that the open amount takes into account; null: billing has not said"
    op.execute(f"COMMENT ON COLUMN invoice_reference.heard IS '{comment}'")
