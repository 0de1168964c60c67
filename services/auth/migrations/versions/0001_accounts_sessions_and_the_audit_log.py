"""Accounts, sessions, keys and the audit log, with the roles that there are."""

from alembic import op
from sqlalchemy import text

revision = "auth_0001"
down_revision = None

ROLES = {
    "registrar": "Registers patients and admits them.",
    "clinician": "Treats patients, orders and signs.",
    "nurse": "Cares for patients and charts.",
    "trainee": "Writes notes that another has to sign with them.",
    "technician": "Takes samples and enters results.",
    "pathologist": "Verifies and corrects results.",
    "lab_manager": "Keeps the laboratory's catalogue and its quality control.",
    "cashier": "Takes payments.",
    "billing_clerk": "Issues invoices.",
    "billing_manager": "Sets prices, writes off and refunds.",
    "facility_manager": "Runs a facility and grants roles there.",
    "bed_manager": "Assigns and releases beds.",
    "privacy_officer": "Reads audit logs and has people forgotten.",
    "notification_manager": "Keeps templates and sees what became of messages.",
    "administrator": "Runs the platform.",
}
PERMISSIONS = {
    "roles.assign": "Grant and withdraw roles.",
    "administrators.appoint": "Grant and withdraw the role of an administrator.",
}
PERMITTED = [
    ("administrator", "roles.assign"),
    ("administrator", "administrators.appoint"),
    ("facility_manager", "roles.assign"),
]


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE auth_audit_logs (
            position bigint NOT NULL,
            at timestamptz NOT NULL,
            action text NOT NULL,
            actor text NOT NULL,
            user_id uuid,
            facts jsonb NOT NULL,
            previous_hash bytea NOT NULL,
            hash bytea NOT NULL,
            CONSTRAINT auth_audit_logs_pkey PRIMARY KEY (position)
        )
        """
    )
    op.execute("CREATE INDEX auth_audit_logs_user_id_idx ON auth_audit_logs (user_id)")
    op.execute(
        """
        CREATE TABLE auth_login_attempts (
            attempt_id uuid NOT NULL,
            user_id uuid,
            address text,
            outcome text NOT NULL,
            attempted_at timestamptz NOT NULL,
            CONSTRAINT auth_login_attempts_pkey PRIMARY KEY (attempt_id)
        )
        """
    )
    op.execute("COMMENT ON COLUMN auth_login_attempts.user_id IS 'null where there is no such user'")
    op.execute(
        """
        COMMENT ON COLUMN auth_login_attempts.address IS 'of the client''s connection; null once its user is erased'
        """
    )
    op.execute(
        """
        CREATE INDEX auth_login_attempts_address_attempted_at_idx ON auth_login_attempts (address, attempted_at)
        """
    )
    op.execute(
        """
        CREATE INDEX auth_login_attempts_user_id_attempted_at_idx ON auth_login_attempts (user_id, attempted_at)
        """
    )
    op.execute(
        """
        CREATE TABLE auth_permissions (
            code text NOT NULL,
            description text NOT NULL,
            CONSTRAINT auth_permissions_pkey PRIMARY KEY (code)
        )
        """
    )
    op.execute(
        """
        CREATE TABLE auth_revoked_sessions (
            session_id uuid NOT NULL,
            user_id uuid NOT NULL,
            reason text NOT NULL,
            revoked_at timestamptz NOT NULL,
            expires_at timestamptz NOT NULL,
            state_version bigint NOT NULL,
            CONSTRAINT auth_revoked_sessions_pkey PRIMARY KEY (session_id)
        )
        """
    )
    op.execute("COMMENT ON COLUMN auth_revoked_sessions.user_id IS 'the program''s id, where it was a program''s'")
    op.execute(
        """
        CREATE TABLE auth_roles (
            code text NOT NULL,
            description text NOT NULL,
            CONSTRAINT auth_roles_pkey PRIMARY KEY (code)
        )
        """
    )
    op.execute(
        """
        CREATE TABLE auth_signing_keys (
            kid text NOT NULL,
            public_key text NOT NULL,
            sealed_private_key text,
            signs_from timestamptz NOT NULL,
            expires_at timestamptz,
            state_version bigint NOT NULL,
            CONSTRAINT auth_signing_keys_pkey PRIMARY KEY (kid)
        )
        """
    )
    op.execute("COMMENT ON COLUMN auth_signing_keys.sealed_private_key IS 'JWE'")
    op.execute("COMMENT ON COLUMN auth_signing_keys.expires_at IS 'when the last of its tokens expires'")
    op.execute(
        """
        CREATE TABLE auth_users (
            user_id uuid NOT NULL,
            email text,
            full_name text NOT NULL,
            phone text,
            locale text NOT NULL,
            time_zone text NOT NULL,
            status text NOT NULL,
            password_hash text,
            registered_at timestamptz NOT NULL,
            locked_until timestamptz,
            failures_count_from timestamptz NOT NULL,
            state_version bigint NOT NULL,
            CONSTRAINT auth_users_pkey PRIMARY KEY (user_id),
            CONSTRAINT auth_users_email_key UNIQUE (email)
        )
        """
    )
    op.execute("COMMENT ON COLUMN auth_users.email IS 'in lower case; null once erased'")
    op.execute("COMMENT ON COLUMN auth_users.password_hash IS 'argon2id; null once erased'")
    op.execute("COMMENT ON COLUMN auth_users.failures_count_from IS 'failed sign-ins before it are forgiven'")
    op.execute(
        """
        CREATE TABLE facility_reference (
            status text NOT NULL,
            state_version bigint NOT NULL,
            deleted boolean NOT NULL,
            changed_at timestamptz NOT NULL,
            received_at timestamptz NOT NULL,
            id uuid NOT NULL,
            CONSTRAINT facility_reference_pkey PRIMARY KEY (id)
        )
        """
    )
    op.execute(
        """
        CREATE TABLE oauth_clients (
            client_id uuid NOT NULL,
            name text NOT NULL,
            secret_hash bytea NOT NULL,
            roles jsonb NOT NULL,
            facilities jsonb NOT NULL,
            registered_at timestamptz NOT NULL,
            revoked_at timestamptz,
            CONSTRAINT oauth_clients_pkey PRIMARY KEY (client_id),
            CONSTRAINT oauth_clients_name_key UNIQUE (name)
        )
        """
    )
    op.execute("COMMENT ON COLUMN oauth_clients.facilities IS 'ids; * is every one'")
    op.execute(
        """
        CREATE TABLE admin_users (
            user_id uuid NOT NULL,
            appointed_at timestamptz NOT NULL,
            appointed_by uuid,
            CONSTRAINT admin_users_pkey PRIMARY KEY (user_id),
            CONSTRAINT admin_users_user_id_fkey FOREIGN KEY(user_id) REFERENCES auth_users (user_id)
        )
        """
    )
    op.execute("COMMENT ON COLUMN admin_users.appointed_by IS 'null for the first one'")
    op.execute(
        """
        CREATE TABLE auth_devices (
            device_id uuid NOT NULL,
            user_id uuid NOT NULL,
            name text NOT NULL,
            first_seen_at timestamptz NOT NULL,
            last_seen_at timestamptz NOT NULL,
            CONSTRAINT auth_devices_pkey PRIMARY KEY (device_id),
            CONSTRAINT auth_devices_user_id_name_key UNIQUE (user_id, name),
            CONSTRAINT auth_devices_user_id_fkey FOREIGN KEY(user_id) REFERENCES auth_users (user_id)
        )
        """
    )
    op.execute(
        """
        CREATE TABLE auth_role_permissions (
            role text NOT NULL,
            permission text NOT NULL,
            CONSTRAINT auth_role_permissions_pkey PRIMARY KEY (role, permission),
            CONSTRAINT auth_role_permissions_permission_fkey FOREIGN KEY(permission) REFERENCES auth_permissions (code),
            CONSTRAINT auth_role_permissions_role_fkey FOREIGN KEY(role) REFERENCES auth_roles (code)
        )
        """
    )
    op.execute(
        """
        CREATE TABLE auth_user_roles (
            grant_id uuid NOT NULL,
            user_id uuid NOT NULL,
            role text NOT NULL,
            facility_id uuid,
            granted_at timestamptz NOT NULL,
            granted_by uuid,
            CONSTRAINT auth_user_roles_pkey PRIMARY KEY (grant_id),
            CONSTRAINT auth_user_roles_role_fkey FOREIGN KEY(role) REFERENCES auth_roles (code),
            CONSTRAINT auth_user_roles_user_id_fkey FOREIGN KEY(user_id) REFERENCES auth_users (user_id),
            CONSTRAINT auth_user_roles_user_id_role_facility_id_key UNIQUE NULLS NOT DISTINCT (user_id, role, facility_id)
        )
        """
    )
    op.execute("COMMENT ON COLUMN auth_user_roles.facility_id IS 'null is every one'")
    op.execute(
        """
        CREATE TABLE auth_verifications (
            code_hash bytea NOT NULL,
            user_id uuid NOT NULL,
            password_hash text NOT NULL,
            full_name text NOT NULL,
            phone text,
            locale text NOT NULL,
            time_zone text NOT NULL,
            expires_at timestamptz NOT NULL,
            CONSTRAINT auth_verifications_pkey PRIMARY KEY (code_hash),
            CONSTRAINT auth_verifications_user_id_fkey FOREIGN KEY(user_id) REFERENCES auth_users (user_id)
        )
        """
    )
    op.execute(
        """
        COMMENT ON COLUMN auth_verifications.password_hash IS 'of the registration that the code was sent for'
        """
    )
    op.execute("CREATE INDEX auth_verifications_user_id_idx ON auth_verifications (user_id)")
    op.execute(
        """
        CREATE TABLE mfa_factors (
            user_id uuid NOT NULL,
            sealed_secret text NOT NULL,
            confirmed_at timestamptz,
            last_step bigint NOT NULL,
            CONSTRAINT mfa_factors_pkey PRIMARY KEY (user_id),
            CONSTRAINT mfa_factors_user_id_fkey FOREIGN KEY(user_id) REFERENCES auth_users (user_id)
        )
        """
    )
    op.execute("COMMENT ON COLUMN mfa_factors.sealed_secret IS 'JWE'")
    op.execute("COMMENT ON COLUMN mfa_factors.last_step IS 'the time step of the last code that was taken'")
    op.execute(
        """
        CREATE TABLE mfa_recovery_codes (
            code_hash bytea NOT NULL,
            user_id uuid NOT NULL,
            CONSTRAINT mfa_recovery_codes_pkey PRIMARY KEY (code_hash),
            CONSTRAINT mfa_recovery_codes_user_id_fkey FOREIGN KEY(user_id) REFERENCES auth_users (user_id)
        )
        """
    )
    op.execute("CREATE INDEX mfa_recovery_codes_user_id_idx ON mfa_recovery_codes (user_id)")
    op.execute(
        """
        CREATE TABLE auth_sessions (
            session_id uuid NOT NULL,
            user_id uuid NOT NULL,
            device_id uuid,
            facility_id uuid,
            status text NOT NULL,
            began_at timestamptz NOT NULL,
            last_used_at timestamptz NOT NULL,
            CONSTRAINT auth_sessions_pkey PRIMARY KEY (session_id),
            CONSTRAINT auth_sessions_device_id_fkey FOREIGN KEY(device_id) REFERENCES auth_devices (device_id),
            CONSTRAINT auth_sessions_user_id_fkey FOREIGN KEY(user_id) REFERENCES auth_users (user_id)
        )
        """
    )
    op.execute("COMMENT ON COLUMN auth_sessions.facility_id IS 'where its tokens count, if the user chose one'")
    op.execute("CREATE INDEX auth_sessions_user_id_idx ON auth_sessions (user_id)")
    op.execute(
        """
        CREATE TABLE auth_refresh_tokens (
            token_hash bytea NOT NULL,
            session_id uuid NOT NULL,
            status text NOT NULL,
            expires_at timestamptz NOT NULL,
            CONSTRAINT auth_refresh_tokens_pkey PRIMARY KEY (token_hash),
            CONSTRAINT auth_refresh_tokens_session_id_fkey FOREIGN KEY(session_id) REFERENCES auth_sessions (session_id)
        )
        """
    )
    op.execute("CREATE INDEX auth_refresh_tokens_session_id_idx ON auth_refresh_tokens (session_id)")
    op.execute(
        """
        CREATE FUNCTION auth_audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'the audit log is only ever appended to'; END $$
        """
    )
    op.execute(
        """
        CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON auth_audit_logs
        FOR EACH STATEMENT EXECUTE FUNCTION auth_audit_is_append_only()
        """
    )
    _insert("auth_roles", [{"code": code, "description": description} for code, description in ROLES.items()])
    _insert("auth_permissions", [{"code": code, "description": description} for code, description in PERMISSIONS.items()])
    _insert("auth_role_permissions", [{"role": role, "permission": permission} for role, permission in PERMITTED])


def _insert(table: str, rows: list[dict[str, str]]) -> None:
    columns = list(rows[0])
    values = ", ".join(f":{column}" for column in columns)
    op.get_bind().execute(text(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({values})"), rows)  # noqa: S608
