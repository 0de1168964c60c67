"""Payments by PayPal and M-Pesa."""

from alembic import op

revision = "payment_0003"
down_revision = "payment_0002"


def upgrade() -> None:
    op.execute("ALTER TABLE payment_webhooks ALTER COLUMN payment_id DROP NOT NULL")
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
        INSERT INTO payment_providers (code, name, method)
        VALUES ('paypal', 'PayPal', 'wallet'), ('mpesa', 'M-Pesa', 'mobile_money')
        """
    )
