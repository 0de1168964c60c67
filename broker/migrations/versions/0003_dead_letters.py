"""What a failed message tells of its failure, and what people do about failed messages."""

from alembic import op

revision = "backbone_0003"
down_revision = "backbone_0002"

INDEXES = {
    "failed_message_state_position_idx": "(state, position)",
    "failed_message_group_idx": "(subscription, state, fingerprint, position)",
    "failed_message_fingerprint_idx": "(fingerprint, state, position)",
    "failed_message_type_idx": "(type, state, position)",
    "failed_message_key_idx": "(key, position)",
    "failed_message_flow_idx": "(flow)",
    "failed_message_id_idx": "(id)",
    "failed_message_last_failed_at_idx": "(last_failed_at)",
    "failed_message_words_idx": "USING gin (to_tsvector('simple', regexp_replace("
    "fingerprint || ' ' || reason, '[^[:alnum:]]+', ' ', 'g')))",
}

MESSAGE = """
    position bigint NOT NULL,
    subscription text NOT NULL,
    id uuid,
    state text NOT NULL,
    type text NOT NULL,
    version integer NOT NULL,
    key text NOT NULL,
    sequence bigint NOT NULL,
    flow uuid,
    exchange text NOT NULL,
    routing_key text NOT NULL,
    properties jsonb NOT NULL,
    body bytea NOT NULL,
    error text NOT NULL,
    reason text NOT NULL,
    attempts integer NOT NULL,
    due_at timestamptz,
    waits_for text,
    waits_key text,
    first_failed_at timestamptz NOT NULL,
    last_failed_at timestamptz NOT NULL,
    stack text NOT NULL,
    fingerprint text NOT NULL,
    cause uuid
"""


def upgrade() -> None:
    op.execute("ALTER TABLE backbone.failed_message ADD stack text NOT NULL DEFAULT ''")
    op.execute("ALTER TABLE backbone.failed_message ADD fingerprint text NOT NULL DEFAULT ''")
    op.execute("ALTER TABLE backbone.failed_message ADD cause uuid")
    op.execute("UPDATE backbone.failed_message SET fingerprint = error")
    for name, columns in INDEXES.items():
        op.execute(f"CREATE INDEX {name} ON backbone.failed_message {columns}")
    _count()
    _act()


def _count() -> None:
    """How many failed messages of a kind there are, kept beside them: counting a hundred thousand takes too long at night."""
    op.execute(
        """
        CREATE TABLE backbone.failure_count (
            subscription text NOT NULL,
            state text NOT NULL,
            fingerprint text NOT NULL,
            by bigint NOT NULL
        )
        """
    )
    op.execute("CREATE INDEX failure_count_group_idx ON backbone.failure_count (subscription, state, fingerprint)")
    op.execute(
        """
        CREATE FUNCTION backbone.count_failures() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF TG_OP = 'INSERT' THEN
                INSERT INTO backbone.failure_count
                SELECT subscription, state, fingerprint, count(*) FROM added GROUP BY 1, 2, 3;
            ELSIF TG_OP = 'DELETE' THEN
                INSERT INTO backbone.failure_count
                SELECT subscription, state, fingerprint, -count(*) FROM removed GROUP BY 1, 2, 3;
            ELSE
                INSERT INTO backbone.failure_count
                SELECT subscription, state, fingerprint, sum(by) FROM (
                    SELECT subscription, state, fingerprint, 1 AS by FROM added
                    UNION ALL SELECT subscription, state, fingerprint, -1 FROM removed
                ) AS moved GROUP BY 1, 2, 3 HAVING sum(by) <> 0;
            END IF;
            RETURN NULL;
        END $$
        """
    )
    tables = {
        "INSERT": "NEW TABLE AS added",
        "DELETE": "OLD TABLE AS removed",
        "UPDATE": "OLD TABLE AS removed NEW TABLE AS added",
    }
    for verb, referencing in tables.items():
        op.execute(
            f"CREATE TRIGGER count_{verb.lower()} AFTER {verb} ON backbone.failed_message REFERENCING {referencing}"
            " FOR EACH STATEMENT EXECUTE FUNCTION backbone.count_failures()"
        )
    op.execute(
        "INSERT INTO backbone.failure_count"
        " SELECT subscription, state, fingerprint, count(*) FROM backbone.failed_message GROUP BY 1, 2, 3"
    )


def _act() -> None:
    op.execute(
        """
        CREATE TABLE backbone.action (
            id uuid PRIMARY KEY,
            verb text NOT NULL,
            state text NOT NULL CHECK (state IN ('running', 'done', 'halted', 'stopped')),
            asked_by text NOT NULL,
            why text NOT NULL,
            wanted jsonb NOT NULL,
            pace jsonb NOT NULL,
            total integer NOT NULL,
            began_at timestamptz NOT NULL,
            ended_at timestamptz
        )
        """
    )
    op.execute("CREATE INDEX action_running_idx ON backbone.action (id) WHERE state = 'running'")
    op.execute(
        """
        CREATE TABLE backbone.action_message (
            action uuid NOT NULL REFERENCES backbone.action (id) ON DELETE CASCADE,
            place integer NOT NULL,
            position bigint NOT NULL,
            id uuid,
            subscription text NOT NULL,
            type text NOT NULL,
            key text NOT NULL,
            fingerprint text NOT NULL,
            tries integer NOT NULL DEFAULT 0,
            outcome text,
            detail text,
            at timestamptz,
            PRIMARY KEY (action, place)
        )
        """
    )
    op.execute("CREATE INDEX action_message_position_idx ON backbone.action_message (position)")
    op.execute(
        "CREATE INDEX action_message_open_idx ON backbone.action_message (action, fingerprint, place) WHERE outcome IS NULL"
    )
    op.execute(
        """
        CREATE TABLE backbone.correction (
            position bigint NOT NULL,
            action uuid NOT NULL REFERENCES backbone.action (id) ON DELETE CASCADE,
            before bytea NOT NULL,
            after bytea NOT NULL,
            PRIMARY KEY (position, action)
        )
        """
    )
    op.execute(
        f"""
        CREATE TABLE backbone.discarded_message (
            {MESSAGE},
            action uuid NOT NULL,
            discarded_at timestamptz NOT NULL,
            PRIMARY KEY (position)
        )
        """
    )
    op.execute("CREATE INDEX discarded_message_id_idx ON backbone.discarded_message (id)")
    op.execute("CREATE INDEX discarded_message_discarded_at_idx ON backbone.discarded_message (discarded_at)")
    for table, column, comment in (
        ("failed_message", "stack", "where the exception came through, without values"),
        ("failed_message", "fingerprint", "groups what failed for one reason"),
        ("failed_message", "cause", "id of the message whose handling published this one"),
        ("failure_count", "by", "add them up: a row is a difference"),
        ("action", "verb", "replay, discard, restore, edit, redirect, reveal, export, import or expire"),
        ("action", "wanted", "which messages, as they were asked for"),
        ("action", "pace", "how a replay goes about it"),
        ("action_message", "tries", "begun, and not yet known to have survived"),
        ("action_message", "outcome", "null while it is to be done"),
        ("correction", "before", "the body before it was edited"),
    ):
        op.execute(f"COMMENT ON COLUMN backbone.{table}.{column} IS '{comment}'")


def downgrade() -> None:
    op.execute("DROP TABLE backbone.discarded_message, backbone.correction, backbone.action_message, backbone.action")
    for verb in ("insert", "delete", "update"):
        op.execute(f"DROP TRIGGER count_{verb} ON backbone.failed_message")
    op.execute("DROP FUNCTION backbone.count_failures")
    op.execute("DROP TABLE backbone.failure_count")
    for name in INDEXES:
        op.execute(f"DROP INDEX backbone.{name}")
    op.execute("ALTER TABLE backbone.failed_message DROP COLUMN cause, DROP COLUMN fingerprint, DROP COLUMN stack")
