"""A device goes to who registers it also where code of an earlier release does, which knows one row for each of its users."""

from alembic import op

revision = "notification_0004"
down_revision = "notification_0003"


def upgrade() -> None:
    op.execute(
        """
        CREATE FUNCTION leave_the_device() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN
            PERFORM pg_advisory_xact_lock(hashtextextended('notification device ' || NEW.address, 0));
            DELETE FROM addresses WHERE channel = 'push' AND address = NEW.address
                AND (recipient_kind, recipient_id) <> (NEW.recipient_kind, NEW.recipient_id);
            RETURN NEW;
        END $$
        """
    )
    op.execute(
        "CREATE TRIGGER former_user_leaves_the_device BEFORE INSERT ON addresses FOR EACH ROW"
        " WHEN (NEW.channel = 'push') EXECUTE FUNCTION leave_the_device()"
    )


def downgrade() -> None:
    op.execute("DROP TRIGGER former_user_leaves_the_device ON addresses")
    op.execute("DROP FUNCTION leave_the_device")
