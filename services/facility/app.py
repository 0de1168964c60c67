"""Facility, put together."""

from broker import Service
from services.facility import api
from services.facility.tables import Base

service = Service(name="facility", port=7060, tables=Base.metadata, api=api.router)
