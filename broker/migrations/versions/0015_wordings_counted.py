"""How many failed messages of each wording there are, kept as the counts of groups are."""

from alembic import op

revision = "backbone_0015"
down_revision = "backbone_0014"

GROUPS = """
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
"""
WORDINGS = GROUPS.replace("failure_count", "wording_count").replace("fingerprint", "wording")

NOBODY_WRITES = "LOCK TABLE backbone.failed_message IN SHARE ROW EXCLUSIVE MODE"
"""What is counted from here on is counted by the other function, and what was there before is seen: nothing in between."""


def _count(statements: str) -> None:
    op.execute(
        f"""
        CREATE OR REPLACE FUNCTION backbone.count_failures() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            {statements}
            RETURN NULL;
        END $$
        """
    )


def upgrade() -> None:
    op.execute(NOBODY_WRITES)
    op.execute(
        """
        CREATE TABLE backbone.wording_count (
            subscription text NOT NULL,
            state text NOT NULL,
            wording uuid NOT NULL,
            by bigint NOT NULL
        )
        """
    )
    op.execute("CREATE INDEX wording_count_wording_idx ON backbone.wording_count (subscription, state, wording)")
    op.execute("COMMENT ON COLUMN backbone.wording_count.by IS 'add them up: a row is a difference'")
    _count(GROUPS + WORDINGS)
    op.execute(
        "INSERT INTO backbone.wording_count"
        " SELECT subscription, state, wording, count(*) FROM backbone.failed_message GROUP BY 1, 2, 3"
    )


def downgrade() -> None:
    op.execute(NOBODY_WRITES)
    _count(GROUPS)
    op.execute("DROP TABLE backbone.wording_count")
