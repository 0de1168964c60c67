"""What code of an earlier release leaves out is filled in while both run: whose a row is, and what was added with defaults."""

from alembic import op

revision = "billing_0008"
down_revision = "billing_0007"

FOLLOW_MERGES = (
    "charges",
    "collection_cases",
    "coupon_redemptions",
    "credits",
    "insurance_claims",
    "insurance_policies",
    "invoices",
)
DEFAULTS = (
    ("billing_adjustments", "reason_code", "'other'"),
    ("credits", "used_amount", "0"),
    ("invoices", "held_amount", "0"),
    ("receipts", "returned_amount", "0"),
    ("facility_reference", "time_zone", "'UTC'"),
)


def upgrade() -> None:
    op.execute(
        """
        CREATE FUNCTION record_for_its_patient() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN NEW.recorded_for := NEW.patient_id; RETURN NEW; END $$
        """
    )
    for table in FOLLOW_MERGES:
        op.execute(
            f"CREATE TRIGGER recorded_for_its_patient BEFORE INSERT ON {table} FOR EACH ROW"
            " WHEN (NEW.recorded_for IS NULL) EXECUTE FUNCTION record_for_its_patient()"
        )
    for table, column, default in DEFAULTS:
        op.execute(f"ALTER TABLE {table} ALTER COLUMN {column} SET DEFAULT {default}")
    op.execute("COMMENT ON COLUMN facility_reference.time_zone IS 'IANA; UTC until its owner says'")


def downgrade() -> None:
    op.execute("COMMENT ON COLUMN facility_reference.time_zone IS 'IANA'")
    for table, column, _ in DEFAULTS:
        op.execute(f"ALTER TABLE {table} ALTER COLUMN {column} DROP DEFAULT")
    for table in FOLLOW_MERGES:
        op.execute(f"DROP TRIGGER recorded_for_its_patient ON {table}")
    op.execute("DROP FUNCTION record_for_its_patient")
