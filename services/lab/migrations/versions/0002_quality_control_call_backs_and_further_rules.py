"""Quality control, call-backs and further rules."""

from alembic import op

revision = "lab_0002"
down_revision = "lab_0001"


def upgrade() -> None:
    op.execute("ALTER TABLE lab_orders ADD COLUMN ordered_by uuid")
    op.execute("COMMENT ON COLUMN lab_orders.ordered_by IS 'the user who did; null where nobody is known'")
