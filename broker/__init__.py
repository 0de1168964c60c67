"""The backbone: domain events between services, each with a database of its own.

This is the only door: services say `from broker import …`; the modules behind it are private.
"""

from broker._access import (
    OutsideSettings,
    Reading,
    Transaction,
    allow,
    allow_everywhere,
    open_to_everybody,
    token_of,
    verified_by,
)
from broker._clock import age, clock
from broker._context import Cause, caused_by, current_cause
from broker._depth import Depth, Depths
from broker._envelope import Envelope
from broker._fresh import Fresh
from broker._idempotency import Idempotent, Router
from broker._life_cycle import LifeCycle
from broker._merging import MergingReplica
from broker._outside import LEAVE, SEND_AGAIN, StoppedBeforeCall, World, ask, call, outside, send_again
from broker._pages import Page, PageRequest
from broker._problems import Problem, refusal
from broker._publishing import publish
from broker._replicas import Replica
from broker._rows import Tables, same_as, visible
from broker._schedule import schedule, unschedule
from broker._service import Retained, Service
from broker._settings import Settings
from broker._states import StateOwner, publishes_state, touch
from broker._subscriptions import Subscription, on
from broker._tokens import Principal, issue_token, new_key
from broker._views import Asked, Shown
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
    Overtaken,
    Permanent,
    PublishRefused,
    RuleBroken,
    SessionIsGuarded,
    StaleReplica,
    StateBypassed,
)

__all__ = [
    "LEAVE",
    "SEND_AGAIN",
    "Asked",
    "BackboneError",
    "Cause",
    "DeclarationError",
    "Depth",
    "Depths",
    "Envelope",
    "EventTooLarge",
    "Failure",
    "ForeignEvent",
    "Fresh",
    "Idempotent",
    "Later",
    "LifeCycle",
    "MergingReplica",
    "Newer",
    "NotFound",
    "NotYet",
    "OutsideSettings",
    "Overtaken",
    "Page",
    "PageRequest",
    "Permanent",
    "Principal",
    "Problem",
    "PublishRefused",
    "Reading",
    "Replica",
    "Retained",
    "Router",
    "RuleBroken",
    "Service",
    "SessionIsGuarded",
    "Settings",
    "Shown",
    "StaleReplica",
    "StateBypassed",
    "StateOwner",
    "StoppedBeforeCall",
    "Subscription",
    "Tables",
    "Transaction",
    "World",
    "age",
    "allow",
    "allow_everywhere",
    "ask",
    "call",
    "caused_by",
    "clock",
    "current_cause",
    "issue_token",
    "new_key",
    "on",
    "open_to_everybody",
    "outside",
    "publish",
    "publishes_state",
    "refusal",
    "same_as",
    "schedule",
    "send_again",
    "token_of",
    "touch",
    "unschedule",
    "verified_by",
    "visible",
]
