"""The clinical service."""

from __future__ import annotations

from broker import Service
from services.clinical import api, handlers, replicas
from services.clinical.tables import Base

service = Service(name="clinical", port=7110, tables=Base.metadata, handlers=handlers, replicas=replicas, api=api.router)
