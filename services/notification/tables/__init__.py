"""The tables that notification owns."""

from services.notification.tables.base import Base
from services.notification.tables.notifications import Delivery, Notification
from services.notification.tables.people import Address, ContactHours, Preference, Subscription
from services.notification.tables.templates import Template, TemplateVersion

__all__ = [
    "Address",
    "Base",
    "ContactHours",
    "Delivery",
    "Notification",
    "Preference",
    "Subscription",
    "Template",
    "TemplateVersion",
]
