"""How old replicas are at most."""

from alembic import op

revision = "backbone_0011"
down_revision = "backbone_0010"


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE backbone.replica_mark (
            replica text NOT NULL,
            as_of timestamptz,
            asked_id uuid,
            asked_at timestamptz NOT NULL,
            CONSTRAINT replica_mark_pkey PRIMARY KEY (replica)
        )
        """
    )
    op.execute("COMMENT ON COLUMN backbone.replica_mark.asked_id IS 'null once it is answered'")


def downgrade() -> None:
    op.execute("DROP TABLE backbone.replica_mark")
