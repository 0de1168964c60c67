"""Words of failed messages are kept with them, and messages whose sentences differ in values alone are found together."""

from alembic import op

revision = "backbone_0012"
down_revision = "backbone_0011"

VALUE = "[[:alnum:]-]*[0-9][[:alnum:]-]*"
"""What has a digit in it: an id, an amount, a day."""

GAP = "[^[:alnum:]]+"
LONGEST = 500
"""Characters of a word, at most: PostgreSQL refuses words of more than 2,046 bytes."""

FORMER_INDEX = "USING gin (to_tsvector('simple', regexp_replace(fingerprint || ' ' || reason, '[^[:alnum:]]+', ' ', 'g')))"


def upgrade() -> None:
    op.execute(
        f"""
        CREATE FUNCTION backbone.words_of(fingerprint text, reason text) RETURNS tsvector
        LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
            SELECT array_to_tsvector(ARRAY(
                SELECT left(word, {LONGEST})
                FROM regexp_split_to_table(
                    lower(fingerprint || ' ' || regexp_replace(reason, '{VALUE}', ' ', 'g')), '{GAP}'
                ) AS word
                WHERE word <> ''
                UNION ALL
                SELECT '=' || left(word, {LONGEST})
                FROM regexp_matches(reason, '{VALUE}', 'g') AS value, regexp_split_to_table(lower(value[1]), '{GAP}') AS word
                WHERE word <> ''
            ))
        $$
        """  # noqa: S608 (put together from constants)
    )
    op.execute(
        f"""
        CREATE FUNCTION backbone.wording_of(fingerprint text, reason text) RETURNS uuid
        LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
            SELECT md5(fingerprint || ' ' || regexp_replace(reason, '{VALUE}', ' ', 'g'))::uuid
        $$
        """
    )
    op.execute(
        """
        ALTER TABLE backbone.failed_message
            ADD words tsvector NOT NULL GENERATED ALWAYS AS (backbone.words_of(fingerprint, reason)) STORED,
            ADD wording uuid NOT NULL GENERATED ALWAYS AS (backbone.wording_of(fingerprint, reason)) STORED
        """
    )
    op.execute("COMMENT ON COLUMN backbone.failed_message.words IS 'of fingerprint and reason; = before those of a value'")
    op.execute("COMMENT ON COLUMN backbone.failed_message.wording IS 'the same for those that differ in values alone'")
    op.execute("DROP INDEX backbone.failed_message_words_idx")
    op.execute("CREATE INDEX failed_message_words_idx ON backbone.failed_message USING gin (words)")
    op.execute("CREATE INDEX failed_message_wording_idx ON backbone.failed_message (subscription, state, wording, position)")


def downgrade() -> None:
    op.execute("ALTER TABLE backbone.failed_message DROP words, DROP wording")
    op.execute("DROP FUNCTION backbone.words_of, backbone.wording_of")
    op.execute(f"CREATE INDEX failed_message_words_idx ON backbone.failed_message {FORMER_INDEX}")
