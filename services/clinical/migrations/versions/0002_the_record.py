"""The record that clinicians keep, beds, reviews of duplicates, audit; and nothing is deleted any more."""

from alembic import op
from sqlalchemy import text

revision = "clinical_0002"
down_revision = "clinical_0001"

NEVER_DELETED = (
    "patients",
    "encounters",
    "result_entries",
    "paid_invoice_entries",
    "diagnoses",
    "allergies",
    "procedures",
    "immunizations",
    "vital_signs",
    "clinical_notes",
    "duplicate_reviews",
    "break_glass",
    "audit_log",
)

STARTER = (
    ("A09", "Infectious gastroenteritis and colitis, unspecified", True),
    ("A41", "Other sepsis", False),
    ("A41.9", "Sepsis, unspecified organism", True),
    ("B34", "Viral infection of unspecified site", False),
    ("B34.9", "Viral infection, unspecified", True),
    ("D64", "Other anemias", False),
    ("D64.9", "Anemia, unspecified", True),
    ("E11", "Type 2 diabetes mellitus", False),
    ("E11.6", "Type 2 diabetes mellitus with other specified complications", False),
    ("E11.65", "Type 2 diabetes mellitus with hyperglycemia", True),
    ("E11.9", "Type 2 diabetes mellitus without complications", True),
    ("E78", "Disorders of lipoprotein metabolism and other lipidemias", False),
    ("E78.5", "Hyperlipidemia, unspecified", True),
    ("E86", "Volume depletion", False),
    ("E86.0", "Dehydration", True),
    ("E87", "Other disorders of fluid, electrolyte and acid-base balance", False),
    ("E87.5", "Hyperkalemia", True),
    ("E87.6", "Hypokalemia", True),
    ("F32", "Depressive episode", False),
    ("F32.A", "Depression, unspecified", True),
    ("I10", "Essential (primary) hypertension", True),
    ("I21", "Acute myocardial infarction", False),
    ("I21.9", "Acute myocardial infarction, unspecified", True),
    ("I48", "Atrial fibrillation and flutter", False),
    ("I48.9", "Unspecified atrial fibrillation and atrial flutter", False),
    ("I48.91", "Unspecified atrial fibrillation", True),
    ("I50", "Heart failure", False),
    ("I50.9", "Heart failure, unspecified", True),
    ("I63", "Cerebral infarction", False),
    ("I63.9", "Cerebral infarction, unspecified", True),
    ("J06", "Acute upper respiratory infections of multiple and unspecified sites", False),
    ("J06.9", "Acute upper respiratory infection, unspecified", True),
    ("J18", "Pneumonia, unspecified organism", False),
    ("J18.9", "Pneumonia, unspecified organism", True),
    ("J44", "Other chronic obstructive pulmonary disease", False),
    ("J44.1", "Chronic obstructive pulmonary disease with (acute) exacerbation", True),
    ("J44.9", "Chronic obstructive pulmonary disease, unspecified", True),
    ("J45", "Asthma", False),
    ("J45.9", "Other and unspecified asthma", False),
    ("J45.90", "Unspecified asthma", False),
    ("J45.909", "Unspecified asthma, uncomplicated", True),
    ("K35", "Acute appendicitis", False),
    ("K35.8", "Other and unspecified acute appendicitis", False),
    ("K35.80", "Unspecified acute appendicitis", True),
    ("K52", "Other and unspecified noninfective gastroenteritis and colitis", False),
    ("K52.9", "Noninfective gastroenteritis and colitis, unspecified", True),
    ("N17", "Acute kidney failure", False),
    ("N17.9", "Acute kidney failure, unspecified", True),
    ("N18", "Chronic kidney disease (CKD)", False),
    ("N18.9", "Chronic kidney disease, unspecified", True),
    ("N39", "Other disorders of urinary system", False),
    ("N39.0", "Urinary tract infection, site not specified", True),
    ("O80", "Encounter for full-term uncomplicated delivery", True),
    ("R07", "Pain in throat and chest", False),
    ("R07.9", "Chest pain, unspecified", True),
    ("R50", "Fever of other and unknown origin", False),
    ("R50.9", "Fever, unspecified", True),
    ("U07", "Emergency use of U07", False),
    ("U07.1", "COVID-19", True),
    ("Z23", "Encounter for immunization", True),
)
"""Codes of ICD-10-CM that a hospital needs on its first day; the whole set is loaded through the API."""


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE bed_reference (
            ward_id uuid NOT NULL,
            label text NOT NULL,
            ward_name text NOT NULL,
            state_version bigint NOT NULL,
            deleted boolean NOT NULL,
            changed_at timestamptz NOT NULL,
            received_at timestamptz NOT NULL,
            id uuid NOT NULL,
            CONSTRAINT bed_reference_pkey PRIMARY KEY (id)
        )
        """
    )
    op.execute(
        """
        CREATE TABLE encounter_orders (
            order_id uuid NOT NULL,
            encounter_id uuid,
            priority text,
            closed_at timestamptz,
            CONSTRAINT encounter_orders_pkey PRIMARY KEY (order_id)
        )
        """
    )
    op.execute("CREATE INDEX encounter_orders_encounter_id_idx ON encounter_orders (encounter_id)")
    op.execute(
        """
        CREATE TABLE facility_reference (
            status text NOT NULL,
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
    op.execute("COMMENT ON COLUMN facility_reference.time_zone IS 'IANA'")
    op.execute(
        """
        CREATE TABLE icd10_codes (
            code text NOT NULL,
            title text NOT NULL,
            billable boolean NOT NULL,
            CONSTRAINT icd10_codes_pkey PRIMARY KEY (code)
        )
        """
    )
    op.execute("COMMENT ON COLUMN icd10_codes.billable IS 'false for a category that is further divided'")
    op.execute(
        """
        CREATE TABLE audit_log (
            audit_id uuid NOT NULL,
            occurred_at timestamptz NOT NULL,
            action text NOT NULL,
            actor text NOT NULL,
            facility_id uuid NOT NULL,
            patient_id uuid NOT NULL,
            subject_id uuid NOT NULL,
            reason text,
            CONSTRAINT audit_log_pkey PRIMARY KEY (audit_id),
            CONSTRAINT audit_log_patient_id_fkey FOREIGN KEY(patient_id) REFERENCES patients (patient_id)
        )
        """
    )
    op.execute("COMMENT ON COLUMN audit_log.actor IS 'the subject of the token, or the service itself'")
    op.execute(
        """
        COMMENT ON COLUMN audit_log.subject_id IS 'the encounter, record, review or grant that it was done to'
        """
    )
    op.execute(
        """
        CREATE INDEX audit_log_facility_id_occurred_at_audit_id_idx ON audit_log (facility_id, occurred_at, audit_id)
        """
    )
    op.execute("CREATE INDEX audit_log_patient_id_idx ON audit_log (patient_id)")
    op.execute(
        """
        CREATE TABLE break_glass (
            grant_id uuid NOT NULL,
            opened_by text NOT NULL,
            reason text NOT NULL,
            opened_at timestamptz NOT NULL,
            expires_at timestamptz NOT NULL,
            status text NOT NULL,
            reviewed_at timestamptz,
            reviewed_by text,
            patient_id uuid NOT NULL,
            recorded_for uuid NOT NULL,
            facility_id uuid NOT NULL,
            CONSTRAINT break_glass_pkey PRIMARY KEY (grant_id),
            CONSTRAINT break_glass_recorded_for_fkey FOREIGN KEY(recorded_for) REFERENCES patients (patient_id),
            CONSTRAINT break_glass_patient_id_fkey FOREIGN KEY(patient_id) REFERENCES patients (patient_id)
        )
        """
    )
    op.execute("COMMENT ON COLUMN break_glass.opened_by IS 'the subject of the token'")
    op.execute(
        """
        CREATE INDEX break_glass_facility_id_opened_at_grant_id_idx ON break_glass (facility_id, opened_at, grant_id)
        """
    )
    op.execute("CREATE INDEX break_glass_opened_by_expires_at_idx ON break_glass (opened_by, expires_at)")
    op.execute("CREATE INDEX break_glass_patient_id_idx ON break_glass (patient_id)")
    op.execute("CREATE INDEX break_glass_recorded_for_idx ON break_glass (recorded_for)")
    op.execute(
        """
        CREATE TABLE duplicate_reviews (
            review_id uuid NOT NULL,
            facility_id uuid NOT NULL,
            patient_id uuid NOT NULL,
            other_id uuid NOT NULL,
            score numeric(6, 2) NOT NULL,
            weights jsonb NOT NULL,
            status text NOT NULL,
            opened_at timestamptz NOT NULL,
            decided_at timestamptz,
            decided_by text,
            reason text,
            CONSTRAINT duplicate_reviews_pkey PRIMARY KEY (review_id),
            CONSTRAINT duplicate_reviews_patient_id_other_id_key UNIQUE (patient_id, other_id),
            CONSTRAINT duplicate_reviews_patient_id_fkey FOREIGN KEY(patient_id) REFERENCES patients (patient_id),
            CONSTRAINT duplicate_reviews_other_id_fkey FOREIGN KEY(other_id) REFERENCES patients (patient_id)
        )
        """
    )
    op.execute("COMMENT ON COLUMN duplicate_reviews.patient_id IS 'the newer record'")
    op.execute("COMMENT ON COLUMN duplicate_reviews.weights IS 'what each thing that both know adds to the score'")
    op.execute("COMMENT ON COLUMN duplicate_reviews.reason IS 'why these are two people'")
    op.execute("CREATE INDEX duplicate_reviews_other_id_idx ON duplicate_reviews (other_id)")
    op.execute(
        """
        CREATE TABLE allergies (
            allergy_id uuid NOT NULL,
            substance_code text NOT NULL,
            substance text NOT NULL,
            severity text NOT NULL,
            reaction text,
            status text NOT NULL,
            removed_at timestamptz,
            removed_by text,
            removal_reason text,
            encounter_id uuid,
            recorded_at timestamptz NOT NULL,
            recorded_by text NOT NULL,
            patient_id uuid NOT NULL,
            recorded_for uuid NOT NULL,
            facility_id uuid NOT NULL,
            CONSTRAINT allergies_pkey PRIMARY KEY (allergy_id),
            CONSTRAINT allergies_patient_id_fkey FOREIGN KEY(patient_id) REFERENCES patients (patient_id),
            CONSTRAINT allergies_encounter_id_fkey FOREIGN KEY(encounter_id) REFERENCES encounters (encounter_id),
            CONSTRAINT allergies_recorded_for_fkey FOREIGN KEY(recorded_for) REFERENCES patients (patient_id)
        )
        """
    )
    op.execute("COMMENT ON COLUMN allergies.substance_code IS 'RxNorm or SNOMED CT'")
    op.execute("CREATE INDEX allergies_encounter_id_idx ON allergies (encounter_id)")
    op.execute("CREATE INDEX allergies_patient_id_idx ON allergies (patient_id)")
    op.execute("CREATE INDEX allergies_recorded_for_idx ON allergies (recorded_for)")
    op.execute(
        """
        CREATE UNIQUE INDEX allergies_recorded_for_substance_code_key ON allergies (recorded_for, substance_code)
        WHERE status = 'active'
        """
    )
    op.execute(
        """
        CREATE TABLE clinical_notes (
            note_id uuid NOT NULL,
            text text NOT NULL,
            encounter_id uuid,
            recorded_at timestamptz NOT NULL,
            recorded_by text NOT NULL,
            patient_id uuid NOT NULL,
            recorded_for uuid NOT NULL,
            facility_id uuid NOT NULL,
            CONSTRAINT clinical_notes_pkey PRIMARY KEY (note_id),
            CONSTRAINT clinical_notes_encounter_id_fkey FOREIGN KEY(encounter_id) REFERENCES encounters (encounter_id),
            CONSTRAINT clinical_notes_recorded_for_fkey FOREIGN KEY(recorded_for) REFERENCES patients (patient_id),
            CONSTRAINT clinical_notes_patient_id_fkey FOREIGN KEY(patient_id) REFERENCES patients (patient_id)
        )
        """
    )
    op.execute("CREATE INDEX clinical_notes_encounter_id_idx ON clinical_notes (encounter_id)")
    op.execute("CREATE INDEX clinical_notes_patient_id_idx ON clinical_notes (patient_id)")
    op.execute("CREATE INDEX clinical_notes_recorded_for_idx ON clinical_notes (recorded_for)")
    op.execute(
        """
        CREATE TABLE diagnoses (
            diagnosis_id uuid NOT NULL,
            code text NOT NULL,
            status text NOT NULL,
            changed_at timestamptz NOT NULL,
            changed_by text NOT NULL,
            encounter_id uuid,
            recorded_at timestamptz NOT NULL,
            recorded_by text NOT NULL,
            patient_id uuid NOT NULL,
            recorded_for uuid NOT NULL,
            facility_id uuid NOT NULL,
            CONSTRAINT diagnoses_pkey PRIMARY KEY (diagnosis_id),
            CONSTRAINT diagnoses_patient_id_fkey FOREIGN KEY(patient_id) REFERENCES patients (patient_id),
            CONSTRAINT diagnoses_encounter_id_fkey FOREIGN KEY(encounter_id) REFERENCES encounters (encounter_id),
            CONSTRAINT diagnoses_recorded_for_fkey FOREIGN KEY(recorded_for) REFERENCES patients (patient_id)
        )
        """
    )
    op.execute("COMMENT ON COLUMN diagnoses.code IS 'ICD-10-CM'")
    op.execute("CREATE INDEX diagnoses_encounter_id_idx ON diagnoses (encounter_id)")
    op.execute("CREATE INDEX diagnoses_patient_id_idx ON diagnoses (patient_id)")
    op.execute("CREATE INDEX diagnoses_recorded_for_idx ON diagnoses (recorded_for)")
    op.execute(
        """
        CREATE TABLE immunizations (
            immunization_id uuid NOT NULL,
            vaccine_code text NOT NULL,
            dose integer NOT NULL,
            lot_number text,
            given_at timestamptz NOT NULL,
            encounter_id uuid,
            recorded_at timestamptz NOT NULL,
            recorded_by text NOT NULL,
            patient_id uuid NOT NULL,
            recorded_for uuid NOT NULL,
            facility_id uuid NOT NULL,
            CONSTRAINT immunizations_pkey PRIMARY KEY (immunization_id),
            CONSTRAINT immunizations_patient_id_fkey FOREIGN KEY(patient_id) REFERENCES patients (patient_id),
            CONSTRAINT immunizations_recorded_for_fkey FOREIGN KEY(recorded_for) REFERENCES patients (patient_id),
            CONSTRAINT immunizations_encounter_id_fkey FOREIGN KEY(encounter_id) REFERENCES encounters (encounter_id)
        )
        """
    )
    op.execute("COMMENT ON COLUMN immunizations.vaccine_code IS 'CVX'")
    op.execute("CREATE INDEX immunizations_encounter_id_idx ON immunizations (encounter_id)")
    op.execute("CREATE INDEX immunizations_patient_id_idx ON immunizations (patient_id)")
    op.execute("CREATE INDEX immunizations_recorded_for_idx ON immunizations (recorded_for)")
    op.execute(
        """
        CREATE TABLE procedures (
            procedure_id uuid NOT NULL,
            code text NOT NULL,
            description text NOT NULL,
            performed_at timestamptz NOT NULL,
            encounter_id uuid,
            recorded_at timestamptz NOT NULL,
            recorded_by text NOT NULL,
            patient_id uuid NOT NULL,
            recorded_for uuid NOT NULL,
            facility_id uuid NOT NULL,
            CONSTRAINT procedures_pkey PRIMARY KEY (procedure_id),
            CONSTRAINT procedures_patient_id_fkey FOREIGN KEY(patient_id) REFERENCES patients (patient_id),
            CONSTRAINT procedures_encounter_id_fkey FOREIGN KEY(encounter_id) REFERENCES encounters (encounter_id),
            CONSTRAINT procedures_recorded_for_fkey FOREIGN KEY(recorded_for) REFERENCES patients (patient_id)
        )
        """
    )
    op.execute("COMMENT ON COLUMN procedures.code IS 'CPT, HCPCS or SNOMED CT, as the charge master knows it'")
    op.execute("CREATE INDEX procedures_encounter_id_idx ON procedures (encounter_id)")
    op.execute("CREATE INDEX procedures_patient_id_idx ON procedures (patient_id)")
    op.execute("CREATE INDEX procedures_recorded_for_idx ON procedures (recorded_for)")
    op.execute(
        """
        CREATE TABLE vital_signs (
            vitals_id uuid NOT NULL,
            systolic_mmhg integer,
            diastolic_mmhg integer,
            pulse_per_minute integer,
            breaths_per_minute integer,
            temperature_celsius numeric,
            oxygen_saturation_percent integer,
            charted_at timestamptz NOT NULL,
            encounter_id uuid,
            recorded_at timestamptz NOT NULL,
            recorded_by text NOT NULL,
            patient_id uuid NOT NULL,
            recorded_for uuid NOT NULL,
            facility_id uuid NOT NULL,
            CONSTRAINT vital_signs_pkey PRIMARY KEY (vitals_id),
            CONSTRAINT vital_signs_recorded_for_fkey FOREIGN KEY(recorded_for) REFERENCES patients (patient_id),
            CONSTRAINT vital_signs_patient_id_fkey FOREIGN KEY(patient_id) REFERENCES patients (patient_id),
            CONSTRAINT vital_signs_encounter_id_fkey FOREIGN KEY(encounter_id) REFERENCES encounters (encounter_id)
        )
        """
    )
    op.execute("CREATE INDEX vital_signs_encounter_id_idx ON vital_signs (encounter_id)")
    op.execute("CREATE INDEX vital_signs_patient_id_idx ON vital_signs (patient_id)")
    op.execute("CREATE INDEX vital_signs_recorded_for_idx ON vital_signs (recorded_for)")
    op.execute("ALTER TABLE encounters ADD COLUMN ward_id uuid")
    op.execute("COMMENT ON COLUMN encounters.ward_id IS 'where an inpatient is to lie, if anywhere in particular'")
    op.execute("ALTER TABLE encounters ADD COLUMN isolation boolean NOT NULL DEFAULT false")
    op.execute("ALTER TABLE encounters ALTER COLUMN isolation DROP DEFAULT")
    op.execute("COMMENT ON COLUMN encounters.isolation IS 'whether an inpatient needs a single room'")
    op.execute("ALTER TABLE encounters ADD COLUMN admitted_at timestamptz")
    op.execute("ALTER TABLE encounters ADD COLUMN bed_id uuid")
    op.execute("COMMENT ON COLUMN encounters.bed_id IS 'where an inpatient lies'")
    op.execute("ALTER TABLE encounters ADD COLUMN discharge_requested_at timestamptz")
    op.execute("ALTER TABLE encounters ADD COLUMN override_reason text")
    op.execute("COMMENT ON COLUMN encounters.override_reason IS 'why an inpatient went although orders were open'")
    op.execute("ALTER TABLE encounters ADD COLUMN state_version bigint NOT NULL DEFAULT nextval('backbone.state_version')")
    op.execute("ALTER TABLE encounters ALTER COLUMN state_version DROP DEFAULT")
    op.execute(
        """
        UPDATE encounters SET admitted_at = started_at WHERE encounter_id IN (
            SELECT DISTINCT ON (patient_id) encounter_id FROM encounters
            WHERE encounter_class = 'inpatient' AND status = 'in_progress'
            ORDER BY patient_id, started_at DESC
        )
        """
    )
    op.execute(
        """
        CREATE UNIQUE INDEX encounters_one_open_stay_key ON encounters (patient_id)
        WHERE admitted_at IS NOT NULL AND status = 'in_progress'
        """
    )
    op.execute("ALTER TABLE patients ADD COLUMN email text")
    op.execute("ALTER TABLE patients ADD COLUMN phone text")
    op.execute("COMMENT ON COLUMN patients.phone IS 'E.164'")
    op.execute("ALTER TABLE patients ADD COLUMN locale text")
    op.execute("COMMENT ON COLUMN patients.locale IS 'BCP 47'")
    op.execute("ALTER TABLE patients ADD COLUMN street text")
    op.execute("ALTER TABLE patients ADD COLUMN city text")
    op.execute("ALTER TABLE patients ADD COLUMN postal_code text")
    op.execute("ALTER TABLE patients ADD COLUMN country text")
    op.execute("COMMENT ON COLUMN patients.country IS 'ISO 3166-1 alpha-2'")
    op.execute("CREATE INDEX patients_facility_id_birth_date_idx ON patients (facility_id, birth_date)")
    op.execute("CREATE INDEX patients_facility_id_full_name_idx ON patients (facility_id, lower(full_name))")
    op.execute("CREATE INDEX patients_facility_id_phone_idx ON patients (facility_id, phone)")
    op.execute("ALTER TABLE result_entries ADD COLUMN ordered_by uuid")
    op.execute("COMMENT ON COLUMN result_entries.ordered_by IS 'the user who ordered the test'")
    codes = [{"code": code, "title": title, "billable": billable} for code, title, billable in STARTER]
    op.get_bind().execute(text("INSERT INTO icd10_codes VALUES (:code, :title, :billable)"), codes)
    refuse_deletion()


def refuse_deletion() -> None:
    """What is about a patient stays; and nobody rewrites the audit log."""
    op.execute(
        """
        CREATE FUNCTION refuse_to_forget() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE restrict_violation USING MESSAGE = TG_OP || ' on ' || TG_TABLE_NAME || ' is refused'; END $$
        """
    )
    for table in NEVER_DELETED:
        refused = "UPDATE OR DELETE OR TRUNCATE" if table == "audit_log" else "DELETE OR TRUNCATE"
        op.execute(
            f"CREATE TRIGGER never_deleted BEFORE {refused} ON {table} FOR EACH STATEMENT EXECUTE FUNCTION refuse_to_forget()"
        )
