"""Registrations, until it is looked whether their address has an account."""

from alembic import op

revision = "auth_0003"
down_revision = "auth_0002"


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE auth_registrations (
            registration_id uuid NOT NULL,
            email text NOT NULL,
            password_hash text NOT NULL,
            full_name text NOT NULL,
            phone text,
            locale text NOT NULL,
            time_zone text NOT NULL,
            asked_at timestamptz NOT NULL,
            CONSTRAINT auth_registrations_pkey PRIMARY KEY (registration_id)
        )
        """
    )
    op.execute("COMMENT ON COLUMN auth_registrations.email IS 'in lower case'")
    op.execute("COMMENT ON COLUMN auth_registrations.password_hash IS 'argon2id'")
    op.execute("CREATE INDEX auth_registrations_email_idx ON auth_registrations (email)")


def downgrade() -> None:
    op.execute("DROP TABLE auth_registrations")
