"""The lab."""

from __future__ import annotations

from broker import Service
from services.lab import api, handlers, replicas
from services.lab.tables import Base

service = Service(name="lab", port=7080, tables=Base.metadata, handlers=handlers, replicas=replicas, api=api.router)
