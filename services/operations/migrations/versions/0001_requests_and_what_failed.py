"""Requests, and what failed."""

from alembic import op

revision = "operations_0001"
down_revision = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE failed_message_reference (
            service text NOT NULL,
            position bigint NOT NULL,
            message_id uuid,
            heard_by text NOT NULL,
            state text NOT NULL,
            type text NOT NULL,
            type_version integer NOT NULL,
            aggregate text NOT NULL,
            flow uuid,
            error text NOT NULL,
            reason text NOT NULL,
            fingerprint text NOT NULL,
            attempts integer NOT NULL,
            due_at timestamptz,
            waits_for text,
            waits_key text,
            first_failed_at timestamptz NOT NULL,
            last_failed_at timestamptz NOT NULL,
            state_version bigint NOT NULL,
            deleted boolean NOT NULL,
            changed_at timestamptz NOT NULL,
            received_at timestamptz NOT NULL,
            id text NOT NULL,
            CONSTRAINT failed_message_reference_pkey PRIMARY KEY (id)
        )
        """
    )
    op.execute("COMMENT ON COLUMN failed_message_reference.heard_by IS 'the subscription'")
    op.execute("CREATE INDEX failed_message_reference_aggregate_idx ON failed_message_reference (aggregate)")
    op.execute("CREATE INDEX failed_message_reference_fingerprint_idx ON failed_message_reference (fingerprint)")
    op.execute(
        """
        CREATE INDEX failed_message_reference_first_failed_at_id_idx ON failed_message_reference (first_failed_at, id)
        """
    )
    op.execute("CREATE INDEX failed_message_reference_flow_idx ON failed_message_reference (flow)")
    op.execute(
        """
        CREATE INDEX failed_message_reference_group_idx ON failed_message_reference (service, heard_by, state, fingerprint)
        """
    )
    op.execute(
        """
        CREATE TABLE failure_action_reference (
            service text NOT NULL,
            verb text NOT NULL,
            state text NOT NULL,
            asked_by text NOT NULL,
            why text NOT NULL,
            total integer NOT NULL,
            outcomes jsonb NOT NULL,
            began_at timestamptz NOT NULL,
            ended_at timestamptz,
            state_version bigint NOT NULL,
            deleted boolean NOT NULL,
            changed_at timestamptz NOT NULL,
            received_at timestamptz NOT NULL,
            id uuid NOT NULL,
            CONSTRAINT failure_action_reference_pkey PRIMARY KEY (id)
        )
        """
    )
    op.execute("CREATE INDEX failure_action_reference_began_at_idx ON failure_action_reference (began_at)")
    op.execute(
        """
        CREATE TABLE invoice_reference (
            number text,
            facility_id uuid NOT NULL,
            state_version bigint NOT NULL,
            deleted boolean NOT NULL,
            changed_at timestamptz NOT NULL,
            received_at timestamptz NOT NULL,
            id uuid NOT NULL,
            CONSTRAINT invoice_reference_pkey PRIMARY KEY (id)
        )
        """
    )
    op.execute("CREATE INDEX invoice_reference_number_idx ON invoice_reference (number)")
    op.execute(
        """
        CREATE TABLE operation_requests (
            request_id uuid NOT NULL,
            service text NOT NULL,
            operation text NOT NULL,
            asked_by text NOT NULL,
            why text NOT NULL,
            asked_at timestamptz NOT NULL,
            state text NOT NULL,
            refusal text,
            answer jsonb,
            sealed text,
            CONSTRAINT operation_requests_pkey PRIMARY KEY (request_id)
        )
        """
    )
    op.execute("COMMENT ON COLUMN operation_requests.sealed IS 'for the key of whoever asked alone'")
    op.execute("CREATE INDEX operation_requests_asked_at_idx ON operation_requests (asked_at)")
    op.execute(
        """
        CREATE TABLE page_sessions (
            session_id text NOT NULL,
            sealed text NOT NULL,
            expires_at timestamptz NOT NULL,
            CONSTRAINT page_sessions_pkey PRIMARY KEY (session_id)
        )
        """
    )
    op.execute("COMMENT ON COLUMN page_sessions.session_id IS 'hash of what the cookie holds'")
    op.execute("COMMENT ON COLUMN page_sessions.sealed IS 'tokens of auth''s, for whoever has the cookie'")
    op.execute("CREATE INDEX page_sessions_expires_at_idx ON page_sessions (expires_at)")
    op.execute(
        """
        CREATE TABLE patient_reference (
            medical_record_number text NOT NULL,
            facility_id uuid NOT NULL,
            state_version bigint NOT NULL,
            deleted boolean NOT NULL,
            changed_at timestamptz NOT NULL,
            received_at timestamptz NOT NULL,
            id uuid NOT NULL,
            CONSTRAINT patient_reference_pkey PRIMARY KEY (id)
        )
        """
    )
    op.execute(
        """
        CREATE INDEX patient_reference_medical_record_number_idx ON patient_reference (medical_record_number)
        """
    )
