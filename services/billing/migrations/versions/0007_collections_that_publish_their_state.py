"""Cases of collections that publish their state."""

from alembic import op

revision = "billing_0007"
down_revision = "billing_0006"


def upgrade() -> None:
    op.execute("ALTER TABLE collection_cases ADD COLUMN state_version bigint NOT NULL DEFAULT 1")
    op.execute("COMMENT ON COLUMN collection_cases.state_version IS '1 where nobody said it yet'")
    op.execute("UPDATE collection_cases SET state_version = nextval('backbone.state_version')")


def downgrade() -> None:
    op.execute("ALTER TABLE collection_cases DROP COLUMN state_version")
