"""Billing, put together."""

from broker import Service
from services.billing import api, handlers, replicas
from services.billing.tables import Base

service = Service(name="billing", port=7050, tables=Base.metadata, handlers=handlers, replicas=replicas, api=api.router)
