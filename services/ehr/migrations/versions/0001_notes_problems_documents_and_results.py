"""Notes, problems, documents and results."""

from alembic import op

revision = "ehr_0001"
down_revision = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE clinical_documents (
            document_id uuid NOT NULL,
            encounter_id uuid,
            title text NOT NULL,
            version integer NOT NULL,
            attached_at timestamptz NOT NULL,
            patient_id uuid NOT NULL,
            recorded_for uuid NOT NULL,
            facility_id uuid NOT NULL,
            CONSTRAINT clinical_documents_pkey PRIMARY KEY (document_id)
        )
        """
    )
    op.execute("COMMENT ON COLUMN clinical_documents.version IS 'the newest'")
    op.execute("COMMENT ON COLUMN clinical_documents.attached_at IS 'the newest version'")
    op.execute("CREATE INDEX clinical_documents_encounter_id_idx ON clinical_documents (encounter_id)")
    op.execute("CREATE INDEX clinical_documents_recorded_for_idx ON clinical_documents (recorded_for)")
    op.execute(
        """
        CREATE TABLE encounter_reference (
            patient_id uuid NOT NULL,
            facility_id uuid NOT NULL,
            encounter_class text NOT NULL,
            status text NOT NULL,
            started_at timestamptz,
            discharged_at timestamptz,
            state_version bigint NOT NULL,
            deleted boolean NOT NULL,
            changed_at timestamptz NOT NULL,
            received_at timestamptz NOT NULL,
            id uuid NOT NULL,
            CONSTRAINT encounter_reference_pkey PRIMARY KEY (id)
        )
        """
    )
    op.execute("CREATE INDEX encounter_reference_patient_id_idx ON encounter_reference (patient_id)")
    op.execute(
        """
        CREATE TABLE notes (
            note_id uuid NOT NULL,
            kind text NOT NULL,
            encounter_id uuid NOT NULL,
            author_id uuid NOT NULL,
            status text NOT NULL,
            drafted_at timestamptz NOT NULL,
            signed_at timestamptz,
            content_hash text,
            cosign_due_at timestamptz,
            overdue_at timestamptz,
            marked_at timestamptz,
            marked_by uuid,
            reason text,
            patient_id uuid NOT NULL,
            recorded_for uuid NOT NULL,
            facility_id uuid NOT NULL,
            CONSTRAINT notes_pkey PRIMARY KEY (note_id)
        )
        """
    )
    op.execute("COMMENT ON COLUMN notes.author_id IS 'the user''s bare id, which stays when the user is erased'")
    op.execute("COMMENT ON COLUMN notes.content_hash IS 'SHA-256, in hexadecimal'")
    op.execute("COMMENT ON COLUMN notes.overdue_at IS 'when nobody had cosigned in time'")
    op.execute("COMMENT ON COLUMN notes.reason IS 'why it was entered in error'")
    op.execute("CREATE INDEX notes_author_id_idx ON notes (author_id)")
    op.execute("CREATE INDEX notes_encounter_id_idx ON notes (encounter_id)")
    op.execute(
        """
        CREATE INDEX notes_facility_id_status_cosign_due_at_idx ON notes (facility_id, status, cosign_due_at)
        """
    )
    op.execute("CREATE INDEX notes_recorded_for_idx ON notes (recorded_for)")
    op.execute(
        """
        CREATE TABLE patient_reference (
            facility_id uuid NOT NULL,
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
        CREATE TABLE problem_lists (
            problem_id uuid NOT NULL,
            code text NOT NULL,
            description text,
            status text NOT NULL,
            added_at timestamptz NOT NULL,
            added_by uuid,
            resolved_at timestamptz,
            resolved_by uuid,
            patient_id uuid NOT NULL,
            recorded_for uuid NOT NULL,
            facility_id uuid NOT NULL,
            CONSTRAINT problem_lists_pkey PRIMARY KEY (problem_id)
        )
        """
    )
    op.execute("COMMENT ON COLUMN problem_lists.code IS 'ICD-10-CM'")
    op.execute("COMMENT ON COLUMN problem_lists.added_by IS 'null where a diagnosis did'")
    op.execute("COMMENT ON COLUMN problem_lists.resolved_by IS 'null where a diagnosis did'")
    op.execute("CREATE INDEX problem_lists_added_by_idx ON problem_lists (added_by)")
    op.execute("CREATE INDEX problem_lists_recorded_for_idx ON problem_lists (recorded_for)")
    op.execute(
        """
        CREATE TABLE results (
            result_id uuid NOT NULL,
            order_id uuid NOT NULL,
            encounter_id uuid,
            test_code text NOT NULL,
            test_name text NOT NULL,
            first_entered_at timestamptz NOT NULL,
            patient_id uuid NOT NULL,
            recorded_for uuid NOT NULL,
            facility_id uuid NOT NULL,
            CONSTRAINT results_pkey PRIMARY KEY (result_id)
        )
        """
    )
    op.execute("COMMENT ON COLUMN results.test_code IS 'LOINC'")
    op.execute("CREATE INDEX results_recorded_for_idx ON results (recorded_for)")
    op.execute(
        """
        CREATE TABLE retentions (
            user_id uuid NOT NULL,
            entries integer NOT NULL,
            reason text NOT NULL,
            erased_at timestamptz NOT NULL,
            CONSTRAINT retentions_pkey PRIMARY KEY (user_id)
        )
        """
    )
    op.execute(
        """
        COMMENT ON COLUMN retentions.entries IS 'notes, addenda, cosignatures, documents and problems of theirs'
        """
    )
    op.execute(
        """
        CREATE TABLE user_reference (
            status text NOT NULL,
            grants jsonb NOT NULL,
            state_version bigint NOT NULL,
            deleted boolean NOT NULL,
            changed_at timestamptz NOT NULL,
            received_at timestamptz NOT NULL,
            id uuid NOT NULL,
            CONSTRAINT user_reference_pkey PRIMARY KEY (id)
        )
        """
    )
    op.execute("COMMENT ON COLUMN user_reference.grants IS 'roles, each at a facility or (null) at every one'")
    op.execute(
        """
        CREATE TABLE addenda (
            addendum_id uuid NOT NULL,
            note_id uuid NOT NULL,
            number integer NOT NULL,
            author_id uuid NOT NULL,
            text text NOT NULL,
            written_at timestamptz NOT NULL,
            content_hash text NOT NULL,
            CONSTRAINT addenda_pkey PRIMARY KEY (addendum_id),
            CONSTRAINT addenda_note_id_fkey FOREIGN KEY(note_id) REFERENCES notes (note_id),
            CONSTRAINT addenda_note_id_number_key UNIQUE (note_id, number)
        )
        """
    )
    op.execute("COMMENT ON COLUMN addenda.number IS 'from 1, in the order of writing'")
    op.execute("COMMENT ON COLUMN addenda.content_hash IS 'SHA-256, over the hash before it too'")
    op.execute("CREATE INDEX addenda_author_id_idx ON addenda (author_id)")
    op.execute(
        """
        CREATE TABLE clinical_document_versions (
            document_id uuid NOT NULL,
            version integer NOT NULL,
            media_type text NOT NULL,
            size integer NOT NULL,
            content_hash text NOT NULL,
            content text NOT NULL,
            attached_by uuid NOT NULL,
            attached_at timestamptz NOT NULL,
            CONSTRAINT clinical_document_versions_pkey PRIMARY KEY (document_id, version),
            CONSTRAINT clinical_document_versions_document_id_fkey FOREIGN KEY(document_id)
                REFERENCES clinical_documents (document_id)
        )
        """
    )
    op.execute("COMMENT ON COLUMN clinical_document_versions.size IS 'bytes'")
    op.execute("COMMENT ON COLUMN clinical_document_versions.content_hash IS 'SHA-256, in hexadecimal'")
    op.execute(
        """
        COMMENT ON COLUMN clinical_document_versions.content IS 'as it came, byte for byte, because it is hashed'
        """
    )
    op.execute("CREATE INDEX clinical_document_versions_attached_by_idx ON clinical_document_versions (attached_by)")
    op.execute(
        """
        CREATE TABLE cosignatures (
            note_id uuid NOT NULL,
            cosigner_id uuid NOT NULL,
            content_hash text NOT NULL,
            cosigned_at timestamptz NOT NULL,
            CONSTRAINT cosignatures_pkey PRIMARY KEY (note_id),
            CONSTRAINT cosignatures_note_id_fkey FOREIGN KEY(note_id) REFERENCES notes (note_id)
        )
        """
    )
    op.execute("COMMENT ON COLUMN cosignatures.content_hash IS 'of the note, as the cosigner read it'")
    op.execute("CREATE INDEX cosignatures_cosigner_id_idx ON cosignatures (cosigner_id)")
    op.execute(
        """
        CREATE TABLE diagnosis_entries (
            diagnosis_id uuid NOT NULL,
            encounter_id uuid,
            code text NOT NULL,
            status text NOT NULL,
            recorded_at timestamptz NOT NULL,
            problem_id uuid,
            patient_id uuid NOT NULL,
            recorded_for uuid NOT NULL,
            facility_id uuid NOT NULL,
            CONSTRAINT diagnosis_entries_pkey PRIMARY KEY (diagnosis_id),
            CONSTRAINT diagnosis_entries_problem_id_fkey FOREIGN KEY(problem_id) REFERENCES problem_lists (problem_id)
        )
        """
    )
    op.execute("COMMENT ON COLUMN diagnosis_entries.code IS 'ICD-10-CM'")
    op.execute("CREATE INDEX diagnosis_entries_recorded_for_idx ON diagnosis_entries (recorded_for)")
    op.execute("CREATE INDEX diagnosis_entries_problem_id_idx ON diagnosis_entries (problem_id)")
    op.execute(
        """
        CREATE TABLE progress_notes (
            note_id uuid NOT NULL,
            text text NOT NULL,
            CONSTRAINT progress_notes_pkey PRIMARY KEY (note_id),
            CONSTRAINT progress_notes_note_id_fkey FOREIGN KEY(note_id) REFERENCES notes (note_id)
        )
        """
    )
    op.execute(
        """
        CREATE TABLE result_entries (
            entry_id uuid NOT NULL,
            result_id uuid NOT NULL,
            source_event_id uuid NOT NULL,
            entered_at timestamptz NOT NULL,
            value numeric,
            text_value text,
            unit text NOT NULL,
            reference_low numeric,
            reference_high numeric,
            flag text,
            is_critical boolean NOT NULL,
            status text NOT NULL,
            resulted_at timestamptz NOT NULL,
            previous_value numeric,
            previous_text_value text,
            reason text,
            CONSTRAINT result_entries_pkey PRIMARY KEY (entry_id),
            CONSTRAINT result_entries_result_id_fkey FOREIGN KEY(result_id) REFERENCES results (result_id)
        )
        """
    )
    op.execute("COMMENT ON COLUMN result_entries.unit IS 'UCUM'")
    op.execute("COMMENT ON COLUMN result_entries.previous_value IS 'what a correction says was there before'")
    op.execute("COMMENT ON COLUMN result_entries.reason IS 'why it was corrected'")
    op.execute("CREATE INDEX result_entries_result_id_idx ON result_entries (result_id)")
    op.execute("CREATE INDEX result_entries_source_event_id_idx ON result_entries (source_event_id)")
    op.execute(
        """
        CREATE TABLE soap_notes (
            note_id uuid NOT NULL,
            subjective text NOT NULL,
            objective text NOT NULL,
            assessment text NOT NULL,
            plan text NOT NULL,
            CONSTRAINT soap_notes_pkey PRIMARY KEY (note_id),
            CONSTRAINT soap_notes_note_id_fkey FOREIGN KEY(note_id) REFERENCES notes (note_id)
        )
        """
    )
