"""Merges that are taken back."""

from alembic import op

revision = "facility_0002"
down_revision = "facility_0001"


def upgrade() -> None:
    op.execute("ALTER TABLE bed_requests ADD COLUMN recorded_for uuid")
    op.execute("COMMENT ON COLUMN bed_requests.recorded_for IS 'whose it is again when a merge is taken back'")
    op.execute("UPDATE bed_requests SET recorded_for = patient_id")
    op.execute("ALTER TABLE bed_requests ALTER COLUMN recorded_for SET NOT NULL")
    op.execute("CREATE INDEX bed_requests_recorded_for_idx ON bed_requests (recorded_for)")
