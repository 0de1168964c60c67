"""Facilities."""

from alembic import op

revision = "facility_0001"
down_revision = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE facilities (
            facility_id uuid NOT NULL,
            name text NOT NULL,
            kind text NOT NULL,
            status text NOT NULL,
            time_zone text NOT NULL,
            currency text NOT NULL,
            opened_at timestamptz NOT NULL,
            state_version bigint NOT NULL,
            CONSTRAINT facilities_pkey PRIMARY KEY (facility_id)
        )
        """
    )
    op.execute("COMMENT ON COLUMN facilities.time_zone IS 'IANA'")
    op.execute("COMMENT ON COLUMN facilities.currency IS 'ISO 4217'")
