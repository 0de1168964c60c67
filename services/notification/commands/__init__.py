"""What notification can be asked to do. Each command takes the session of its transaction and publishes into it."""

from services.notification.commands.announcing import announce, tell
from services.notification.commands.answers import hear, take_receipt
from services.notification.commands.digests import send_digest
from services.notification.commands.dispatching import go_on
from services.notification.commands.erasure import erase_user
from services.notification.commands.reading import acknowledge, send
from services.notification.commands.templates import register_template
from services.notification.commands.wishes import (
    Hours,
    enable_address,
    follow,
    forget_device,
    register_device,
    set_contact_hours,
    set_preference,
    unfollow,
)

__all__ = [
    "Hours",
    "acknowledge",
    "announce",
    "enable_address",
    "erase_user",
    "follow",
    "forget_device",
    "go_on",
    "hear",
    "register_device",
    "register_template",
    "send",
    "send_digest",
    "set_contact_hours",
    "set_preference",
    "take_receipt",
    "tell",
    "unfollow",
]
