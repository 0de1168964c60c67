"""What was said for a record that was merged is found from the one that lives on, and the last word counts."""

from alembic import op

revision = "notification_0002"
down_revision = "notification_0001"


def upgrade() -> None:
    op.execute("CREATE INDEX patient_reference_merged_into_idx ON patient_reference (merged_into)")
    op.execute("ALTER TABLE contact_hours ADD COLUMN changed_at timestamptz NOT NULL DEFAULT now()")
    op.execute("COMMENT ON COLUMN contact_hours.changed_at IS 'of several records of one person, the last word counts'")


def downgrade() -> None:
    op.execute("ALTER TABLE contact_hours DROP COLUMN changed_at")
    op.execute("DROP INDEX patient_reference_merged_into_idx")
