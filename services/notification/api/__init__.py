"""Notification over HTTP."""

from broker import Router
from services.notification.api import mine, notifications, patients, receipts, subscriptions, templates

router = Router(tags=["notification"])
for part in (mine, notifications, patients, templates, subscriptions, receipts):
    router.include_router(part.router)
