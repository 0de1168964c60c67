"""Merges that are taken back, references that are one facility's own, and its own days."""

from alembic import op
from sqlalchemy import column, table

revision = "billing_0003"
down_revision = "billing_0002"

FOLLOW_MERGES = (
    "charges",
    "collection_cases",
    "coupon_redemptions",
    "credits",
    "insurance_claims",
    "insurance_policies",
    "invoices",
)
"""What was merged before was recorded for whoever has it now: of whom it came, nobody knows."""


def upgrade() -> None:
    for name in FOLLOW_MERGES:
        op.execute(f"ALTER TABLE {name} ADD COLUMN recorded_for uuid")
        rows = table(name, column("patient_id"), column("recorded_for"))
        op.execute(rows.update().values(recorded_for=rows.c.patient_id))
        op.execute(f"ALTER TABLE {name} ALTER COLUMN recorded_for SET NOT NULL")
        comment = "whose it is without any merge: theirs again when one is taken back"
        op.execute(f"COMMENT ON COLUMN {name}.recorded_for IS '{comment}'")
        op.execute(f"CREATE INDEX {name}_recorded_for_idx ON {name} (recorded_for)")
    op.execute("CREATE INDEX billing_accounts_merged_into_idx ON billing_accounts (merged_into)")
    op.execute("ALTER TABLE invoices DROP CONSTRAINT invoices_external_reference_key")
    unique = "UNIQUE (facility_id, external_reference)"
    op.execute(f"ALTER TABLE invoices ADD CONSTRAINT invoices_facility_id_external_reference_key {unique}")
    # Until a facility says its state again, its days are taken for those of UTC, as they were before.
    op.execute("ALTER TABLE facility_reference ADD COLUMN time_zone text NOT NULL DEFAULT 'UTC'")
    op.execute("ALTER TABLE facility_reference ALTER COLUMN time_zone DROP DEFAULT")
    op.execute("COMMENT ON COLUMN facility_reference.time_zone IS 'IANA'")
