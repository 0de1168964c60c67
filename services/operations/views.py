"""What operations takes and shows."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import AwareDatetime, BeforeValidator, Field

from broker import Asked, Shown
from contracts.backbone import FailedState, ReplicaState
from contracts.operations import Operation, Wanted
from services.operations.rules import RequestState

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_\-]{0,62}$")]
Text = Annotated[str, Field(max_length=500)]


def _is_written_out(moment: object) -> object:
    if isinstance(moment, str) and not re.match(r"\d{4}-\d{2}-\d{2}", moment):
        raise ValueError("2026-11-28T03:00:00Z is a moment, a number is none")
    return moment


Moment = Annotated[AwareDatetime, BeforeValidator(_is_written_out)]
"""A moment in a query, by RFC 3339."""


def _dead() -> list[FailedState]:
    return ["dead"]


class Messages(Asked):
    """Which failed messages of the service are meant: of its dead ones, those that are like this."""

    subscription: Name | None = None
    type: Text | None = None
    states: Annotated[list[FailedState], Field(max_length=4)] = Field(default_factory=_dead)
    key: Text | None = None
    flow: UUID | None = None
    fingerprint: Text | None = None
    text: Text | None = None
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None
    positions: Annotated[list[Annotated[int, Field(ge=1, lt=2**62)]], Field(max_length=1000)] = Field(default_factory=list)

    def wanted(self) -> Wanted:
        """As services are told."""
        states = [] if self.positions else self.states
        return Wanted(**self.model_dump() | {"states": states})


class NewRequest(Asked):
    """What a service is asked for."""

    service: Name
    operation: Operation
    why: Text = ""
    messages: Messages = Messages()
    canary: Annotated[int, Field(ge=1, le=1000)] = 1
    few: Annotated[int, Field(ge=0, le=10_000)] = 10
    rate: Annotated[float, Field(gt=0, le=100_000)] | None = None
    action_id: UUID | None = None
    outcome: Text | None = None
    after: Annotated[int, Field(ge=0, lt=2**31)] = 0
    body: Any = None
    """A corrected body; what is masked in it stays as it was."""

    to: Name | None = None
    reply_key: Annotated[dict[str, str], Field(max_length=10)] | None = None
    """Public key (JSON Web Key, OKP X25519) that personal data is sealed to."""


class Request(Shown):
    """What was asked, and the answer, as far as there is one."""

    request_id: UUID
    service: str
    operation: Operation
    state: RequestState
    asked_at: datetime
    until: datetime
    refusal: str | None
    answer: dict[str, Any] | None
    sealed: str | None


class WaitingRequest(Shown):
    """What a service was asked to do. `until`: when it lets be what it has not begun."""

    request_id: UUID
    service: str
    operation: Operation
    asked_by: str
    why: str
    asked_at: datetime
    until: datetime
    withdrawn_by: str | None
    state: RequestState


class FailedMessage(Shown):
    """A failed message, without what it says."""

    id: str
    service: str
    position: int
    message_id: UUID | None
    subscription: Annotated[str, Field(validation_alias="heard_by")]
    state: FailedState
    type: str
    type_version: int
    aggregate: str
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


class Group(Shown):
    """What failed for one reason in one subscription. `last_hour`: how many failed first within it, up to a thousand."""

    service: str
    subscription: str
    state: FailedState
    fingerprint: str
    type: str
    count: int
    oldest: datetime
    newest: datetime
    last_hour: int
    reason: str


class Aggregate(Shown):
    """Something that people have a number for. `owner`: the service to ask for its flows."""

    kind: str
    owner: str
    id: UUID
    facility_id: UUID


class FailureAction(Shown):
    """What somebody did about failed messages of a service."""

    id: UUID
    service: str
    verb: str
    state: str
    asked_by: str
    why: str
    total: int
    outcomes: dict[str, int]
    began_at: datetime
    ended_at: datetime | None


class Queue(Shown):
    """A subscription and its queue. `waiting` is null where nobody knows; `lag_seconds` is from commit to effect."""

    name: str
    subscription: str
    types: list[str]
    is_taken: bool
    waiting: int | None
    waiting_since: datetime | None
    per_second: float
    lag_seconds: float | None
    handled: int
    failed: dict[str, int]
    troubles: list[str]


class ServiceCopy(Shown):
    """A process that runs a service."""

    name: str
    started_at: datetime
    reported_at: datetime
    ended_at: datetime | None
    relay: str
    is_silent: bool


class ServiceState(Shown):
    """How a service is doing. `troubles`: what is wrong with it, as sentences; `unsent`: events that wait to be sent."""

    name: str
    troubles: list[str]
    copies: list[ServiceCopy]
    publishes: list[str]
    unsent: int
    unsent_since: datetime | None
    given_up: int | None
    queues: list[Queue]
    replicas: list[ReplicaState]
