"""Facility, put together."""

from broker import Service
from services.facility import api, handlers, replicas
from services.facility.tables import Base

service = Service(name="facility", port=7060, tables=Base.metadata, handlers=handlers, replicas=replicas, api=api.router)
