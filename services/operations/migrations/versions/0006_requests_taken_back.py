"""What is asked of a service is good for a while, and can be withdrawn."""

from alembic import op

revision = "operations_0006"
down_revision = "operations_0005"


def upgrade() -> None:
    op.execute("ALTER TABLE operation_requests ADD COLUMN until timestamptz NOT NULL DEFAULT now()")
    op.execute("COMMENT ON COLUMN operation_requests.until IS 'the service refuses what it has not begun by then'")
    op.execute("ALTER TABLE operation_requests ADD COLUMN withdrawn_by text")


def downgrade() -> None:
    op.execute("ALTER TABLE operation_requests DROP COLUMN until, DROP COLUMN withdrawn_by")
