"""Whom a facility's managers know: former colleagues, and invitations for everybody else."""

from alembic import op

revision = "auth_0002"
down_revision = "auth_0001"


def upgrade() -> None:
    op.execute("ALTER TABLE auth_sessions ADD COLUMN chosen_at timestamptz")
    op.execute("COMMENT ON COLUMN auth_sessions.chosen_at IS 'when another facility was chosen than at sign-in'")
    op.execute(
        """
        CREATE TABLE auth_former_colleagues (
            user_id uuid NOT NULL,
            facility_id uuid NOT NULL,
            CONSTRAINT auth_former_colleagues_pkey PRIMARY KEY (user_id, facility_id),
            CONSTRAINT auth_former_colleagues_user_id_fkey FOREIGN KEY(user_id) REFERENCES auth_users (user_id)
        )
        """
    )
    op.execute(
        """
        INSERT INTO auth_former_colleagues
        SELECT DISTINCT entry.user_id, CAST(entry.facts ->> 'facility_id' AS uuid)
        FROM auth_audit_logs entry JOIN auth_users USING (user_id)
        WHERE entry.action = 'role.withdrawn' AND entry.facts ->> 'facility_id' <> 'everywhere' AND status <> 'deleted'
        """
    )
    op.execute(
        """
        CREATE TABLE auth_invitations (
            invitation_id uuid NOT NULL,
            email text NOT NULL,
            role text NOT NULL,
            facility_id uuid NOT NULL,
            invited_by uuid NOT NULL,
            invited_at timestamptz NOT NULL,
            expires_at timestamptz NOT NULL,
            CONSTRAINT auth_invitations_pkey PRIMARY KEY (invitation_id),
            CONSTRAINT auth_invitations_role_fkey FOREIGN KEY(role) REFERENCES auth_roles (code),
            CONSTRAINT auth_invitations_email_role_facility_id_key UNIQUE (email, role, facility_id)
        )
        """
    )
    op.execute("COMMENT ON COLUMN auth_invitations.email IS 'in lower case'")
    op.execute("CREATE INDEX auth_invitations_facility_id_idx ON auth_invitations (facility_id)")


def downgrade() -> None:
    op.execute("DROP TABLE auth_invitations")
    op.execute("DROP TABLE auth_former_colleagues")
    op.execute("ALTER TABLE auth_sessions DROP COLUMN chosen_at")
