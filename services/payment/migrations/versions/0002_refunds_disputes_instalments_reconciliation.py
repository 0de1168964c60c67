"""Refunds, disputes, instalments, reconciliation, cash that two people count, captures in parts."""

from alembic import op

revision = "payment_0002"
down_revision = "payment_0001"


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE facility_reference (
            time_zone text NOT NULL,
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
        CREATE TABLE payment_analytics_daily (
            facility_id uuid NOT NULL,
            day date NOT NULL,
            method text NOT NULL,
            currency text NOT NULL,
            succeeded integer DEFAULT '0' NOT NULL,
            succeeded_amount numeric(14, 2) DEFAULT '0' NOT NULL,
            failed integer DEFAULT '0' NOT NULL,
            failed_amount numeric(14, 2) DEFAULT '0' NOT NULL,
            refunded integer DEFAULT '0' NOT NULL,
            refunded_amount numeric(14, 2) DEFAULT '0' NOT NULL,
            CONSTRAINT payment_analytics_daily_pkey PRIMARY KEY (facility_id, day, method, currency)
        )
        """
    )
    op.execute(
        """
        CREATE TABLE payment_installment_plans (
            plan_id uuid NOT NULL,
            invoice_id uuid NOT NULL,
            patient_id uuid NOT NULL,
            facility_id uuid NOT NULL,
            currency text NOT NULL,
            status text NOT NULL,
            grace_days integer NOT NULL,
            missed_until_default integer NOT NULL,
            agreed_by text NOT NULL,
            agreed_at timestamptz NOT NULL,
            ended_at timestamptz,
            CONSTRAINT payment_installment_plans_pkey PRIMARY KEY (plan_id)
        )
        """
    )
    op.execute(
        """
        CREATE UNIQUE INDEX payment_installment_plans_invoice_id_idx ON payment_installment_plans (invoice_id)
        WHERE status = 'active'
        """
    )
    op.execute("CREATE INDEX payment_installment_plans_patient_id_idx ON payment_installment_plans (patient_id)")
    op.execute(
        """
        CREATE TABLE installment_schedule (
            plan_id uuid NOT NULL,
            number integer NOT NULL,
            due_on date NOT NULL,
            amount numeric(14, 2) NOT NULL,
            paid_amount numeric(14, 2) NOT NULL,
            status text NOT NULL,
            CONSTRAINT installment_schedule_pkey PRIMARY KEY (plan_id, number),
            CONSTRAINT installment_schedule_plan_id_fkey FOREIGN KEY(plan_id) REFERENCES payment_installment_plans (plan_id)
        )
        """
    )
    op.execute(
        """
        CREATE TABLE payment_reconciliation (
            reconciliation_id uuid NOT NULL,
            facility_id uuid NOT NULL,
            provider text NOT NULL,
            kind text NOT NULL,
            provider_payment_id text NOT NULL,
            payment_id uuid,
            day date NOT NULL,
            status text NOT NULL,
            difference text,
            our_amount numeric(14, 2),
            our_currency text,
            their_amount numeric(14, 2),
            their_currency text,
            fee numeric(14, 2),
            resolved_by text,
            resolved_because text,
            found_at timestamptz NOT NULL,
            CONSTRAINT payment_reconciliation_pkey PRIMARY KEY (reconciliation_id),
            CONSTRAINT payment_reconciliation_provider_fkey FOREIGN KEY(provider) REFERENCES payment_providers (code),
            CONSTRAINT payment_reconciliation_once UNIQUE (facility_id, provider, kind, provider_payment_id)
        )
        """
    )
    op.execute(
        """
        COMMENT ON COLUMN payment_reconciliation.facility_id IS 'whose account with the provider was settled'
        """
    )
    op.execute("COMMENT ON COLUMN payment_reconciliation.day IS 'of the settlement that showed it first'")
    op.execute(
        """
        CREATE INDEX payment_reconciliation_facility_id_status_idx ON payment_reconciliation (facility_id, status)
        """
    )
    op.execute("CREATE INDEX payment_reconciliation_payment_id_idx ON payment_reconciliation (payment_id)")
    op.execute(
        """
        CREATE TABLE payment_disputes (
            dispute_id uuid NOT NULL,
            payment_id uuid NOT NULL,
            invoice_id uuid,
            patient_id uuid NOT NULL,
            facility_id uuid NOT NULL,
            amount numeric(14, 2) NOT NULL,
            currency text NOT NULL,
            status text NOT NULL,
            reason text NOT NULL,
            provider text NOT NULL,
            provider_dispute_id text NOT NULL,
            evidence_due_at timestamptz NOT NULL,
            evidence_by text,
            evidence_at timestamptz,
            opened_at timestamptz NOT NULL,
            decided_at timestamptz,
            CONSTRAINT payment_disputes_pkey PRIMARY KEY (dispute_id),
            CONSTRAINT payment_disputes_provider_provider_dispute_id_key UNIQUE (provider, provider_dispute_id),
            CONSTRAINT payment_disputes_payment_id_fkey FOREIGN KEY(payment_id) REFERENCES payments (payment_id),
            CONSTRAINT payment_disputes_provider_fkey FOREIGN KEY(provider) REFERENCES payment_providers (code)
        )
        """
    )
    op.execute("COMMENT ON COLUMN payment_disputes.reason IS 'the provider''s code'")
    op.execute("COMMENT ON COLUMN payment_disputes.evidence_at IS 'when the provider was asked to take it'")
    op.execute("CREATE INDEX payment_disputes_patient_id_idx ON payment_disputes (patient_id)")
    op.execute("CREATE INDEX payment_disputes_payment_id_idx ON payment_disputes (payment_id)")
    op.execute(
        """
        CREATE TABLE payment_refunds (
            refund_id uuid NOT NULL,
            payment_id uuid NOT NULL,
            invoice_id uuid,
            patient_id uuid NOT NULL,
            facility_id uuid NOT NULL,
            amount numeric(14, 2) NOT NULL,
            currency text NOT NULL,
            status text NOT NULL,
            reason text NOT NULL,
            provider text,
            provider_refund_id text,
            failure_code text,
            requested_by text NOT NULL,
            decided_by text,
            requested_at timestamptz NOT NULL,
            succeeded_at timestamptz,
            CONSTRAINT payment_refunds_pkey PRIMARY KEY (refund_id),
            CONSTRAINT payment_refunds_provider_provider_refund_id_key UNIQUE (provider, provider_refund_id),
            CONSTRAINT payment_refunds_provider_fkey FOREIGN KEY(provider) REFERENCES payment_providers (code),
            CONSTRAINT payment_refunds_payment_id_fkey FOREIGN KEY(payment_id) REFERENCES payments (payment_id)
        )
        """
    )
    op.execute("COMMENT ON COLUMN payment_refunds.provider IS 'null is paid out by hand'")
    op.execute(
        """
        COMMENT ON COLUMN payment_refunds.decided_by IS 'who paid it out by hand, or refused to: somebody else'
        """
    )
    op.execute(
        """
        CREATE INDEX payment_refunds_facility_id_succeeded_at_idx ON payment_refunds (facility_id, succeeded_at)
        """
    )
    op.execute("CREATE INDEX payment_refunds_patient_id_idx ON payment_refunds (patient_id)")
    op.execute("CREATE INDEX payment_refunds_payment_id_idx ON payment_refunds (payment_id)")
    op.execute("ALTER TABLE payments ADD COLUMN captured_amount numeric(14, 2)")
    op.execute("COMMENT ON COLUMN payments.captured_amount IS 'how much of it we have'")
    op.execute("ALTER TABLE payments ADD COLUMN capture text")
    op.execute("ALTER TABLE payments ADD COLUMN is_asked boolean")
    op.execute("COMMENT ON COLUMN payments.is_asked IS 'the provider has yet to answer a capture or a release'")
    op.execute("ALTER TABLE payments ADD COLUMN is_unwanted boolean")
    op.execute("COMMENT ON COLUMN payments.is_unwanted IS 'an authorisation is released, not captured'")
    op.execute("ALTER TABLE payments ADD COLUMN taken_by text")
    op.execute("COMMENT ON COLUMN payments.taken_by IS 'who took the cash'")
    op.execute("ALTER TABLE payments ADD COLUMN verified_by text")
    op.execute("COMMENT ON COLUMN payments.verified_by IS 'who counted it: somebody else'")
    op.execute("CREATE INDEX payments_facility_id_succeeded_at_idx ON payments (facility_id, succeeded_at)")
    # What there is was captured all at once: an authorisation that is not, the provider was asked to.
    op.execute(
        """
        UPDATE payments
        SET captured_amount = CASE status WHEN 'succeeded' THEN amount ELSE 0 END, capture = 'automatic',
            is_asked = status = 'requires_capture', is_unwanted = false
        """
    )
    op.execute(
        """
        ALTER TABLE payments
            ALTER captured_amount SET NOT NULL, ALTER capture SET NOT NULL,
            ALTER is_asked SET NOT NULL, ALTER is_unwanted SET NOT NULL
        """
    )
