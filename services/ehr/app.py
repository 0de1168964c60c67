"""The electronic health record."""

from __future__ import annotations

from broker import Service
from services.ehr import api, handlers, replicas
from services.ehr.tables import Base

service = Service(name="ehr", port=4001, tables=Base.metadata, handlers=handlers, replicas=replicas, api=api.router)
