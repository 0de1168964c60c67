"""To whom personal data in failed messages was given out."""

from alembic import op

revision = "backbone_0010"
down_revision = "backbone_0009"


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE backbone.disclosure (
            person uuid NOT NULL,
            action uuid NOT NULL,
            messages integer NOT NULL,
            CONSTRAINT disclosure_pkey PRIMARY KEY (person, action),
            FOREIGN KEY (action) REFERENCES backbone.action (id) ON DELETE CASCADE
        )
        """
    )
    op.execute("COMMENT ON COLUMN backbone.disclosure.messages IS 'of the person, that were shown or exported'")
    op.execute("CREATE INDEX disclosure_action_idx ON backbone.disclosure (action)")


def downgrade() -> None:
    op.execute("DROP TABLE backbone.disclosure")
