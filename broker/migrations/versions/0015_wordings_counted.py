"""How many failed messages of each wording there are, kept as the counts of groups are."""

from alembic import op

revision = "backbone_0015"
down_revision = "backbone_0014"

WORDED = "subscription, state, fingerprint, wording"

BY_WORDING = f"""
    CREATE OR REPLACE FUNCTION backbone.count_failures() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP = 'INSERT' THEN
            WITH moved AS (SELECT {WORDED}, count(*) AS by FROM added GROUP BY {WORDED}),
                 worded AS (INSERT INTO backbone.wording_count SELECT subscription, state, wording, by FROM moved)
            INSERT INTO backbone.failure_count
            SELECT subscription, state, fingerprint, sum(by) FROM moved GROUP BY 1, 2, 3;
        ELSIF TG_OP = 'DELETE' THEN
            WITH moved AS (SELECT {WORDED}, -count(*) AS by FROM removed GROUP BY {WORDED}),
                 worded AS (INSERT INTO backbone.wording_count SELECT subscription, state, wording, by FROM moved)
            INSERT INTO backbone.failure_count
            SELECT subscription, state, fingerprint, sum(by) FROM moved GROUP BY 1, 2, 3;
        ELSE
            WITH moved AS (
                     SELECT {WORDED}, sum(by) AS by FROM (
                         SELECT {WORDED}, 1 AS by FROM added UNION ALL SELECT {WORDED}, -1 FROM removed
                     ) AS changed GROUP BY {WORDED} HAVING sum(by) <> 0
                 ),
                 worded AS (INSERT INTO backbone.wording_count SELECT subscription, state, wording, by FROM moved)
            INSERT INTO backbone.failure_count
            SELECT subscription, state, fingerprint, sum(by) FROM moved GROUP BY 1, 2, 3 HAVING sum(by) <> 0;
        END IF;
        RETURN NULL;
    END $$
"""  # noqa: S608 (put together from constants)

BY_GROUP = """
    CREATE OR REPLACE FUNCTION backbone.count_failures() RETURNS trigger LANGUAGE plpgsql AS $$
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

NOBODY_WRITES = "LOCK TABLE backbone.failed_message IN SHARE ROW EXCLUSIVE MODE"
"""What is counted from here on is counted by the other function, and what was there before is seen: nothing in between."""


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
    op.execute(BY_WORDING)
    op.execute(
        "INSERT INTO backbone.wording_count"
        " SELECT subscription, state, wording, count(*) FROM backbone.failed_message GROUP BY 1, 2, 3"
    )


def downgrade() -> None:
    op.execute(NOBODY_WRITES)
    op.execute(BY_GROUP)
    op.execute("DROP TABLE backbone.wording_count")
