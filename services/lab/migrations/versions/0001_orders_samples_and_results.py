"""The catalogue, orders, samples, results, and what the lab knows of patients."""

from alembic import op

revision = "lab_0001"
down_revision = None

TABLES = (
    """
    CREATE TABLE lab_tests (
        code text PRIMARY KEY,
        name text NOT NULL,
        unit text NOT NULL,
        molar_mass numeric,
        normal_text text,
        active boolean NOT NULL,
        state_version bigint NOT NULL
    )
    """,
    """
    CREATE TABLE reference_ranges (
        range_id uuid PRIMARY KEY,
        test_code text NOT NULL REFERENCES lab_tests,
        sex text,
        age_from integer NOT NULL,
        age_to integer,
        low numeric,
        high numeric,
        danger_low numeric,
        danger_high numeric
    )
    """,
    """
    CREATE TABLE lab_orders (
        order_id uuid PRIMARY KEY,
        patient_id uuid NOT NULL,
        facility_id uuid NOT NULL,
        encounter_id uuid,
        status text NOT NULL,
        held_from text,
        priority text NOT NULL,
        recollects uuid REFERENCES lab_orders,
        reason text,
        placed_at timestamptz NOT NULL,
        completed_at timestamptz,
        cancelled_at timestamptz
    )
    """,
    """
    CREATE TABLE samples (
        sample_id uuid PRIMARY KEY,
        order_id uuid NOT NULL REFERENCES lab_orders,
        facility_id uuid NOT NULL,
        status text NOT NULL,
        identifiers text[] NOT NULL,
        rejection_reason text,
        collected_at timestamptz NOT NULL,
        received_at timestamptz,
        accepted_at timestamptz,
        rejected_at timestamptz
    )
    """,
    """
    CREATE TABLE lab_order_lines (
        order_id uuid REFERENCES lab_orders,
        test_code text REFERENCES lab_tests,
        position integer NOT NULL,
        test_name text NOT NULL,
        sample_id uuid REFERENCES samples,
        status text NOT NULL,
        PRIMARY KEY (order_id, test_code)
    )
    """,
    """
    CREATE TABLE lab_results (
        result_id uuid PRIMARY KEY,
        order_id uuid NOT NULL REFERENCES lab_orders,
        sample_id uuid NOT NULL REFERENCES samples,
        facility_id uuid NOT NULL,
        test_code text NOT NULL REFERENCES lab_tests,
        test_name text NOT NULL,
        value numeric,
        text_value text,
        unit text NOT NULL,
        reference_low numeric,
        reference_high numeric,
        flag text,
        status text NOT NULL,
        entered_at timestamptz NOT NULL,
        resulted_at timestamptz
    )
    """,
    """
    CREATE TABLE result_corrections (
        correction_id uuid PRIMARY KEY,
        result_id uuid NOT NULL REFERENCES lab_results,
        previous_value numeric,
        previous_text_value text,
        previous_flag text,
        reason text NOT NULL,
        corrected_at timestamptz NOT NULL
    )
    """,
    """
    CREATE TABLE patient_reference (
        id uuid PRIMARY KEY,
        state_version bigint NOT NULL,
        deleted boolean NOT NULL,
        changed_at timestamptz NOT NULL,
        received_at timestamptz NOT NULL,
        facility_id uuid NOT NULL,
        medical_record_number text NOT NULL,
        full_name text NOT NULL,
        birth_date date NOT NULL,
        sex text NOT NULL,
        status text NOT NULL,
        merged_into uuid
    )
    """,
)

INDEXES = (
    "CREATE INDEX reference_ranges_test_code_idx ON reference_ranges (test_code)",
    "CREATE INDEX lab_orders_patient_id_idx ON lab_orders (patient_id)",
    "CREATE INDEX lab_orders_encounter_id_idx ON lab_orders (encounter_id)",
    "CREATE INDEX lab_orders_facility_id_placed_at_order_id_idx ON lab_orders (facility_id, placed_at, order_id)",
    "CREATE INDEX samples_order_id_idx ON samples (order_id)",
    "CREATE INDEX lab_order_lines_sample_id_idx ON lab_order_lines (sample_id)",
    "CREATE UNIQUE INDEX lab_results_one_per_test ON lab_results (order_id, test_code) WHERE status <> 'cancelled'",
    "CREATE INDEX result_corrections_result_id_idx ON result_corrections (result_id)",
)

COMMENTS = {
    "lab_tests.code": "LOINC",
    "lab_tests.unit": "UCUM",
    "lab_tests.molar_mass": "g/mol, to convert between mass and substance",
    "lab_tests.normal_text": "the normal result, where results are texts",
    "lab_orders.held_from": "the state to return to from on_hold",
    "lab_orders.recollects": "the order whose sample could not be used",
    "lab_orders.reason": "why it was held or cancelled",
    "samples.identifiers": "which identifiers of the patient its label shows",
    "lab_results.unit": "UCUM",
    "lab_results.resulted_at": "when it was verified, or last corrected",
}


def upgrade() -> None:
    for statement in (*TABLES, *INDEXES):
        op.execute(statement)
    for column, comment in COMMENTS.items():
        op.execute(f"COMMENT ON COLUMN {column} IS '{comment}'")
