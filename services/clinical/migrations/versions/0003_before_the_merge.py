"""What a merged patient was before."""

from alembic import op

revision = "clinical_0003"
down_revision = "clinical_0002"


def upgrade() -> None:
    op.execute("ALTER TABLE patients ADD COLUMN status_before_merge text")
    op.execute("COMMENT ON COLUMN patients.status_before_merge IS 'theirs again when the merge is taken back'")
