"""Auth's public keys, and sessions that were revoked."""

from alembic import op

revision = "backbone_0002"
down_revision = "backbone_0001"


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE backbone.signing_key (
            id text PRIMARY KEY,
            public_key text NOT NULL,
            expires_at timestamptz,
            state_version bigint NOT NULL,
            deleted boolean NOT NULL,
            changed_at timestamptz NOT NULL,
            received_at timestamptz NOT NULL
        )
        """
    )
    op.execute(
        """
        CREATE TABLE backbone.revoked_session (
            id uuid PRIMARY KEY,
            expires_at timestamptz NOT NULL,
            state_version bigint NOT NULL,
            deleted boolean NOT NULL,
            changed_at timestamptz NOT NULL,
            received_at timestamptz NOT NULL
        )
        """
    )
    op.execute("CREATE INDEX revoked_session_expires_at_idx ON backbone.revoked_session (expires_at)")


def downgrade() -> None:
    op.execute("DROP TABLE backbone.revoked_session, backbone.signing_key")
