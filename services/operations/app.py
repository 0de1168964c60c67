"""Operations."""

from __future__ import annotations

from broker import Service
from services.operations import api, handlers, pages, replicas
from services.operations.tables import Base

service = Service(
    name="operations",
    port=8080,
    tables=Base.metadata,
    handlers=handlers,
    replicas=replicas,
    api=api.router,
    pages=pages.router,
    trouble=pages.trouble,
)
