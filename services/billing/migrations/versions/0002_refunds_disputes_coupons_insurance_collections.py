"""Refunds, disputes, coupons, insurance, collections."""

from alembic import op

revision = "billing_0002"
down_revision = "billing_0001"

CHECKS = {
    "charges_cause_check": ("charges", "num_nonnulls(order_id, procedure_id) = 1"),
    "credits_used_amount_check": ("credits", "used_amount BETWEEN 0 AND amount"),
    "receipts_returned_amount_check": ("receipts", "returned_amount BETWEEN 0 AND amount"),
    "invoices_balance_check": (
        "invoices",
        "allocated_amount >= 0 AND adjusted_amount >= 0 AND allocated_amount + adjusted_amount <= total_amount",
    ),
    "invoices_settled_check": (
        "invoices",
        "status NOT IN ('paid', 'written_off') OR allocated_amount + adjusted_amount = total_amount",
    ),
    "invoice_line_items_balance_check": (
        "invoice_line_items",
        "allocated_amount >= 0 AND adjusted_amount >= 0 AND allocated_amount + adjusted_amount <= amount",
    ),
}
"""What no command can get wrong: the database refuses it."""


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE billing_audit_log (
            entry_id uuid NOT NULL,
            decided_at timestamptz NOT NULL,
            decided_by text NOT NULL,
            action text NOT NULL,
            facility_id uuid NOT NULL,
            patient_id uuid NOT NULL,
            invoice_id uuid,
            amount numeric(14, 2) NOT NULL,
            currency text NOT NULL,
            CONSTRAINT billing_audit_log_pkey PRIMARY KEY (entry_id)
        )
        """
    )
    op.execute("CREATE INDEX billing_audit_log_invoice_id_idx ON billing_audit_log (invoice_id)")
    op.execute("CREATE INDEX billing_audit_log_patient_id_idx ON billing_audit_log (patient_id)")
    op.execute(
        """
        CREATE TABLE collection_cases (
            case_id uuid NOT NULL,
            patient_id uuid NOT NULL,
            facility_id uuid NOT NULL,
            status text NOT NULL,
            reason text NOT NULL,
            amount numeric(14, 2) NOT NULL,
            currency text NOT NULL,
            sent_at timestamptz NOT NULL,
            CONSTRAINT collection_cases_pkey PRIMARY KEY (case_id)
        )
        """
    )
    op.execute("CREATE INDEX collection_cases_patient_id_idx ON collection_cases (patient_id)")
    op.execute(
        """
        CREATE TABLE coupons (
            coupon_id uuid NOT NULL,
            facility_id uuid NOT NULL,
            code text NOT NULL,
            status text NOT NULL,
            stacking text NOT NULL,
            percent numeric(5, 2),
            amount numeric(14, 2),
            currency text,
            valid_from date NOT NULL,
            valid_to date NOT NULL,
            most_redemptions integer NOT NULL,
            most_per_patient integer,
            redemptions integer NOT NULL,
            CONSTRAINT coupons_pkey PRIMARY KEY (coupon_id),
            CONSTRAINT coupons_redemptions_check CHECK (redemptions BETWEEN 0 AND most_redemptions),
            CONSTRAINT coupons_worth_check CHECK (num_nonnulls(percent, amount) = 1),
            CONSTRAINT coupons_facility_id_code_key UNIQUE (facility_id, code)
        )
        """
    )
    op.execute(
        """
        CREATE TABLE credit_note_numbers (
            facility_id uuid NOT NULL,
            last integer NOT NULL,
            CONSTRAINT credit_note_numbers_pkey PRIMARY KEY (facility_id)
        )
        """
    )
    op.execute(
        """
        CREATE TABLE disputes (
            dispute_id uuid NOT NULL,
            payment_id uuid NOT NULL,
            status text NOT NULL,
            CONSTRAINT disputes_pkey PRIMARY KEY (dispute_id)
        )
        """
    )
    op.execute("CREATE INDEX disputes_payment_id_idx ON disputes (payment_id)")
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
        CREATE TABLE insurance_policies (
            policy_id uuid NOT NULL,
            patient_id uuid NOT NULL,
            facility_id uuid NOT NULL,
            payer text NOT NULL,
            policy_number text NOT NULL,
            coverage_order text NOT NULL,
            effective_from date NOT NULL,
            effective_to date,
            CONSTRAINT insurance_policies_pkey PRIMARY KEY (policy_id)
        )
        """
    )
    op.execute("CREATE INDEX insurance_policies_patient_id_idx ON insurance_policies (patient_id)")
    op.execute(
        """
        CREATE TABLE payment_returns (
            return_id uuid NOT NULL,
            payment_id uuid NOT NULL,
            reason text NOT NULL,
            amount numeric(14, 2) NOT NULL,
            currency text NOT NULL,
            returned_at timestamptz NOT NULL,
            CONSTRAINT payment_returns_pkey PRIMARY KEY (return_id)
        )
        """
    )
    op.execute("COMMENT ON COLUMN payment_returns.return_id IS 'the refund''s or the dispute''s id'")
    op.execute("CREATE INDEX payment_returns_payment_id_idx ON payment_returns (payment_id)")
    op.execute(
        """
        CREATE TABLE coupon_redemptions (
            redemption_id uuid NOT NULL,
            coupon_id uuid NOT NULL,
            redemption_key text,
            invoice_id uuid NOT NULL,
            patient_id uuid NOT NULL,
            amount numeric(14, 2) NOT NULL,
            currency text NOT NULL,
            redeemed_at timestamptz NOT NULL,
            CONSTRAINT coupon_redemptions_pkey PRIMARY KEY (redemption_id),
            CONSTRAINT coupon_redemptions_invoice_id_fkey FOREIGN KEY(invoice_id) REFERENCES invoices (invoice_id),
            CONSTRAINT coupon_redemptions_coupon_id_invoice_id_key UNIQUE (coupon_id, invoice_id),
            CONSTRAINT coupon_redemptions_coupon_id_redemption_key_key UNIQUE (coupon_id, redemption_key),
            CONSTRAINT coupon_redemptions_coupon_id_fkey FOREIGN KEY(coupon_id) REFERENCES coupons (coupon_id)
        )
        """
    )
    op.execute(
        """
        COMMENT ON COLUMN coupon_redemptions.redemption_key IS 'the client''s; the same one again is the same redemption'
        """
    )
    op.execute("CREATE INDEX coupon_redemptions_invoice_id_idx ON coupon_redemptions (invoice_id)")
    op.execute("CREATE INDEX coupon_redemptions_patient_id_idx ON coupon_redemptions (patient_id)")
    op.execute(
        """
        CREATE TABLE credit_notes (
            credit_note_id uuid NOT NULL,
            invoice_id uuid NOT NULL,
            facility_id uuid NOT NULL,
            number text NOT NULL,
            amount numeric(14, 2) NOT NULL,
            currency text NOT NULL,
            reason text NOT NULL,
            issued_by text NOT NULL,
            issued_at timestamptz NOT NULL,
            CONSTRAINT credit_notes_pkey PRIMARY KEY (credit_note_id),
            CONSTRAINT credit_notes_invoice_id_fkey FOREIGN KEY(invoice_id) REFERENCES invoices (invoice_id),
            CONSTRAINT credit_notes_facility_id_number_key UNIQUE (facility_id, number)
        )
        """
    )
    op.execute("CREATE INDEX credit_notes_invoice_id_idx ON credit_notes (invoice_id)")
    op.execute(
        """
        CREATE TABLE insurance_claims (
            claim_id uuid NOT NULL,
            invoice_id uuid NOT NULL,
            policy_id uuid NOT NULL,
            patient_id uuid NOT NULL,
            facility_id uuid NOT NULL,
            coverage_order text NOT NULL,
            status text NOT NULL,
            diagnosis_codes jsonb NOT NULL,
            total_amount numeric(14, 2) NOT NULL,
            currency text NOT NULL,
            reason text,
            submitted_at timestamptz,
            decided_at timestamptz,
            CONSTRAINT insurance_claims_pkey PRIMARY KEY (claim_id),
            CONSTRAINT insurance_claims_invoice_id_fkey FOREIGN KEY(invoice_id) REFERENCES invoices (invoice_id),
            CONSTRAINT insurance_claims_policy_id_fkey FOREIGN KEY(policy_id) REFERENCES insurance_policies (policy_id)
        )
        """
    )
    op.execute("COMMENT ON COLUMN insurance_claims.diagnosis_codes IS 'ICD-10-CM'")
    op.execute("COMMENT ON COLUMN insurance_claims.reason IS 'why it was rejected, denied or appealed last'")
    op.execute(
        """
        CREATE UNIQUE INDEX insurance_claims_one_at_a_time_idx ON insurance_claims (invoice_id, policy_id)
        WHERE status != 'rejected'
        """
    )
    op.execute("CREATE INDEX insurance_claims_patient_id_idx ON insurance_claims (patient_id)")
    op.execute("CREATE INDEX insurance_claims_policy_id_idx ON insurance_claims (policy_id)")
    op.execute(
        """
        CREATE TABLE invoice_holds (
            dispute_id uuid NOT NULL,
            invoice_id uuid NOT NULL,
            amount numeric(14, 2) NOT NULL,
            CONSTRAINT invoice_holds_pkey PRIMARY KEY (dispute_id, invoice_id),
            CONSTRAINT invoice_holds_dispute_id_fkey FOREIGN KEY(dispute_id) REFERENCES disputes (dispute_id),
            CONSTRAINT invoice_holds_invoice_id_fkey FOREIGN KEY(invoice_id) REFERENCES invoices (invoice_id)
        )
        """
    )
    op.execute(
        """
        CREATE TABLE write_off_requests (
            request_id uuid NOT NULL,
            invoice_id uuid NOT NULL,
            facility_id uuid NOT NULL,
            status text NOT NULL,
            amount numeric(14, 2) NOT NULL,
            currency text NOT NULL,
            reason text NOT NULL,
            requested_by text NOT NULL,
            requested_at timestamptz NOT NULL,
            decided_by text,
            decided_at timestamptz,
            CONSTRAINT write_off_requests_pkey PRIMARY KEY (request_id),
            CONSTRAINT write_off_requests_invoice_id_fkey FOREIGN KEY(invoice_id) REFERENCES invoices (invoice_id)
        )
        """
    )
    op.execute(
        """
        CREATE UNIQUE INDEX write_off_requests_undecided_idx ON write_off_requests (invoice_id) WHERE status = 'requested'
        """
    )
    op.execute(
        """
        CREATE TABLE claim_line_items (
            claim_line_id uuid NOT NULL,
            claim_id uuid NOT NULL,
            line_id uuid NOT NULL,
            position integer NOT NULL,
            code text NOT NULL,
            amount numeric(14, 2) NOT NULL,
            currency text NOT NULL,
            paid_amount numeric(14, 2),
            contractual_amount numeric(14, 2),
            patient_amount numeric(14, 2),
            CONSTRAINT claim_line_items_pkey PRIMARY KEY (claim_line_id),
            CONSTRAINT claim_line_items_claim_id_position_key UNIQUE (claim_id, position),
            CONSTRAINT claim_line_items_line_id_fkey FOREIGN KEY(line_id) REFERENCES invoice_line_items (line_id),
            CONSTRAINT claim_line_items_claim_id_fkey FOREIGN KEY(claim_id) REFERENCES insurance_claims (claim_id)
        )
        """
    )
    op.execute("COMMENT ON COLUMN claim_line_items.position IS 'of the line on its invoice'")
    op.execute("COMMENT ON COLUMN claim_line_items.contractual_amount IS 'ANSI X12 835 CO: nobody is asked for it'")
    op.execute("COMMENT ON COLUMN claim_line_items.patient_amount IS 'ANSI X12 835 PR: the patient is asked for it'")
    op.execute("ALTER TABLE billing_adjustments ADD COLUMN reason_code text NOT NULL DEFAULT 'other'")
    op.execute("ALTER TABLE billing_adjustments ALTER COLUMN reason_code DROP DEFAULT")
    op.execute("ALTER TABLE charges ADD COLUMN procedure_id uuid")
    op.execute("ALTER TABLE charges ALTER COLUMN order_id DROP NOT NULL")
    op.execute("ALTER TABLE credits ADD COLUMN used_amount numeric(14, 2) NOT NULL DEFAULT 0")
    op.execute("ALTER TABLE credits ALTER COLUMN used_amount DROP DEFAULT")
    op.execute("ALTER TABLE invoice_payment_allocations ADD COLUMN sequence bigint GENERATED BY DEFAULT AS IDENTITY")
    op.execute("COMMENT ON COLUMN invoice_payment_allocations.sequence IS 'the order in which they were made'")
    op.execute("ALTER TABLE invoice_payment_allocations ADD COLUMN reverses_id uuid")
    op.execute(
        """
        ALTER TABLE invoice_payment_allocations ADD CONSTRAINT invoice_payment_allocations_reverses_id_fkey
        FOREIGN KEY(reverses_id) REFERENCES invoice_payment_allocations (allocation_id)
        """
    )
    op.execute("ALTER TABLE invoices ADD COLUMN held_amount numeric(14, 2) NOT NULL DEFAULT 0")
    op.execute("ALTER TABLE invoices ALTER COLUMN held_amount DROP DEFAULT")
    op.execute("COMMENT ON COLUMN invoices.held_amount IS 'of what is allocated, how much its payers dispute'")
    op.execute("ALTER TABLE invoices ADD COLUMN collection_case_id uuid")
    op.execute("CREATE INDEX invoices_collection_case_id_idx ON invoices (collection_case_id)")
    op.execute(
        """
        ALTER TABLE invoices ADD CONSTRAINT invoices_collection_case_id_fkey
        FOREIGN KEY(collection_case_id) REFERENCES collection_cases (case_id)
        """
    )
    op.execute("ALTER TABLE receipts ADD COLUMN returned_amount numeric(14, 2) NOT NULL DEFAULT 0")
    op.execute("ALTER TABLE receipts ALTER COLUMN returned_amount DROP DEFAULT")
    op.execute("COMMENT ON COLUMN receipts.returned_amount IS 'what went back to the payer of it'")
    for name, (table, condition) in CHECKS.items():
        op.execute(f"ALTER TABLE {table} ADD CONSTRAINT {name} CHECK ({condition})")
    op.execute(
        """
        CREATE FUNCTION refuse_to_change_the_audit_log() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'the audit log is only added to' USING ERRCODE = 'restrict_violation'; END $$
        """
    )
    op.execute(
        """
        CREATE TRIGGER billing_audit_log_is_only_added_to BEFORE UPDATE OR DELETE OR TRUNCATE ON billing_audit_log
        FOR EACH STATEMENT EXECUTE FUNCTION refuse_to_change_the_audit_log()
        """
    )
