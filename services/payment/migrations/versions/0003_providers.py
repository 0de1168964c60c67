"""Payments by PayPal, M-Pesa and Stellar."""

from alembic import op

revision = "payment_0003"
down_revision = "payment_0002"


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE provider_certificates (
            url text NOT NULL,
            pem text,
            asked_at timestamptz NOT NULL,
            CONSTRAINT provider_certificates_pkey PRIMARY KEY (url)
        )
        """
    )
    op.execute("COMMENT ON COLUMN provider_certificates.pem IS 'null while it is fetched'")
    op.execute(
        """
        CREATE TABLE unmatched_transfers (
            transfer_id text NOT NULL,
            reason text NOT NULL,
            status text NOT NULL,
            asset_code text NOT NULL,
            asset_issuer text,
            quantity numeric(20, 7) NOT NULL,
            memo text,
            payment_id uuid,
            facility_id uuid,
            arrived_at timestamptz NOT NULL,
            decided_by text,
            sent_back_as text,
            CONSTRAINT unmatched_transfers_pkey PRIMARY KEY (transfer_id)
        )
        """
    )
    op.execute("COMMENT ON COLUMN unmatched_transfers.transfer_id IS 'the operation''s on the ledger'")
    op.execute(
        """
        COMMENT ON COLUMN unmatched_transfers.payment_id IS 'that its memo names, or that it was assigned to'
        """
    )
    op.execute(
        """
        COMMENT ON COLUMN unmatched_transfers.facility_id IS 'of that payment; null is nobody''s in particular'
        """
    )
    op.execute(
        """
        COMMENT ON COLUMN unmatched_transfers.sent_back_as IS 'the transaction on the ledger that returned it'
        """
    )
    op.execute("CREATE INDEX unmatched_transfers_facility_id_idx ON unmatched_transfers (facility_id)")
    op.execute(
        """
        CREATE TABLE provider_cursors (
            provider text NOT NULL,
            cursor bigint NOT NULL,
            CONSTRAINT provider_cursors_pkey PRIMARY KEY (provider),
            CONSTRAINT provider_cursors_provider_fkey FOREIGN KEY(provider) REFERENCES payment_providers (code)
        )
        """
    )
    op.execute("ALTER TABLE payment_webhooks ALTER COLUMN payment_id DROP NOT NULL")
    op.execute("ALTER TABLE payments ADD COLUMN memo text")
    op.execute("COMMENT ON COLUMN payments.memo IS 'what a transfer that pays it carries'")
    op.execute("ALTER TABLE payments ADD CONSTRAINT payments_memo_key UNIQUE (memo)")
    op.execute(
        """
        INSERT INTO payment_providers (code, name, method)
        VALUES ('paypal', 'PayPal', 'wallet'), ('mpesa', 'M-Pesa', 'mobile_money'), ('stellar', 'Stellar', 'digital_asset')
        """
    )
