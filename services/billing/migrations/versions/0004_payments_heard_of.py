"""Which payments an invoice's balance takes into account."""

from alembic import op

revision = "billing_0004"
down_revision = "billing_0003"


def upgrade() -> None:
    op.execute("ALTER TABLE invoices ADD COLUMN payments uuid[] NOT NULL DEFAULT '{}'::uuid[]")
    op.execute("COMMENT ON COLUMN invoices.payments IS 'those that named it and have been heard of'")
    op.execute(
        """
        UPDATE invoices SET payments = heard.payments
        FROM (
            SELECT invoice_id, array_agg(DISTINCT payment_id) AS payments
            FROM (
                SELECT invoice_id, payment_id FROM invoice_payment_allocations
                UNION ALL SELECT invoice_id, payment_id FROM credits
            ) settled
            GROUP BY invoice_id
        ) heard
        WHERE heard.invoice_id = invoices.invoice_id
        """
    )
