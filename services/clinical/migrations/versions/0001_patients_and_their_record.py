"""Patients, their encounters, and what their record shows."""

from alembic import op

revision = "clinical_0001"
down_revision = None

OF_PATIENT = """
    patient_id uuid NOT NULL CONSTRAINT {table}_patient_id_fkey REFERENCES patients,
    recorded_for uuid NOT NULL CONSTRAINT {table}_recorded_for_fkey REFERENCES patients,
    facility_id uuid NOT NULL
"""


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE patients (
            patient_id uuid PRIMARY KEY,
            facility_id uuid NOT NULL,
            medical_record_number text NOT NULL,
            full_name text NOT NULL,
            birth_date date NOT NULL,
            sex text NOT NULL,
            status text NOT NULL,
            merged_into uuid REFERENCES patients,
            deceased_on date,
            registered_at timestamptz NOT NULL,
            state_version bigint NOT NULL,
            CONSTRAINT patients_facility_id_medical_record_number_key UNIQUE (facility_id, medical_record_number)
        )
        """
    )
    op.execute("CREATE INDEX patients_merged_into_idx ON patients (merged_into)")
    op.execute(
        "CREATE INDEX patients_facility_id_registered_at_patient_id_idx ON patients (facility_id, registered_at, patient_id)"
    )
    create(
        "encounters",
        """
        encounter_id uuid PRIMARY KEY,
        encounter_class text NOT NULL,
        status text NOT NULL,
        planned_at timestamptz NOT NULL,
        arrived_at timestamptz,
        started_at timestamptz,
        discharged_at timestamptz,
        cancelled_at timestamptz,
        reason text
        """,
    )
    op.execute("COMMENT ON COLUMN encounters.reason IS 'why it was cancelled or entered in error'")
    create(
        "result_entries",
        """
        entry_id uuid PRIMARY KEY,
        source_event_id uuid NOT NULL,
        entered_at timestamptz NOT NULL,
        result_id uuid NOT NULL,
        order_id uuid NOT NULL,
        encounter_id uuid,
        test_code text NOT NULL,
        test_name text NOT NULL,
        value numeric,
        text_value text,
        unit text NOT NULL,
        reference_low numeric,
        reference_high numeric,
        flag text,
        is_abnormal boolean NOT NULL,
        is_critical boolean NOT NULL,
        status text NOT NULL,
        reason text,
        resulted_at timestamptz NOT NULL
        """,
        "source_event_id",
        "result_id",
    )
    op.execute("COMMENT ON COLUMN result_entries.test_code IS 'LOINC'")
    op.execute("COMMENT ON COLUMN result_entries.unit IS 'UCUM'")
    op.execute("COMMENT ON COLUMN result_entries.reason IS 'why it was corrected'")
    create(
        "paid_invoice_entries",
        """
        entry_id uuid PRIMARY KEY,
        source_event_id uuid NOT NULL,
        entered_at timestamptz NOT NULL,
        invoice_id uuid NOT NULL,
        encounter_id uuid,
        amount numeric(14, 2) NOT NULL,
        currency text NOT NULL,
        paid_at timestamptz NOT NULL
        """,
        "source_event_id",
    )


def create(table: str, columns: str, *indexed: str) -> None:
    """A table of what belongs to a patient, with an index on each of these columns and on whose it is."""
    op.execute(f"CREATE TABLE {table} ({columns}, {OF_PATIENT.format(table=table)})")
    for column in ("patient_id", "recorded_for", *indexed):
        op.execute(f"CREATE INDEX {table}_{column}_idx ON {table} ({column})")
