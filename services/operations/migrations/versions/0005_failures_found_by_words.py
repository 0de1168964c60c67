"""Failed messages are found by words of what they failed for."""

from alembic import op

revision = "operations_0005"
down_revision = "operations_0004"


def upgrade() -> None:
    op.execute(
        """
        CREATE FUNCTION failure_words(fingerprint text, reason text) RETURNS tsvector
        LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
            SELECT array_to_tsvector(ARRAY(
                SELECT left(word, 500) -- PostgreSQL refuses words of more than 2,046 bytes
                FROM regexp_split_to_table(lower(fingerprint || ' ' || reason), '[^[:alnum:]]+') AS word
                WHERE word <> ''
            ))
        $$
        """
    )
    op.execute(
        "CREATE INDEX failed_message_reference_words_idx ON failed_message_reference"
        " USING gin (failure_words(fingerprint, reason)) WHERE NOT deleted"
    )


def downgrade() -> None:
    op.execute("DROP INDEX failed_message_reference_words_idx")
    op.execute("DROP FUNCTION failure_words")
