"""Which messages a replay has in hand, and what is told of removed messages without building all of each."""

from alembic import op

revision = "backbone_0005"
down_revision = "backbone_0004"

WHOLE = "SELECT 'message', position::text, to_jsonb(removed) - '{body,properties,stack}'::text[] FROM removed"
WHAT_IS_TOLD = """
    SELECT 'message', position::text, to_jsonb(told) FROM (
        SELECT position, id, subscription, state, type, version, key, sequence, flow, error, reason, attempts, due_at,
               waits_for, waits_key, first_failed_at, last_failed_at, fingerprint, cause
        FROM removed OFFSET 0
    ) AS told
"""


def upgrade() -> None:
    op.execute("ALTER TABLE backbone.action ADD in_hand integer")
    op.execute("COMMENT ON COLUMN backbone.action.in_hand IS 'place up to which messages were begun together'")
    _note_messages(WHAT_IS_TOLD)


def downgrade() -> None:
    _note_messages(WHOLE)
    op.execute("ALTER TABLE backbone.action DROP COLUMN in_hand")


def _note_messages(removed: str) -> None:
    op.execute(
        f"""
        CREATE OR REPLACE FUNCTION backbone.note_messages() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF TG_OP = 'DELETE' THEN
                INSERT INTO backbone.change (kind, key, was) {removed};
            ELSE
                INSERT INTO backbone.change (kind, key) SELECT 'message', position::text FROM added;
            END IF;
            RETURN NULL;
        END $$
        """  # noqa: S608 (put together from constants)
    )
