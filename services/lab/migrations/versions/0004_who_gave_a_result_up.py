"""Who gave up a result before it was released, and when."""

from alembic import op

revision = "lab_0004"
down_revision = "lab_0003"


def upgrade() -> None:
    op.execute("ALTER TABLE lab_results ADD COLUMN cancelled_by uuid")
    op.execute(
        """
        COMMENT ON COLUMN lab_results.cancelled_by IS
        'the user who gave it up before it was released; null where nobody is known'
        """
    )
    op.execute("ALTER TABLE lab_results ADD COLUMN cancelled_at timestamptz")


def downgrade() -> None:
    op.execute("ALTER TABLE lab_results DROP COLUMN cancelled_at")
    op.execute("ALTER TABLE lab_results DROP COLUMN cancelled_by")
