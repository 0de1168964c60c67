"""Merges that are taken back."""

from alembic import op

revision = "payment_0005"
down_revision = "payment_0004"


def upgrade() -> None:
    op.execute("ALTER TABLE payments ADD COLUMN recorded_for uuid")
    # What was merged before was recorded for whoever has it now: of whom it came, nobody knows.
    op.execute("UPDATE payments SET recorded_for = patient_id")
    op.execute("ALTER TABLE payments ALTER COLUMN recorded_for SET NOT NULL")
    comment = "whose it is without any merge: theirs again when one is taken back"
    op.execute(f"COMMENT ON COLUMN payments.recorded_for IS '{comment}'")
    op.execute("CREATE INDEX payments_recorded_for_idx ON payments (recorded_for)")
    # Code of the release before does not know the column.
    op.execute(
        """
        CREATE FUNCTION record_for_its_patient() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN NEW.recorded_for := NEW.patient_id; RETURN NEW; END $$
        """
    )
    op.execute(
        "CREATE TRIGGER recorded_for_its_patient BEFORE INSERT ON payments FOR EACH ROW"
        " WHEN (NEW.recorded_for IS NULL) EXECUTE FUNCTION record_for_its_patient()"
    )
    op.execute("CREATE INDEX patient_reference_merged_into_idx ON patient_reference (merged_into)")


def downgrade() -> None:
    op.execute("DROP INDEX patient_reference_merged_into_idx")
    op.execute("DROP TRIGGER recorded_for_its_patient ON payments")
    op.execute("DROP FUNCTION record_for_its_patient")
    op.execute("ALTER TABLE payments DROP COLUMN recorded_for")
