"""Contacts, and encounters that publish their state."""

from alembic import op

revision = "clinical_0002"
down_revision = "clinical_0001"


def upgrade() -> None:
    op.execute("ALTER TABLE encounters ADD COLUMN state_version bigint NOT NULL DEFAULT nextval('backbone.state_version')")
    op.execute("ALTER TABLE encounters ALTER COLUMN state_version DROP DEFAULT")
    op.execute("ALTER TABLE patients ADD COLUMN email text")
    op.execute("ALTER TABLE patients ADD COLUMN phone text")
    op.execute("COMMENT ON COLUMN patients.phone IS 'E.164'")
    op.execute("ALTER TABLE patients ADD COLUMN locale text")
    op.execute("COMMENT ON COLUMN patients.locale IS 'BCP 47'")
    op.execute("ALTER TABLE patients ADD COLUMN street text")
    op.execute("ALTER TABLE patients ADD COLUMN city text")
    op.execute("ALTER TABLE patients ADD COLUMN postal_code text")
    op.execute("ALTER TABLE patients ADD COLUMN country text")
    op.execute("COMMENT ON COLUMN patients.country IS 'ISO 3166-1 alpha-2'")
    op.execute("ALTER TABLE result_entries ADD COLUMN ordered_by uuid")
    op.execute("COMMENT ON COLUMN result_entries.ordered_by IS 'the user who ordered the test'")
