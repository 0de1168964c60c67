"""Credit notes that two people decide."""

from alembic import op

revision = "billing_0006"
down_revision = "billing_0005"


def upgrade() -> None:
    op.execute("ALTER TABLE credit_notes ADD COLUMN approved_by text")
    op.execute(
        """
        CREATE TABLE credit_note_requests (
            credit_note_request_id uuid NOT NULL,
            invoice_id uuid NOT NULL,
            facility_id uuid NOT NULL,
            status text NOT NULL,
            amount numeric(14, 2) NOT NULL,
            currency text NOT NULL,
            reason text NOT NULL,
            requested_by text NOT NULL,
            requested_at timestamptz NOT NULL,
            decided_by text,
            decided_at timestamptz,
            CONSTRAINT credit_note_requests_pkey PRIMARY KEY (credit_note_request_id),
            CONSTRAINT credit_note_requests_invoice_id_fkey FOREIGN KEY(invoice_id) REFERENCES invoices (invoice_id)
        )
        """
    )
    op.execute(
        """
        CREATE UNIQUE INDEX credit_note_requests_undecided_idx ON credit_note_requests (invoice_id) WHERE status = 'requested'
        """
    )


def downgrade() -> None:
    op.execute("DROP TABLE credit_note_requests")
    op.execute("ALTER TABLE credit_notes DROP COLUMN approved_by")
