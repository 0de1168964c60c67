"""A device is that of whoever registered it last."""

from alembic import op

revision = "notification_0003"
down_revision = "notification_0002"


def upgrade() -> None:
    op.execute(
        """
        DELETE FROM addresses former USING addresses later
        WHERE former.channel = 'push' AND later.channel = 'push' AND former.address = later.address
            AND (former.known_since, former.address_id) < (later.known_since, later.address_id)
        """
    )
    op.execute("CREATE UNIQUE INDEX addresses_device_key ON addresses (address) WHERE channel = 'push'")


def downgrade() -> None:
    op.execute("DROP INDEX addresses_device_key")
