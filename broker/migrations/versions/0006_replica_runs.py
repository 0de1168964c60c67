"""Filling, checking and repairing replicas."""

from alembic import op

revision = "backbone_0006"
down_revision = "backbone_0005"


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE backbone.replica_run (
            id uuid NOT NULL,
            replica text NOT NULL,
            purpose text NOT NULL,
            state text NOT NULL,
            asked_by text NOT NULL,
            columns text[] NOT NULL,
            at text,
            is_looking_again boolean DEFAULT false NOT NULL,
            rows bigint DEFAULT 0 NOT NULL,
            failed bigint DEFAULT 0 NOT NULL,
            reason text,
            began_at timestamptz NOT NULL,
            changed_at timestamptz NOT NULL,
            ended_at timestamptz,
            CONSTRAINT replica_run_pkey PRIMARY KEY (id)
        )
        """
    )
    op.execute("COMMENT ON COLUMN backbone.replica_run.purpose IS 'fill, check, repair'")
    op.execute("COMMENT ON COLUMN backbone.replica_run.state IS 'running, done, given_up'")
    op.execute("COMMENT ON COLUMN backbone.replica_run.failed IS 'keys that differ because a message failed'")
    op.execute("COMMENT ON COLUMN backbone.replica_run.reason IS 'why it was given up'")
    op.execute("CREATE UNIQUE INDEX replica_run_running_key ON backbone.replica_run (replica) WHERE state = 'running'")
    op.execute("CREATE INDEX replica_run_replica_began_at_idx ON backbone.replica_run (replica, began_at)")
    op.execute(
        """
        CREATE TABLE backbone.replica_drift (
            run_id uuid NOT NULL,
            key text NOT NULL,
            drift text NOT NULL,
            version bigint,
            is_confirmed boolean DEFAULT false NOT NULL,
            is_repaired boolean DEFAULT false NOT NULL,
            CONSTRAINT replica_drift_pkey PRIMARY KEY (run_id, key),
            FOREIGN KEY (run_id) REFERENCES backbone.replica_run (id) ON DELETE CASCADE
        )
        """
    )
    op.execute("COMMENT ON COLUMN backbone.replica_drift.drift IS 'missing, stale, surplus, altered'")
    op.execute("COMMENT ON COLUMN backbone.replica_drift.version IS 'of the row that was seen'")


def downgrade() -> None:
    op.execute("DROP TABLE backbone.replica_drift")
    op.execute("DROP TABLE backbone.replica_run")
