"""Copies of services."""

from alembic import op

revision = "operations_0002"
down_revision = "operations_0001"


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE service_copy_reference (
            service text NOT NULL,
            reported_at timestamptz NOT NULL,
            described jsonb NOT NULL,
            state_version bigint NOT NULL,
            deleted boolean NOT NULL,
            changed_at timestamptz NOT NULL,
            received_at timestamptz NOT NULL,
            id text NOT NULL,
            CONSTRAINT service_copy_reference_pkey PRIMARY KEY (id)
        )
        """
    )
    op.execute("COMMENT ON COLUMN service_copy_reference.described IS 'the whole of what it said'")
