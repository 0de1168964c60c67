"""Payments by M-Pesa."""

from alembic import op

revision = "payment_0003"
down_revision = "payment_0002"


def upgrade() -> None:
    op.execute("ALTER TABLE payment_webhooks ALTER COLUMN payment_id DROP NOT NULL")
    op.execute("INSERT INTO payment_providers (code, name, method) VALUES ('mpesa', 'M-Pesa', 'mobile_money')")
