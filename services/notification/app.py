"""Notification, put together."""

from broker import Retained, Service
from services.notification import api, handlers, outside, replicas
from services.notification.tables import Base

service = Service(
    name="notification",
    port=3002,
    tables=Base.metadata,
    handlers=handlers,
    replicas=replicas,
    outside=outside,
    api=api.router,
    secrets=("message_gateway_secret",),
    retained=(
        Retained("notifications", "recipient_id", "that something was sent to a bare id, and when: not what, nor where"),
    ),
)
