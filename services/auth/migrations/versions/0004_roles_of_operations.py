"""The roles of operations."""

from alembic import op
from sqlalchemy import text

revision = "auth_0004"
down_revision = "auth_0003"

ROLES = {
    "operations_viewer": "Sees which messages failed, and tries them.",
    "operator": "Replays, corrects and discards messages that failed.",
}


def upgrade() -> None:
    rows = [{"code": code, "description": description} for code, description in ROLES.items()]
    op.get_bind().execute(text("INSERT INTO auth_roles (code, description) VALUES (:code, :description)"), rows)


def downgrade() -> None:
    op.get_bind().execute(text("DELETE FROM auth_roles WHERE code = ANY(:codes)"), {"codes": list(ROLES)})
