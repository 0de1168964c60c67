"""Auth, put together."""

from broker import Service
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
)
