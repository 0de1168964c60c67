"""Quality control, call-backs and further rules."""

from alembic import op

revision = "lab_0002"
down_revision = "lab_0001"


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE encounter_reference (
            patient_id uuid NOT NULL,
            status text NOT NULL,
            state_version bigint NOT NULL,
            deleted boolean NOT NULL,
            changed_at timestamptz NOT NULL,
            received_at timestamptz NOT NULL,
            id uuid NOT NULL,
            CONSTRAINT encounter_reference_pkey PRIMARY KEY (id)
        )
        """
    )
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
        CREATE TABLE control_measurements (
            control_id uuid NOT NULL,
            facility_id uuid NOT NULL,
            test_code text NOT NULL,
            level integer NOT NULL,
            value numeric NOT NULL,
            target numeric NOT NULL,
            sd numeric NOT NULL,
            outcome text NOT NULL,
            measured_by uuid,
            measured_at timestamptz NOT NULL,
            CONSTRAINT control_measurements_pkey PRIMARY KEY (control_id),
            CONSTRAINT control_measurements_test_code_fkey FOREIGN KEY(test_code) REFERENCES lab_tests (code)
        )
        """
    )
    op.execute("COMMENT ON COLUMN control_measurements.level IS 'of the material: 1 is the lowest concentration'")
    op.execute("COMMENT ON COLUMN control_measurements.sd IS 'standard deviation'")
    op.execute("COMMENT ON COLUMN control_measurements.measured_by IS 'the user who did; null where nobody is known'")
    op.execute(
        """
        CREATE INDEX control_measurements_by_level
        ON control_measurements (facility_id, test_code, level, measured_at)
        """
    )
    op.execute(
        """
        CREATE TABLE reflex_tests (
            reflex_id uuid NOT NULL,
            test_code text NOT NULL,
            further_test text NOT NULL,
            flag text,
            below numeric,
            above numeric,
            CONSTRAINT reflex_tests_pkey PRIMARY KEY (reflex_id),
            CONSTRAINT reflex_tests_further_test_fkey FOREIGN KEY(further_test) REFERENCES lab_tests (code),
            CONSTRAINT reflex_tests_test_code_fkey FOREIGN KEY(test_code) REFERENCES lab_tests (code)
        )
        """
    )
    op.execute("CREATE INDEX reflex_tests_test_code_idx ON reflex_tests (test_code)")
    op.execute(
        """
        CREATE TABLE critical_call_backs (
            result_id uuid NOT NULL,
            facility_id uuid NOT NULL,
            status text NOT NULL,
            due_at timestamptz NOT NULL,
            escalations integer NOT NULL,
            CONSTRAINT critical_call_backs_pkey PRIMARY KEY (result_id),
            CONSTRAINT critical_call_backs_result_id_fkey FOREIGN KEY(result_id) REFERENCES lab_results (result_id)
        )
        """
    )
    op.execute("COMMENT ON COLUMN critical_call_backs.escalations IS 'how often it was said that it is overdue'")
    op.execute("CREATE INDEX critical_call_backs_worklist ON critical_call_backs (facility_id, status, due_at, result_id)")
    op.execute(
        """
        CREATE TABLE critical_calls (
            call_id uuid NOT NULL,
            result_id uuid NOT NULL,
            called_by uuid,
            callee_id uuid,
            callee_role text,
            called_at timestamptz NOT NULL,
            was_late boolean NOT NULL,
            CONSTRAINT critical_calls_pkey PRIMARY KEY (call_id),
            CONSTRAINT critical_calls_result_id_fkey FOREIGN KEY(result_id) REFERENCES lab_results (result_id)
        )
        """
    )
    op.execute("COMMENT ON COLUMN critical_calls.called_by IS 'the user who called; null where nobody is known'")
    op.execute("COMMENT ON COLUMN critical_calls.callee_id IS 'the user who was called'")
    op.execute("COMMENT ON COLUMN critical_calls.callee_role IS 'who was called, where it is not known which user'")
    op.execute("CREATE INDEX critical_calls_result_id_idx ON critical_calls (result_id)")
    op.execute("ALTER TABLE lab_order_lines ADD COLUMN reflex_of uuid")
    op.execute("COMMENT ON COLUMN lab_order_lines.reflex_of IS 'the result that asked for this further test'")
    op.execute(
        """
        ALTER TABLE lab_order_lines ADD CONSTRAINT lab_order_lines_reflex_of_fkey
        FOREIGN KEY(reflex_of) REFERENCES lab_results (result_id)
        """
    )
    op.execute("ALTER TABLE lab_orders ADD COLUMN duplicate_reason text")
    op.execute("COMMENT ON COLUMN lab_orders.duplicate_reason IS 'why a test is ordered again so soon'")
    op.execute("ALTER TABLE lab_orders ADD COLUMN ordered_by uuid")
    op.execute("COMMENT ON COLUMN lab_orders.ordered_by IS 'the user who did; null where nobody is known'")
    op.execute("ALTER TABLE lab_orders ADD COLUMN recorded_for uuid")
    op.execute("COMMENT ON COLUMN lab_orders.recorded_for IS 'whom it was ordered for'")
    op.execute("COMMENT ON COLUMN lab_orders.patient_id IS 'whose it is now'")
    op.execute("DROP INDEX lab_orders_patient_id_idx")
    op.execute("UPDATE lab_orders SET recorded_for = patient_id")
    op.execute("ALTER TABLE lab_orders ALTER COLUMN recorded_for SET NOT NULL")
    op.execute("CREATE INDEX lab_orders_recorded_for_idx ON lab_orders (recorded_for)")
    op.execute("ALTER TABLE lab_results ADD COLUMN review_reasons text[] DEFAULT '{}' NOT NULL")
    op.execute("COMMENT ON COLUMN lab_results.review_reasons IS 'why it was not released by itself'")
    op.execute("ALTER TABLE lab_tests ADD COLUMN auto_verify boolean DEFAULT 'false' NOT NULL")
    op.execute("COMMENT ON COLUMN lab_tests.auto_verify IS 'whether results are released that nobody has to look at'")
    op.execute("ALTER TABLE lab_tests ADD COLUMN control_hours integer DEFAULT '24' NOT NULL")
    op.execute("COMMENT ON COLUMN lab_tests.control_hours IS 'how long a control speaks for the results after it'")
    op.execute("ALTER TABLE lab_tests ADD COLUMN delta_days integer")
    op.execute("COMMENT ON COLUMN lab_tests.delta_days IS 'how old the previous result of a delta check may be'")
    op.execute("ALTER TABLE lab_tests ADD COLUMN delta_absolute numeric")
    op.execute("ALTER TABLE lab_tests ADD COLUMN delta_percent numeric")
    op.execute("ALTER TABLE lab_tests ADD COLUMN duplicate_hours integer")
    op.execute("COMMENT ON COLUMN lab_tests.duplicate_hours IS 'how soon it is not ordered again without a reason'")
    op.execute("CREATE INDEX patient_reference_merged_into_idx ON patient_reference (merged_into)")
