"""Payment, put together."""

from broker import Service
from services.payment import api, handlers, outside, replicas
from services.payment.tables import Base

service = Service(
    name="payment",
    port=7030,
    tables=Base.metadata,
    handlers=handlers,
    replicas=replicas,
    outside=outside,
    api=api.router,
)
