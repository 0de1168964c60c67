"""Payments, their providers and webhooks, and the references that they are checked against."""

from alembic import op

revision = "payment_0001"
down_revision = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE invoice_reference (
            patient_id uuid NOT NULL,
            facility_id uuid NOT NULL,
            status text NOT NULL,
            open_amount numeric(14, 2) NOT NULL,
            currency text NOT NULL,
            state_version bigint NOT NULL,
            deleted boolean NOT NULL,
            changed_at timestamptz NOT NULL,
            received_at timestamptz NOT NULL,
            id uuid NOT NULL,
            CONSTRAINT invoice_reference_pkey PRIMARY KEY (id)
        )
        """
    )
    op.execute(
        """
        CREATE TABLE patient_reference (
            facility_id uuid NOT NULL,
            merged_into uuid,
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
        CREATE TABLE payment_providers (
            code text NOT NULL,
            name text NOT NULL,
            method text NOT NULL,
            CONSTRAINT payment_providers_pkey PRIMARY KEY (code)
        )
        """
    )
    op.execute(
        """
        CREATE TABLE payment_webhooks (
            provider text NOT NULL,
            provider_event_id text NOT NULL,
            type text NOT NULL,
            payment_id uuid NOT NULL,
            status text NOT NULL,
            received_at timestamptz NOT NULL,
            CONSTRAINT payment_webhooks_pkey PRIMARY KEY (provider, provider_event_id),
            CONSTRAINT payment_webhooks_provider_fkey FOREIGN KEY(provider) REFERENCES payment_providers (code)
        )
        """
    )
    op.execute("CREATE INDEX payment_webhooks_payment_id_idx ON payment_webhooks (payment_id)")
    op.execute(
        """
        CREATE TABLE payments (
            payment_id uuid NOT NULL,
            invoice_id uuid,
            patient_id uuid NOT NULL,
            facility_id uuid NOT NULL,
            amount numeric(14, 2) NOT NULL,
            currency text NOT NULL,
            method text NOT NULL,
            status text NOT NULL,
            provider text,
            provider_payment_id text,
            reference text,
            decline_code text,
            flow uuid NOT NULL,
            initiated_at timestamptz NOT NULL,
            succeeded_at timestamptz,
            state_version bigint NOT NULL,
            CONSTRAINT payments_pkey PRIMARY KEY (payment_id),
            CONSTRAINT payments_provider_provider_payment_id_key UNIQUE (provider, provider_payment_id),
            CONSTRAINT payments_provider_fkey FOREIGN KEY(provider) REFERENCES payment_providers (code),
            CONSTRAINT payments_reference_key UNIQUE (reference)
        )
        """
    )
    op.execute("COMMENT ON COLUMN payments.invoice_id IS 'what the payer named; null is money on account'")
    op.execute("COMMENT ON COLUMN payments.reference IS 'what whoever recorded it calls it'")
    op.execute("COMMENT ON COLUMN payments.flow IS 'that began it; what its provider says of its own accord belongs there'")
    op.execute("CREATE INDEX payments_invoice_id_idx ON payments (invoice_id)")
    op.execute("CREATE INDEX payments_patient_id_idx ON payments (patient_id)")
    op.execute("INSERT INTO payment_providers (code, name, method) VALUES ('card', 'Card provider', 'card')")
