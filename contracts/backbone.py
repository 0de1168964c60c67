"""What the backbone says on behalf of every service: which messages failed, what is done about them, how its copies are
doing, what fills and checks its replicas, and what it answers to those who operate it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel

from contracts.event import EVERY_SERVICE, Event, Personal, StateEvent

FailedState = Literal["retrying", "waiting", "held", "dead"]
Consuming = Literal["at work", "standing by", "not consuming"]
Drift = Literal["missing", "stale", "surplus", "altered"]
"""How a replica's row differs: it is absent, of an older version, of nothing that its owner has, or of other content."""


class FailedMessageChanged(
    StateEvent, name="failed_message.changed", version=1, key="failed_message_id", publisher=EVERY_SERVICE
):
    """A message that a subscription could not handle (yet), without its body; deleted when nothing of it is open any more.

    `failed_message_id` is what people call it: `billing/17`.
    """

    failed_message_id: str
    service: str
    position: int
    message_id: UUID | None
    subscription: str
    state: FailedState
    type: str
    type_version: int
    aggregate: str
    """The key of the event: the id of what it is about."""

    flow: UUID | None
    error: str
    reason: str
    fingerprint: str
    attempts: int
    due_at: datetime | None
    waits_for: str | None
    waits_key: str | None
    first_failed_at: datetime
    last_failed_at: datetime


class FailureActionChanged(StateEvent, name="failure_action.changed", version=1, key="action_id", publisher=EVERY_SERVICE):
    """Something that a person asked for about failed messages of a service, and how far it is."""

    action_id: UUID
    service: str
    verb: str
    state: Literal["running", "done", "halted", "stopped"]
    asked_by: str
    why: str
    total: int
    outcomes: dict[str, int]
    """How many messages ended how; `left` are still to be done."""

    began_at: datetime
    ended_at: datetime | None


class OperationAnswered(Event, name="operation.answered", version=1, key="request_id", publisher=EVERY_SERVICE):
    """What a service says to `operation.requested`.

    `refusal` says why it was not done. What may hold personal data is in `sealed` alone: a JSON Web Encryption for the key of
    the request, which whoever asked keeps in memory.
    """

    request_id: UUID
    service: str
    refusal: str | None = None
    answer: dict[str, Any] | None = None
    sealed: str | None = None


class SubscriptionState(BaseModel):
    """How a copy of a service deals with one of its subscriptions."""

    name: str
    queue: str
    types: list[str]
    consuming: Consuming
    waiting: int | None
    """Messages in the queue; None while the broker does not answer."""

    waiting_since: datetime | None
    """When it was first seen that some wait; None where none do."""

    handled: int
    """Events that took effect in this copy since it started."""

    per_second: float
    """How many took effect in each second since the report before."""

    lag_seconds: float | None
    """From commit to effect, on average over those; None where none took effect."""

    latest: datetime | None
    """When the event was published that took effect last; None where none has since the copy started."""


class ReplicaState(BaseModel):
    """How a replica is being filled, checked or repaired, or was last: what it has of one owner."""

    name: str
    owner: str | None = None
    """Whose states those are, where every service publishes what it copies."""

    purpose: Literal["fill", "check", "repair"]
    state: Literal["running", "done", "given_up"]
    rows: int
    """Rows that were seen."""

    drift: int
    """Keys that were not as their owner has them."""

    began_at: datetime
    changed_at: datetime | None = None
    """When something came for it last."""

    ended_at: datetime | None
    waits_for: int | None = None
    """The position of the failed message that it waits for, which people call `billing/17`."""


class ServiceCopyChanged(StateEvent, name="service_copy.changed", version=1, key="copy_id", publisher=EVERY_SERVICE):
    """How a process that runs a service is doing.

    `copy_id` says which service and where: `lab@host:3004`. A copy that says nothing more by `next_at` is in trouble, unless
    it has ended in order.
    """

    copy_id: str
    service: str
    started_at: datetime
    reported_at: datetime
    next_at: datetime
    ended_at: datetime | None = None
    relay: Literal["active", "standing by"]
    unsent: int
    """Events that the service has published and that wait to be sent."""

    unsent_seconds: float
    """Age of the oldest of them."""

    publishes: list[str]
    """The types of its events."""

    dead_queue: str
    subscriptions: list[SubscriptionState]
    replicas: list[ReplicaState]
    """Those that were ever filled or checked."""


class ReplicaRequested(Event, name="replica.requested", version=1, key="replica", publisher=EVERY_SERVICE):
    """A replica asks the owner of what it copies for states: the next ones after a key, or those of certain keys.

    `run_id` is echoed in the answer. Every service hears it; the one that owns `type` answers with `replica.states`, or `owner`
    where every service publishes it.
    """

    replica: str
    """Its queue: `ehr.patient_reference`."""

    run_id: UUID
    type: str
    """The state event that it copies."""

    owner: str | None = None
    """The service that is asked, where every one publishes `type`; null for the one that owns it."""

    after: str | None = None
    """The last key that it has; null for the first ones."""

    keys: list[str] | None = None
    """The keys that it asks about; null for the next ones. None at all asks for a mark: an answer without states, queued behind
    everything that the owner had committed before."""

    fields: list[str] | None = None
    """The fields that it keeps; null for all."""


class ReplicaStates(Event, name="replica.states", version=1, key="replica", publisher=EVERY_SERVICE, addressed=True):
    """What an owner has in a range of keys, or of the keys that were asked about: as one statement saw it.

    The range is above `after` and up to `upto`, in the order of the keys (text by its bytes); null is without end. Whatever
    the owner has of it is in here.
    """

    replica: str
    run_id: UUID
    type: str
    type_version: int
    after: str | None
    upto: str | None
    keys: list[str] | None
    ask_after: str | None
    """Where the replica is to ask on once it handles this; null where that is not its turn, or nothing is left. Where keys were
    asked about, the last of them, in the last message that answers: the replica then asks about others, if there are any."""

    count: int
    fields: list[str]
    rows: Annotated[str, Personal(of="replica")]
    """A JSON list of the states, each a list of its fields' values: as text, so that a database can take it in as it stands."""

    refusal: str | None = None
    """Why there are no states: the service publishes the event, but keeps no objects that it could be made from."""


class ReplicaRepaired(Event, name="replica.repaired", version=1, key="replica", publisher=EVERY_SERVICE):
    """A key of a replica was not as its owner has it, and is now."""

    replica: str
    run_id: UUID
    aggregate: str
    drift: Drift
