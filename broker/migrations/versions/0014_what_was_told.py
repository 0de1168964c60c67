"""What the backbone told of a service is kept, and replicas are run over once for each owner."""

from alembic import op

revision = "backbone_0014"
down_revision = "backbone_0013"

ADDED = "INSERT INTO backbone.change (kind, key) SELECT '{kind}', {key}::text FROM added;"
GONE = "INSERT INTO backbone.change (kind, key) SELECT '{kind}', {key}::text FROM removed;"
WAS = "INSERT INTO backbone.change (kind, key, was) SELECT '{kind}', {key}::text, {was} FROM removed;"


def _functions(removed: str) -> None:
    """What the triggers on failed messages and actions do. removed: with a row that is gone."""
    was = "to_jsonb(removed) - '{body,properties,stack}'::text[]"
    op.execute(
        f"""
        CREATE OR REPLACE FUNCTION backbone.note_messages() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF TG_OP = 'DELETE' THEN
                {removed.format(kind="message", key="position", was=was)}
            ELSE
                {ADDED.format(kind="message", key="position")}
            END IF;
            RETURN NULL;
        END $$
        """
    )
    op.execute(
        f"""
        CREATE OR REPLACE FUNCTION backbone.note_actions() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF TG_TABLE_NAME = 'action_message' THEN
                INSERT INTO backbone.change (kind, key) SELECT DISTINCT 'action', action::text FROM added;
            ELSIF TG_OP = 'DELETE' THEN
                {removed.format(kind="action", key="id", was="to_jsonb(removed)")}
            ELSE
                {ADDED.format(kind="action", key="id")}
            END IF;
            RETURN NULL;
        END $$
        """  # noqa: S608 (put together from constants)
    )


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE backbone.told (
            type text NOT NULL,
            key text COLLATE "C" NOT NULL,
            state jsonb NOT NULL,
            CONSTRAINT told_pkey PRIMARY KEY (type, key)
        )
        """
    )
    op.execute("COMMENT ON COLUMN backbone.told.state IS 'the body of the event that told it'")
    _functions(removed=GONE)
    # Code of the release before cannot tell any more, and so tells nothing that is not kept: it takes `was` along.
    op.execute("ALTER TABLE backbone.change DROP COLUMN was")
    op.execute("ALTER TABLE backbone.reporting ADD COLUMN noted bigint")
    op.execute("COMMENT ON COLUMN backbone.reporting.is_whole IS 'everything that there was is told'")
    op.execute("COMMENT ON COLUMN backbone.reporting.noted IS 'the place up to which all was noted; null before that'")
    op.execute("UPDATE backbone.reporting SET is_whole = false")
    op.execute("ALTER TABLE backbone.replica_run ADD COLUMN owner text NOT NULL DEFAULT ''")
    op.execute("COMMENT ON COLUMN backbone.replica_run.owner IS 'who is asked, where every service tells what it copies'")
    op.execute("DROP INDEX backbone.replica_run_running_key")
    op.execute("CREATE UNIQUE INDEX replica_run_running_key ON backbone.replica_run (replica, owner) WHERE state = 'running'")


def downgrade() -> None:
    op.execute("DELETE FROM backbone.replica_run WHERE owner <> ''")
    op.execute("DROP INDEX backbone.replica_run_running_key")
    op.execute("CREATE UNIQUE INDEX replica_run_running_key ON backbone.replica_run (replica) WHERE state = 'running'")
    op.execute("ALTER TABLE backbone.replica_run DROP COLUMN owner")
    op.execute("COMMENT ON COLUMN backbone.reporting.is_whole IS NULL")
    op.execute("ALTER TABLE backbone.reporting DROP COLUMN noted")
    op.execute("ALTER TABLE backbone.change ADD COLUMN was jsonb")
    op.execute("COMMENT ON COLUMN backbone.change.was IS 'what was removed'")
    _functions(removed=WAS)
    op.execute("DROP TABLE backbone.told")
