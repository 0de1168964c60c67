"""Who entered, verified and corrected a result."""

from alembic import op

revision = "lab_0003"
down_revision = "lab_0002"


def upgrade() -> None:
    op.execute("ALTER TABLE lab_results ADD COLUMN entered_by uuid")
    op.execute("COMMENT ON COLUMN lab_results.entered_by IS 'the user who did; null where nobody is known'")
    op.execute("ALTER TABLE lab_results ADD COLUMN verified_by uuid")
    op.execute(
        """
        COMMENT ON COLUMN lab_results.verified_by IS
        'the user who did; null where it was released by itself, or nobody is known'
        """
    )
    op.execute("ALTER TABLE result_corrections ADD COLUMN corrected_by uuid")
    op.execute("COMMENT ON COLUMN result_corrections.corrected_by IS 'the user who did; null where nobody is known'")


def downgrade() -> None:
    op.execute("ALTER TABLE result_corrections DROP COLUMN corrected_by")
    op.execute("ALTER TABLE lab_results DROP COLUMN verified_by")
    op.execute("ALTER TABLE lab_results DROP COLUMN entered_by")
