"""What the service `operations` is told of failed messages, and what it asks for."""

from alembic import op

revision = "backbone_0004"
down_revision = "backbone_0003"

TABLES = {
    "INSERT": "NEW TABLE AS added",
    "DELETE": "OLD TABLE AS removed",
    "UPDATE": "NEW TABLE AS added",
}


def upgrade() -> None:
    op.execute("CREATE TABLE backbone.reporting (one boolean DEFAULT true PRIMARY KEY CHECK (one), is_whole boolean NOT NULL)")
    op.execute("INSERT INTO backbone.reporting (is_whole) VALUES (false)")
    op.execute(
        """
        CREATE TABLE backbone.change (
            place bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            kind text NOT NULL,
            key text NOT NULL,
            was jsonb
        )
        """
    )
    op.execute("COMMENT ON COLUMN backbone.change.kind IS 'message or action'")
    op.execute("COMMENT ON COLUMN backbone.change.was IS 'what was removed'")
    op.execute(
        """
        CREATE FUNCTION backbone.note_messages() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF TG_OP = 'DELETE' THEN
                INSERT INTO backbone.change (kind, key, was)
                SELECT 'message', position::text, to_jsonb(removed) - '{body,properties,stack}'::text[] FROM removed;
            ELSE
                INSERT INTO backbone.change (kind, key) SELECT 'message', position::text FROM added;
            END IF;
            RETURN NULL;
        END $$
        """
    )
    op.execute(
        """
        CREATE FUNCTION backbone.note_actions() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF TG_TABLE_NAME = 'action_message' THEN
                INSERT INTO backbone.change (kind, key) SELECT DISTINCT 'action', action::text FROM added;
            ELSIF TG_OP = 'DELETE' THEN
                INSERT INTO backbone.change (kind, key, was) SELECT 'action', id::text, to_jsonb(removed) FROM removed;
            ELSE
                INSERT INTO backbone.change (kind, key) SELECT 'action', id::text FROM added;
            END IF;
            RETURN NULL;
        END $$
        """
    )
    for verb, referencing in TABLES.items():
        _trigger(f"note_{verb.lower()}", verb, "failed_message", referencing, "note_messages")
        _trigger(f"note_{verb.lower()}", verb, "action", referencing, "note_actions")
    _trigger("note_update", "UPDATE", "action_message", "NEW TABLE AS added", "note_actions")
    op.execute(
        """
        CREATE TABLE backbone.operation (
            id uuid PRIMARY KEY,
            request jsonb NOT NULL,
            requested_at timestamptz NOT NULL
        )
        """
    )
    op.execute("CREATE INDEX published_key_idx ON backbone.published (key)")
    op.execute("COMMENT ON COLUMN backbone.operation.request IS 'what operations asks for, until it is answered'")


def _trigger(name: str, verb: str, table: str, referencing: str, function: str) -> None:
    op.execute(
        f"CREATE TRIGGER {name} AFTER {verb} ON backbone.{table} REFERENCING {referencing}"
        f" FOR EACH STATEMENT EXECUTE FUNCTION backbone.{function}()"
    )


def downgrade() -> None:
    op.execute("DROP INDEX backbone.published_key_idx")
    op.execute("DROP TRIGGER note_update ON backbone.action_message")
    for verb in TABLES:
        op.execute(f"DROP TRIGGER note_{verb.lower()} ON backbone.action")
        op.execute(f"DROP TRIGGER note_{verb.lower()} ON backbone.failed_message")
    op.execute("DROP FUNCTION backbone.note_messages")
    op.execute("DROP FUNCTION backbone.note_actions")
    op.execute("DROP TABLE backbone.operation, backbone.change, backbone.reporting")
