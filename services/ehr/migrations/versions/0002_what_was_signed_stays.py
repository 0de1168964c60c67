"""What was signed stays as it is, and nothing is deleted, whoever tries."""

from alembic import op

revision = "ehr_0002"
down_revision = "ehr_0001"

SIGNED = "note_id, kind, encounter_id, facility_id, author_id, drafted_at, signed_at, content_hash"
"""The columns of a note that its hash covers, or that say where it belongs."""

WRITTEN_ONCE = ("addenda", "cosignatures", "clinical_document_versions", "result_entries")
NEVER_DELETED = ("notes", "soap_notes", "progress_notes", "problem_lists", "clinical_documents", "results")


def upgrade() -> None:
    op.execute(
        """
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION '% on %: the health record keeps it as it is', TG_OP, TG_TABLE_NAME
                USING ERRCODE = 'integrity_constraint_violation';
        END $$
        """
    )
    op.execute(
        """
        CREATE FUNCTION refuse_unless_draft() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF (SELECT status FROM notes WHERE note_id = OLD.note_id) <> 'draft' THEN
                RAISE EXCEPTION 'note %: what was signed does not change', OLD.note_id
                    USING ERRCODE = 'integrity_constraint_violation';
            END IF;
            RETURN NEW;
        END $$
        """
    )
    for table in ("soap_notes", "progress_notes"):
        op.execute(f"CREATE TRIGGER signed_stays BEFORE UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION refuse_unless_draft()")
    old, new = (", ".join(f"{row}.{column}" for column in SIGNED.split(", ")) for row in ("OLD", "NEW"))
    op.execute(
        f"""
        CREATE TRIGGER signed_stays BEFORE UPDATE ON notes FOR EACH ROW
        WHEN (OLD.status <> 'draft' AND (NEW.status = 'draft' OR ({old}) IS DISTINCT FROM ({new})))
        EXECUTE FUNCTION refuse()
        """
    )
    for table in WRITTEN_ONCE:
        op.execute(f"CREATE TRIGGER written_once BEFORE UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION refuse()")
    for table in (*WRITTEN_ONCE, *NEVER_DELETED):
        op.execute(f"CREATE TRIGGER never_deleted BEFORE DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION refuse()")
