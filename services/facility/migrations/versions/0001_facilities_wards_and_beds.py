"""Facilities, wards and beds."""

from alembic import op

revision = "facility_0001"
down_revision = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE facilities (
            facility_id uuid NOT NULL,
            name text NOT NULL,
            kind text NOT NULL,
            status text NOT NULL,
            time_zone text NOT NULL,
            currency text NOT NULL,
            opened_at timestamptz NOT NULL,
            state_version bigint NOT NULL,
            CONSTRAINT facilities_pkey PRIMARY KEY (facility_id)
        )
        """
    )
    op.execute("COMMENT ON COLUMN facilities.time_zone IS 'IANA'")
    op.execute("COMMENT ON COLUMN facilities.currency IS 'ISO 4217'")
    op.execute(
        """
        CREATE TABLE patient_reference (
            facility_id uuid NOT NULL,
            sex text NOT NULL,
            status text NOT NULL,
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
    op.execute("CREATE INDEX patient_reference_merged_into_idx ON patient_reference (merged_into)")
    op.execute(
        """
        CREATE TABLE departments (
            department_id uuid NOT NULL,
            facility_id uuid NOT NULL,
            name text NOT NULL,
            CONSTRAINT departments_pkey PRIMARY KEY (department_id),
            CONSTRAINT departments_facility_id_fkey FOREIGN KEY(facility_id) REFERENCES facilities (facility_id),
            CONSTRAINT departments_facility_id_name_key UNIQUE (facility_id, name)
        )
        """
    )
    op.execute(
        """
        CREATE TABLE facility_settings (
            facility_id uuid NOT NULL,
            name text NOT NULL,
            value jsonb NOT NULL,
            set_at timestamptz NOT NULL,
            CONSTRAINT facility_settings_pkey PRIMARY KEY (facility_id, name),
            CONSTRAINT facility_settings_facility_id_fkey FOREIGN KEY(facility_id) REFERENCES facilities (facility_id)
        )
        """
    )
    op.execute(
        """
        CREATE TABLE wards (
            ward_id uuid NOT NULL,
            facility_id uuid NOT NULL,
            department_id uuid NOT NULL,
            name text NOT NULL,
            capacity integer NOT NULL,
            sex text NOT NULL,
            isolation boolean NOT NULL,
            full_since timestamptz,
            CONSTRAINT wards_pkey PRIMARY KEY (ward_id),
            CONSTRAINT wards_department_id_fkey FOREIGN KEY(department_id) REFERENCES departments (department_id),
            CONSTRAINT wards_facility_id_fkey FOREIGN KEY(facility_id) REFERENCES facilities (facility_id),
            CONSTRAINT wards_facility_id_name_key UNIQUE (facility_id, name)
        )
        """
    )
    op.execute("COMMENT ON COLUMN wards.capacity IS 'how many beds can be nursed at once'")
    op.execute("COMMENT ON COLUMN wards.sex IS 'whom it is for'")
    op.execute("COMMENT ON COLUMN wards.isolation IS 'equipped for isolation in any of its rooms'")
    op.execute("CREATE INDEX wards_department_id_idx ON wards (department_id)")
    op.execute(
        """
        CREATE TABLE bed_requests (
            encounter_id uuid NOT NULL,
            patient_id uuid NOT NULL,
            facility_id uuid NOT NULL,
            ward_id uuid,
            isolation boolean NOT NULL,
            status text NOT NULL,
            requested_at timestamptz NOT NULL,
            CONSTRAINT bed_requests_pkey PRIMARY KEY (encounter_id),
            CONSTRAINT bed_requests_ward_id_fkey FOREIGN KEY(ward_id) REFERENCES wards (ward_id)
        )
        """
    )
    op.execute("COMMENT ON COLUMN bed_requests.ward_id IS 'null: any that is fit'")
    op.execute("CREATE INDEX bed_requests_patient_id_idx ON bed_requests (patient_id)")
    op.execute(
        """
        CREATE INDEX bed_requests_waiting ON bed_requests (facility_id, requested_at) WHERE status = 'waiting'
        """
    )
    op.execute(
        """
        CREATE TABLE beds (
            bed_id uuid NOT NULL,
            ward_id uuid NOT NULL,
            facility_id uuid NOT NULL,
            room text NOT NULL,
            label text NOT NULL,
            status text NOT NULL,
            encounter_id uuid,
            patient_id uuid,
            isolation boolean NOT NULL,
            reserved_until timestamptz,
            state_version bigint NOT NULL,
            CONSTRAINT beds_pkey PRIMARY KEY (bed_id),
            CONSTRAINT beds_taken_check CHECK ((status IN ('reserved', 'occupied')) = (encounter_id IS NOT NULL)),
            CONSTRAINT beds_ward_id_label_key UNIQUE (ward_id, label),
            CONSTRAINT beds_facility_id_fkey FOREIGN KEY(facility_id) REFERENCES facilities (facility_id),
            CONSTRAINT beds_ward_id_fkey FOREIGN KEY(ward_id) REFERENCES wards (ward_id),
            CONSTRAINT beds_patient_check CHECK ((encounter_id IS NULL) = (patient_id IS NULL))
        )
        """
    )
    op.execute("COMMENT ON COLUMN beds.isolation IS 'whoever has it must lie alone in the room'")
    op.execute("CREATE INDEX beds_facility_id_idx ON beds (facility_id)")
    op.execute("CREATE UNIQUE INDEX beds_one_per_encounter ON beds (encounter_id) WHERE encounter_id IS NOT NULL")
    op.execute("CREATE UNIQUE INDEX beds_one_per_patient ON beds (patient_id) WHERE status = 'occupied'")
    op.execute(
        """
        CREATE TABLE bed_stays (
            stay_id uuid NOT NULL,
            bed_id uuid NOT NULL,
            facility_id uuid NOT NULL,
            encounter_id uuid NOT NULL,
            patient_id uuid NOT NULL,
            began_at timestamptz NOT NULL,
            ended_at timestamptz,
            reason text,
            CONSTRAINT bed_stays_pkey PRIMARY KEY (stay_id),
            CONSTRAINT bed_stays_bed_id_fkey FOREIGN KEY(bed_id) REFERENCES beds (bed_id)
        )
        """
    )
    op.execute("COMMENT ON COLUMN bed_stays.reason IS 'why it ended'")
    op.execute("CREATE INDEX bed_stays_bed_id_began_at_stay_id_idx ON bed_stays (bed_id, began_at, stay_id)")
    op.execute("CREATE INDEX bed_stays_encounter_id_idx ON bed_stays (encounter_id)")
    op.execute("CREATE UNIQUE INDEX bed_stays_one_open_per_bed ON bed_stays (bed_id) WHERE ended_at IS NULL")
    op.execute("CREATE UNIQUE INDEX bed_stays_one_open_per_patient ON bed_stays (patient_id) WHERE ended_at IS NULL")
