"""Words of failed messages are summed up by spans of positions, and not indexed message by message."""

from alembic import op

revision = "backbone_0016"
down_revision = "backbone_0015"

SPAN = 64
"""Positions of a span. The sentences of so many messages are shorter than a tsvector may be."""

NOBODY_WRITES = "LOCK TABLE backbone.failed_message IN SHARE ROW EXCLUSIVE MODE"
"""What comes from here on is noted by triggers, and what was there before is seen: nothing in between."""


def upgrade() -> None:
    op.execute(NOBODY_WRITES)
    op.execute("DROP INDEX backbone.failed_message_words_idx")
    op.execute("CREATE TABLE backbone.word_summary (span bigint NOT NULL, words tsvector)")
    op.execute("CREATE INDEX word_summary_words_idx ON backbone.word_summary USING gin (words) WHERE words IS NOT NULL")
    op.execute("CREATE INDEX word_summary_changed_idx ON backbone.word_summary (span) WHERE words IS NULL")
    op.execute(f"COMMENT ON COLUMN backbone.word_summary.span IS 'of failed messages: position / {SPAN}'")
    op.execute("COMMENT ON COLUMN backbone.word_summary.words IS 'of all its messages; null: something in it has changed'")
    op.execute(
        f"""
        CREATE FUNCTION backbone.note_changed_words() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF TG_OP = 'INSERT' THEN
                INSERT INTO backbone.word_summary SELECT DISTINCT position / {SPAN} FROM added;
            ELSIF TG_OP = 'DELETE' THEN
                INSERT INTO backbone.word_summary SELECT DISTINCT position / {SPAN} FROM removed;
            ELSE
                INSERT INTO backbone.word_summary
                SELECT DISTINCT position / {SPAN} FROM added JOIN removed USING (position) WHERE added.words <> removed.words;
            END IF;
            RETURN NULL;
        END $$
        """  # noqa: S608 (put together from constants)
    )
    for name, tables in {
        "insert": "NEW TABLE AS added",
        "update": "OLD TABLE AS removed NEW TABLE AS added",
        "delete": "OLD TABLE AS removed",
    }.items():
        op.execute(
            f"CREATE TRIGGER words_on_{name} AFTER {name.upper()} ON backbone.failed_message"
            f" REFERENCING {tables} FOR EACH STATEMENT EXECUTE FUNCTION backbone.note_changed_words()"
        )
    op.execute(
        """
        CREATE FUNCTION backbone.spans_saying(said tsquery, first bigint) RETURNS SETOF bigint
        LANGUAGE sql STABLE SET enable_seqscan = off AS $$
            SELECT span FROM backbone.word_summary WHERE words @@ said AND span >= first
            UNION
            SELECT span FROM backbone.word_summary WHERE words IS NULL AND span >= first
        $$
        """
    )
    op.execute(
        f"INSERT INTO backbone.word_summary SELECT DISTINCT position / {SPAN} FROM backbone.failed_message"  # noqa: S608
    )


def downgrade() -> None:
    op.execute(NOBODY_WRITES)
    for name in ("insert", "update", "delete"):
        op.execute(f"DROP TRIGGER words_on_{name} ON backbone.failed_message")
    op.execute("DROP FUNCTION backbone.spans_saying, backbone.note_changed_words")
    op.execute("DROP TABLE backbone.word_summary")
    op.execute("CREATE INDEX failed_message_words_idx ON backbone.failed_message USING gin (words)")
