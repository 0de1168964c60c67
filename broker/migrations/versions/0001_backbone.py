"""The backbone's tables."""

from alembic import op

revision = "backbone_0001"
down_revision = None


def upgrade() -> None:
    op.execute("CREATE SCHEMA backbone")
    op.execute("CREATE SEQUENCE backbone.outbox_position")
    op.execute("CREATE SEQUENCE backbone.state_version")
    op.execute(
        """
        CREATE TABLE backbone.outbox (
            slot smallint NOT NULL,
            position bigint NOT NULL,
            id uuid NOT NULL,
            type text NOT NULL,
            key text NOT NULL,
            version integer NOT NULL,
            sequence bigint NOT NULL,
            flow uuid NOT NULL,
            cause uuid,
            trace text,
            occurred_at timestamptz NOT NULL,
            body bytea NOT NULL
        ) PARTITION BY LIST (slot)
        """
    )
    op.execute("COMMENT ON COLUMN backbone.outbox.sequence IS 'the aggregate''s version, or the position'")
    op.execute("COMMENT ON COLUMN backbone.outbox.flow IS 'correlation id'")
    op.execute("COMMENT ON COLUMN backbone.outbox.cause IS 'id of the message whose handling published this one'")
    op.execute("COMMENT ON COLUMN backbone.outbox.trace IS 'W3C traceparent'")
    op.execute("CREATE INDEX outbox_position_idx ON backbone.outbox (position)")
    for slot in range(3):
        op.execute(f"CREATE TABLE backbone.outbox_{slot} PARTITION OF backbone.outbox FOR VALUES IN ({slot})")
    op.execute(
        """
        CREATE TABLE backbone.outbox_state (
            one boolean DEFAULT true CONSTRAINT outbox_state_pkey PRIMARY KEY CHECK (one),
            slot smallint NOT NULL,
            low_water bigint NOT NULL
        )
        """
    )
    op.execute("INSERT INTO backbone.outbox_state (slot, low_water) VALUES (0, 0)")
    op.execute(
        """
        CREATE TABLE backbone.published (
            id uuid PRIMARY KEY,
            position bigint NOT NULL,
            type text NOT NULL,
            key text NOT NULL,
            sequence bigint NOT NULL,
            flow uuid NOT NULL,
            cause uuid,
            occurred_at timestamptz NOT NULL,
            relayed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            subscriptions text[] NOT NULL
        )
        """
    )
    op.execute("CREATE INDEX published_flow_idx ON backbone.published (flow)")
    op.execute(
        """
        CREATE TABLE backbone.inbox (
            id uuid,
            subscription text,
            position bigint GENERATED ALWAYS AS IDENTITY,
            key text NOT NULL,
            flow uuid,
            handled_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            PRIMARY KEY (id, subscription)
        ) PARTITION BY RANGE (id)
        """
    )
    op.execute("COMMENT ON COLUMN backbone.inbox.position IS 'order of taking effect'")
    op.execute("CREATE TABLE backbone.inbox_default PARTITION OF backbone.inbox DEFAULT")
    op.execute(
        """
        CREATE TABLE backbone.failed_message (
            position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            subscription text NOT NULL,
            id uuid,
            state text NOT NULL CHECK (state IN ('retrying', 'waiting', 'held', 'dead')),
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
            CONSTRAINT failed_message_subscription_id_key UNIQUE (subscription, id)
        )
        """
    )
    for column, comment in {
        "position": "order of arrival",
        "id": "null when the message came without a usable one",
        "state": "retrying, waiting, held or dead",
        "exchange": "as the broker reported it",
        "routing_key": "as the broker reported it",
        "properties": "AMQP properties and headers",
        "error": "class of the exception",
        "reason": "one sentence without personal data",
        "waits_for": "replica",
        "waits_key": "key in that replica",
    }.items():
        op.execute(f"COMMENT ON COLUMN backbone.failed_message.{column} IS '{comment}'")
    op.execute("CREATE INDEX failed_message_subscription_key_idx ON backbone.failed_message (subscription, key)")
    op.execute("CREATE INDEX failed_message_due_idx ON backbone.failed_message (due_at) WHERE state = 'retrying'")
    op.execute(
        "CREATE INDEX failed_message_waits_idx ON backbone.failed_message (waits_for, waits_key) WHERE state = 'waiting'"
    )
    op.execute("CREATE TABLE backbone.held_key (subscription text, key text, PRIMARY KEY (subscription, key))")
    op.execute(
        "CREATE TABLE backbone.attempt (subscription text, id uuid, count integer NOT NULL, PRIMARY KEY (subscription, id))"
    )
    op.execute(
        """
        CREATE TABLE backbone.schedule (
            name text PRIMARY KEY,
            due_at timestamptz NOT NULL,
            type text NOT NULL,
            key text NOT NULL,
            version integer NOT NULL,
            flow uuid NOT NULL,
            cause uuid,
            trace text,
            body bytea NOT NULL
        )
        """
    )
    op.execute("CREATE INDEX schedule_due_at_idx ON backbone.schedule (due_at)")
    op.execute(
        """
        CREATE TABLE backbone.call (
            id uuid PRIMARY KEY,
            position bigint GENERATED ALWAYS AS IDENTITY,
            name text NOT NULL,
            key text NOT NULL,
            state text NOT NULL CHECK (state IN ('pending', 'sending', 'unknown', 'received', 'answered', 'given_up')),
            request jsonb NOT NULL,
            outcome jsonb,
            attempts integer NOT NULL DEFAULT 0,
            due_at timestamptz NOT NULL,
            error text,
            flow uuid NOT NULL,
            cause uuid,
            trace text,
            created_at timestamptz NOT NULL
        )
        """
    )
    op.execute("COMMENT ON COLUMN backbone.call.id IS 'idempotency key'")
    op.execute("COMMENT ON COLUMN backbone.call.state IS 'pending, sending, unknown, received, answered or given_up'")
    op.execute("COMMENT ON COLUMN backbone.call.outcome IS 'once it is known'")
    for index, columns in {"call_open_idx": "due_at", "call_key_idx": "name, key, position"}.items():
        op.execute(
            f"CREATE INDEX {index} ON backbone.call ({columns}) WHERE state IN ('pending', 'sending', 'unknown', 'received')"
        )
    op.execute("CREATE TABLE backbone.clock (one boolean DEFAULT true PRIMARY KEY CHECK (one), shift interval NOT NULL)")
    op.execute("INSERT INTO backbone.clock (shift) VALUES (interval '0')")
    op.execute(
        """
        CREATE TABLE backbone.idempotency (
            key text,
            principal text,
            route text,
            request_hash bytea NOT NULL,
            status smallint NOT NULL,
            body bytea NOT NULL,
            created_at timestamptz NOT NULL,
            PRIMARY KEY (key, principal, route)
        )
        """
    )


def downgrade() -> None:
    op.execute("DROP SCHEMA backbone CASCADE")
