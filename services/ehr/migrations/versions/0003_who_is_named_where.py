"""What stays of an erased user is counted by facility, with what they resolved and withdrew; and no table is emptied."""

from alembic import op

revision = "ehr_0003"
down_revision = "ehr_0002"

KEPT = (
    "addenda",
    "cosignatures",
    "clinical_document_versions",
    "result_entries",
    "notes",
    "soap_notes",
    "progress_notes",
    "problem_lists",
    "clinical_documents",
    "results",
)
"""From which no row may be deleted."""

KEPT_TOO = ("diagnosis_entries", "retentions")
"""Those that could lose rows."""


def upgrade() -> None:
    op.execute("CREATE INDEX notes_marked_by_idx ON notes (marked_by)")
    op.execute("CREATE INDEX problem_lists_resolved_by_idx ON problem_lists (resolved_by)")
    op.execute("ALTER TABLE retentions ADD COLUMN entries_at jsonb NOT NULL DEFAULT '{}'")
    op.execute("COMMENT ON COLUMN retentions.entries_at IS 'how many, by facility'")
    count_what_names_them()
    for table in KEPT_TOO:
        op.execute(f"CREATE TRIGGER never_deleted BEFORE DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION refuse()")
    for table in (*KEPT, *KEPT_TOO):
        op.execute(f"CREATE TRIGGER never_emptied BEFORE TRUNCATE ON {table} FOR EACH STATEMENT EXECUTE FUNCTION refuse()")


def count_what_names_them() -> None:
    """Each entry once for every user whom it names."""
    op.execute(
        """
        WITH named AS (
            SELECT author_id AS user_id, facility_id FROM notes
            UNION ALL SELECT marked_by, facility_id FROM notes WHERE marked_by <> author_id
            UNION ALL SELECT addenda.author_id, facility_id FROM addenda JOIN notes USING (note_id)
            UNION ALL SELECT cosigner_id, facility_id FROM cosignatures JOIN notes USING (note_id)
            UNION ALL SELECT attached_by, facility_id
                FROM clinical_document_versions JOIN clinical_documents USING (document_id)
            UNION ALL SELECT added_by, facility_id FROM problem_lists
            UNION ALL SELECT resolved_by, facility_id FROM problem_lists WHERE resolved_by IS DISTINCT FROM added_by
        ), at_facilities AS (
            SELECT user_id, facility_id, count(*) AS entries FROM named GROUP BY user_id, facility_id
        ), of_users AS (
            SELECT user_id, sum(entries) AS entries, jsonb_object_agg(facility_id, entries) AS entries_at
            FROM at_facilities WHERE user_id IS NOT NULL GROUP BY user_id
        )
        UPDATE retentions SET entries = of_users.entries, entries_at = of_users.entries_at
        FROM of_users WHERE of_users.user_id = retentions.user_id
        """
    )


def downgrade() -> None:
    for table in (*KEPT, *KEPT_TOO):
        op.execute(f"DROP TRIGGER never_emptied ON {table}")
    for table in KEPT_TOO:
        op.execute(f"DROP TRIGGER never_deleted ON {table}")
    op.execute("ALTER TABLE retentions DROP COLUMN entries_at")
    op.execute("DROP INDEX problem_lists_resolved_by_idx")
    op.execute("DROP INDEX notes_marked_by_idx")
