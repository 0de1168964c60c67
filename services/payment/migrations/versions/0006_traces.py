"""What people find out of payments that their provider's answer was lost of."""

from alembic import op

revision = "payment_0006"
down_revision = "payment_0005"


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE payment_traces (
            trace_id uuid NOT NULL,
            payment_id uuid NOT NULL,
            facility_id uuid NOT NULL,
            provider_payment_id text,
            status text NOT NULL,
            traced_by text NOT NULL,
            traced_at timestamptz NOT NULL,
            decided_by text,
            decided_at timestamptz,
            CONSTRAINT payment_traces_pkey PRIMARY KEY (trace_id),
            CONSTRAINT payment_traces_payment_id_fkey FOREIGN KEY(payment_id) REFERENCES payments (payment_id)
        )
        """
    )
    op.execute("COMMENT ON COLUMN payment_traces.provider_payment_id IS 'null: it was not paid'")
    op.execute("COMMENT ON COLUMN payment_traces.decided_by IS 'who confirmed it, somebody else; or refused it'")
    op.execute("CREATE UNIQUE INDEX payment_traces_undecided ON payment_traces (payment_id) WHERE status = 'found'")
    op.execute("CREATE INDEX payment_traces_payment_id_idx ON payment_traces (payment_id)")
    op.execute("CREATE INDEX payment_traces_facility_id_status_idx ON payment_traces (facility_id, status)")


def downgrade() -> None:
    op.execute("DROP TABLE payment_traces")
