"""Auth, put together."""

from broker import Retained, Service
from services.auth import api, handlers, replicas, vault
from services.auth.tables import Base

service = Service(
    name="auth",
    port=7020,
    tables=Base.metadata,
    handlers=handlers,
    replicas=replicas,
    api=api.router,
    secrets=(vault.SECRET,),
    retained=(
        Retained("auth_users", "user_id", "the bare id, so that nobody gets it again"),
        Retained("auth_audit_logs", "user_id", "who did what under a bare id, as GDPR Article 5(2) asks to be shown"),
    ),
)
