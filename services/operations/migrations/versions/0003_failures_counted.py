"""Failed messages are counted as they change, and found by an index for each way to look at them."""

from alembic import op

revision = "operations_0003"
down_revision = "operations_0002"

FORMERLY = {
    "failed_message_reference_group_idx": "(service, heard_by, state, fingerprint)",
    "failed_message_reference_fingerprint_idx": "(fingerprint)",
    "failed_message_reference_first_failed_at_id_idx": "(first_failed_at, id)",
}
INDEXES = {
    "failed_message_reference_group_idx": "(service, heard_by, state, fingerprint, first_failed_at, id)",
    "failed_message_reference_fingerprint_idx": "(fingerprint, first_failed_at, id)",
    "failed_message_reference_state_idx": "(state, first_failed_at, id)",
    "failed_message_reference_type_idx": "(type, first_failed_at, id)",
    "failed_message_reference_first_failed_at_id_idx": "(first_failed_at, id)",
}
KIND = "service, heard_by, type, state, fingerprint"
ADDED = f"SELECT {KIND}, 1 AS by FROM added WHERE NOT deleted"  # noqa: S608 (put together from constants)
REMOVED = f"SELECT {KIND}, -1 AS by FROM removed WHERE NOT deleted"  # noqa: S608 (put together from constants)
TRIGGERS = {
    "insert": ("NEW TABLE AS added", ADDED),
    "delete": ("OLD TABLE AS removed", REMOVED),
    "update": ("OLD TABLE AS removed NEW TABLE AS added", f"{ADDED} UNION ALL {REMOVED}"),
}


def upgrade() -> None:
    for name in FORMERLY:
        op.execute(f"DROP INDEX {name}")
    for name, columns in INDEXES.items():
        op.execute(f"CREATE INDEX {name} ON failed_message_reference {columns} WHERE NOT deleted")
    op.execute(
        """
        CREATE TABLE failure_counts (
            service text NOT NULL,
            heard_by text NOT NULL,
            type text NOT NULL,
            state text NOT NULL,
            fingerprint text NOT NULL,
            count bigint NOT NULL,
            CONSTRAINT failure_counts_pkey PRIMARY KEY (service, heard_by, type, state, fingerprint)
        )
        """
    )
    op.execute("COMMENT ON COLUMN failure_counts.count IS 'kept by triggers on failed_message_reference'")
    for verb, (referencing, moved) in TRIGGERS.items():
        op.execute(
            f"""
            CREATE FUNCTION count_failures_{verb}() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                INSERT INTO failure_counts AS kept
                SELECT {KIND}, sum(by) FROM ({moved}) AS moved GROUP BY {KIND} HAVING sum(by) <> 0 ORDER BY {KIND}
                ON CONFLICT ({KIND}) DO UPDATE SET count = kept.count + excluded.count;
                RETURN NULL;
            END $$
            """  # noqa: S608 (put together from constants)
        )
        op.execute(
            f"CREATE TRIGGER count_{verb} AFTER {verb} ON failed_message_reference REFERENCING {referencing}"
            f" FOR EACH STATEMENT EXECUTE FUNCTION count_failures_{verb}()"
        )
    op.execute(
        f"INSERT INTO failure_counts SELECT {KIND}, count(*) FROM failed_message_reference"  # noqa: S608
        f" WHERE NOT deleted GROUP BY {KIND}"
    )


def downgrade() -> None:
    for verb in TRIGGERS:
        op.execute(f"DROP TRIGGER count_{verb} ON failed_message_reference")
        op.execute(f"DROP FUNCTION count_failures_{verb}")
    op.execute("DROP TABLE failure_counts")
    for name in INDEXES:
        op.execute(f"DROP INDEX {name}")
    for name, columns in FORMERLY.items():
        op.execute(f"CREATE INDEX {name} ON failed_message_reference {columns}")
