"""The backbone: domain events between services, each with a database of its own.

This is the only door: services say `from broker import …`; the modules behind it are private.
"""

from broker._clock import clock
from broker._envelope import Envelope
from broker._publishing import publish
from broker._service import Service
from broker._settings import Settings
from broker._subscriptions import on
from broker.errors import (
    BackboneError,
    DeclarationError,
    EventTooLarge,
    Failure,
    ForeignEvent,
    Later,
    Newer,
    NotFound,
    NotYet,
    Permanent,
    PublishRefused,
    RuleBroken,
    SessionIsGuarded,
    StateBypassed,
)

__all__ = [
    "BackboneError",
    "DeclarationError",
    "Envelope",
    "EventTooLarge",
    "Failure",
    "ForeignEvent",
    "Later",
    "Newer",
    "NotFound",
    "NotYet",
    "Permanent",
    "PublishRefused",
    "RuleBroken",
    "Service",
    "SessionIsGuarded",
    "Settings",
    "StateBypassed",
    "clock",
    "on",
    "publish",
]
