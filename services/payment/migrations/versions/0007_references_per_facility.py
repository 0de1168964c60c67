"""References that are one facility's own."""

from alembic import op

revision = "payment_0007"
down_revision = "payment_0006"


def upgrade() -> None:
    op.execute("ALTER TABLE payments DROP CONSTRAINT payments_reference_key")
    unique = "UNIQUE (facility_id, reference)"
    op.execute(f"ALTER TABLE payments ADD CONSTRAINT payments_facility_id_reference_key {unique}")
    op.execute("COMMENT ON COLUMN payments.reference IS 'what whoever recorded it calls it, at its facility'")


def downgrade() -> None:
    op.execute("COMMENT ON COLUMN payments.reference IS 'what whoever recorded it calls it'")
    op.execute("ALTER TABLE payments DROP CONSTRAINT payments_facility_id_reference_key")
    op.execute("ALTER TABLE payments ADD CONSTRAINT payments_reference_key UNIQUE (reference)")
