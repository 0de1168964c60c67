"""Operations."""

from __future__ import annotations

from broker import Service
from services.operations import api, handlers, replicas
from services.operations.tables import Base

service = Service(name="operations", port=8080, tables=Base.metadata, handlers=handlers, replicas=replicas, api=api.router)
