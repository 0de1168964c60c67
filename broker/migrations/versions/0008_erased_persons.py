"""Who was erased, and the persons that kept messages are found by."""

from alembic import op

revision = "backbone_0008"
down_revision = "backbone_0007"

KEPT = ("failed_message", "discarded_message")
ID = "[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}"


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE backbone.erased (
            person uuid NOT NULL,
            kind text NOT NULL,
            event_id uuid NOT NULL,
            erased_at timestamptz NOT NULL,
            noted_at timestamptz NOT NULL,
            found jsonb NOT NULL,
            CONSTRAINT erased_pkey PRIMARY KEY (person)
        )
        """
    )
    for column, comment in {
        "kind": "the field that holds such ids: user_id",
        "event_id": "the message that said so",
        "erased_at": "when it was published",
        "noted_at": "when it took effect here",
        "found": "rows with data of the person at that time, by table",
    }.items():
        op.execute(f"COMMENT ON COLUMN backbone.erased.{column} IS '{comment}'")
    op.execute(
        """
        CREATE FUNCTION backbone.erasure_lock() RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
            SELECT hashtextextended('backbone.erasure', 0)
        $$
        """
    )
    op.execute(
        """
        CREATE FUNCTION backbone.erased_among(asked uuid[]) RETURNS SETOF uuid LANGUAGE plpgsql AS $$
        BEGIN
            PERFORM pg_advisory_xact_lock_shared(backbone.erasure_lock());
            RETURN QUERY SELECT person FROM backbone.erased WHERE person = ANY (asked);
        END $$
        """
    )
    for table in KEPT:
        op.execute(f"ALTER TABLE backbone.{table} ADD persons uuid[]")
        op.execute(f"COMMENT ON COLUMN backbone.{table}.persons IS 'whose personal data may be in the body'")
        op.execute(f"ALTER TABLE backbone.{table} DISABLE TRIGGER USER")
        op.execute(
            f"""
            UPDATE backbone.{table} SET persons = found.persons
            FROM (
                SELECT position, (
                    SELECT array_agg(DISTINCT id[1]::uuid) FROM regexp_matches(encode(body, 'escape'), '({ID})', 'g') AS id
                ) AS persons FROM backbone.{table}
            ) AS found
            WHERE found.position = {table}.position AND found.persons IS NOT NULL
            """  # noqa: S608 (put together from constants)
        )
        op.execute(f"ALTER TABLE backbone.{table} ENABLE TRIGGER USER")
        op.execute(f"CREATE INDEX {table}_persons_idx ON backbone.{table} USING gin (persons) WHERE persons IS NOT NULL")


def downgrade() -> None:
    for table in KEPT:
        op.execute(f"ALTER TABLE backbone.{table} DROP COLUMN persons")
    op.execute("DROP FUNCTION backbone.erased_among")
    op.execute("DROP FUNCTION backbone.erasure_lock")
    op.execute("DROP TABLE backbone.erased")
