"""Which part of a record was seen by who broke the glass."""

from alembic import op

revision = "clinical_0004"
down_revision = "clinical_0003"


def upgrade() -> None:
    op.execute("ALTER TABLE audit_log ADD COLUMN part text")
    op.execute("COMMENT ON COLUMN audit_log.part IS 'the table of the record that was seen or written behind the glass'")


def downgrade() -> None:
    op.execute("ALTER TABLE audit_log DROP COLUMN part")
