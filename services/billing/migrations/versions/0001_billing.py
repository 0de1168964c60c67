"""Accounts, prices, charges, invoices and what is paid on them."""

from alembic import op

revision = "billing_0001"
down_revision = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE billing_accounts (
            patient_id uuid NOT NULL,
            facility_id uuid NOT NULL,
            merged_into uuid,
            opened_at timestamptz NOT NULL,
            CONSTRAINT billing_accounts_pkey PRIMARY KEY (patient_id)
        )
        """
    )
    op.execute(
        """
        CREATE TABLE charge_master (
            price_id uuid NOT NULL,
            facility_id uuid NOT NULL,
            code text NOT NULL,
            amount numeric(14, 2) NOT NULL,
            currency text NOT NULL,
            effective_from date NOT NULL,
            effective_to date,
            CONSTRAINT charge_master_pkey PRIMARY KEY (price_id),
            CONSTRAINT charge_master_facility_id_code_effective_from_key UNIQUE (facility_id, code, effective_from)
        )
        """
    )
    op.execute(
        """
        CREATE TABLE charges (
            charge_id uuid NOT NULL,
            source_event_id uuid NOT NULL,
            position integer NOT NULL,
            order_id uuid NOT NULL,
            encounter_id uuid,
            patient_id uuid NOT NULL,
            facility_id uuid NOT NULL,
            code text NOT NULL,
            description text NOT NULL,
            service_date date NOT NULL,
            status text NOT NULL,
            amount numeric(14, 2),
            currency text,
            CONSTRAINT charges_pkey PRIMARY KEY (charge_id)
        )
        """
    )
    op.execute("COMMENT ON COLUMN charges.source_event_id IS 'the event that caused it; the inbox keeps it single'")
    op.execute("COMMENT ON COLUMN charges.position IS 'of the test in its order'")
    op.execute("CREATE INDEX charges_encounter_id_idx ON charges (encounter_id)")
    op.execute("CREATE INDEX charges_patient_id_idx ON charges (patient_id)")
    op.execute("CREATE INDEX charges_source_event_id_idx ON charges (source_event_id)")
    op.execute("CREATE INDEX charges_unpriced_idx ON charges (facility_id, code) WHERE status = 'unpriced'")
    op.execute(
        """
        CREATE TABLE encounter_bills (
            encounter_id uuid NOT NULL,
            discharged_at timestamptz,
            CONSTRAINT encounter_bills_pkey PRIMARY KEY (encounter_id)
        )
        """
    )
    op.execute(
        """
        CREATE TABLE invoice_numbers (
            facility_id uuid NOT NULL,
            last integer NOT NULL,
            CONSTRAINT invoice_numbers_pkey PRIMARY KEY (facility_id)
        )
        """
    )
    op.execute(
        """
        CREATE TABLE invoices (
            invoice_id uuid NOT NULL,
            patient_id uuid NOT NULL,
            facility_id uuid NOT NULL,
            encounter_id uuid,
            kind text NOT NULL,
            status text NOT NULL,
            number text,
            external_reference text,
            currency text NOT NULL,
            total_amount numeric(14, 2) NOT NULL,
            allocated_amount numeric(14, 2) NOT NULL,
            adjusted_amount numeric(14, 2) NOT NULL,
            issued_at timestamptz,
            due_on date,
            paid_at timestamptz,
            void_reason text,
            state_version bigint NOT NULL,
            CONSTRAINT invoices_pkey PRIMARY KEY (invoice_id),
            CONSTRAINT invoices_facility_id_number_key UNIQUE (facility_id, number),
            CONSTRAINT invoices_external_reference_key UNIQUE (external_reference)
        )
        """
    )
    op.execute("CREATE INDEX invoices_patient_id_idx ON invoices (patient_id)")
    op.execute(
        """
        CREATE TABLE patient_reference (
            facility_id uuid NOT NULL,
            medical_record_number text NOT NULL,
            full_name text NOT NULL,
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
        CREATE TABLE receipts (
            receipt_id uuid NOT NULL,
            source_event_id uuid NOT NULL,
            payment_id uuid NOT NULL,
            amount numeric(14, 2) NOT NULL,
            currency text NOT NULL,
            received_at timestamptz NOT NULL,
            CONSTRAINT receipts_pkey PRIMARY KEY (receipt_id)
        )
        """
    )
    op.execute("COMMENT ON COLUMN receipts.source_event_id IS 'the event that told us; the inbox keeps it single'")
    op.execute("CREATE INDEX receipts_payment_id_idx ON receipts (payment_id)")
    op.execute("CREATE INDEX receipts_source_event_id_idx ON receipts (source_event_id)")
    op.execute(
        """
        CREATE TABLE billing_adjustments (
            adjustment_id uuid NOT NULL,
            invoice_id uuid NOT NULL,
            amount numeric(14, 2) NOT NULL,
            currency text NOT NULL,
            reason text NOT NULL,
            posted_by text NOT NULL,
            approved_by text,
            posted_at timestamptz NOT NULL,
            CONSTRAINT billing_adjustments_pkey PRIMARY KEY (adjustment_id),
            CONSTRAINT billing_adjustments_invoice_id_fkey FOREIGN KEY(invoice_id) REFERENCES invoices (invoice_id)
        )
        """
    )
    op.execute("CREATE INDEX billing_adjustments_invoice_id_idx ON billing_adjustments (invoice_id)")
    op.execute(
        """
        CREATE TABLE credits (
            credit_id uuid NOT NULL,
            source_event_id uuid NOT NULL,
            receipt_id uuid NOT NULL,
            patient_id uuid NOT NULL,
            facility_id uuid NOT NULL,
            invoice_id uuid,
            payment_id uuid NOT NULL,
            amount numeric(14, 2) NOT NULL,
            currency text NOT NULL,
            CONSTRAINT credits_pkey PRIMARY KEY (credit_id),
            CONSTRAINT credits_receipt_id_fkey FOREIGN KEY(receipt_id) REFERENCES receipts (receipt_id),
            CONSTRAINT credits_invoice_id_fkey FOREIGN KEY(invoice_id) REFERENCES invoices (invoice_id)
        )
        """
    )
    op.execute("COMMENT ON COLUMN credits.source_event_id IS 'the event that told us; the inbox keeps it single'")
    op.execute("COMMENT ON COLUMN credits.invoice_id IS 'what the payer meant to pay'")
    op.execute("CREATE INDEX credits_patient_id_idx ON credits (patient_id)")
    op.execute("CREATE INDEX credits_receipt_id_idx ON credits (receipt_id)")
    op.execute("CREATE INDEX credits_source_event_id_idx ON credits (source_event_id)")
    op.execute(
        """
        CREATE TABLE invoice_line_items (
            line_id uuid NOT NULL,
            invoice_id uuid NOT NULL,
            position integer NOT NULL,
            priority integer NOT NULL,
            charge_id uuid,
            code text NOT NULL,
            description text NOT NULL,
            quantity numeric(14, 2) NOT NULL,
            amount numeric(14, 2) NOT NULL,
            allocated_amount numeric(14, 2) NOT NULL,
            adjusted_amount numeric(14, 2) NOT NULL,
            currency text NOT NULL,
            CONSTRAINT invoice_line_items_pkey PRIMARY KEY (line_id),
            CONSTRAINT invoice_line_items_invoice_id_position_key UNIQUE (invoice_id, position),
            CONSTRAINT invoice_line_items_invoice_id_fkey FOREIGN KEY(invoice_id) REFERENCES invoices (invoice_id),
            CONSTRAINT invoice_line_items_charge_id_fkey FOREIGN KEY(charge_id) REFERENCES charges (charge_id)
        )
        """
    )
    op.execute("COMMENT ON COLUMN invoice_line_items.priority IS 'lines of a lower one are paid first'")
    op.execute("CREATE INDEX invoice_line_items_charge_id_idx ON invoice_line_items (charge_id)")
    op.execute(
        """
        CREATE TABLE invoice_payment_allocations (
            allocation_id uuid NOT NULL,
            source_event_id uuid NOT NULL,
            receipt_id uuid NOT NULL,
            invoice_id uuid NOT NULL,
            line_id uuid NOT NULL,
            payment_id uuid NOT NULL,
            amount numeric(14, 2) NOT NULL,
            currency text NOT NULL,
            CONSTRAINT invoice_payment_allocations_pkey PRIMARY KEY (allocation_id),
            CONSTRAINT invoice_payment_allocations_receipt_id_fkey FOREIGN KEY(receipt_id) REFERENCES receipts (receipt_id),
            CONSTRAINT invoice_payment_allocations_invoice_id_fkey FOREIGN KEY(invoice_id) REFERENCES invoices (invoice_id),
            CONSTRAINT invoice_payment_allocations_line_id_fkey FOREIGN KEY(line_id) REFERENCES invoice_line_items (line_id)
        )
        """
    )
    op.execute(
        "COMMENT ON COLUMN invoice_payment_allocations.source_event_id IS 'the event that told us; the inbox keeps it single'"
    )
    op.execute("CREATE INDEX invoice_payment_allocations_invoice_id_idx ON invoice_payment_allocations (invoice_id)")
    op.execute("CREATE INDEX invoice_payment_allocations_receipt_id_idx ON invoice_payment_allocations (receipt_id)")
    op.execute("CREATE INDEX invoice_payment_allocations_source_event_id_idx ON invoice_payment_allocations (source_event_id)")
