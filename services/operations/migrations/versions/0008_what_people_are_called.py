"""What whoever asked for something is called."""

from alembic import op

revision = "operations_0008"
down_revision = "operations_0007"


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE user_reference (
            full_name text NOT NULL,
            state_version bigint NOT NULL,
            deleted boolean NOT NULL,
            changed_at timestamptz NOT NULL,
            received_at timestamptz NOT NULL,
            id uuid NOT NULL,
            CONSTRAINT user_reference_pkey PRIMARY KEY (id)
        )
        """
    )


def downgrade() -> None:
    op.execute("DROP TABLE user_reference")
