"""What operations publishes: what people there ask of a service."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel

from contracts.event import Event, Personal

Operation = Literal["show", "reveal", "try", "replay", "discard", "restore", "edit", "redirect", "stop", "resume", "trace"]


class Wanted(BaseModel):
    """Which failed messages are meant; what is not given is not asked for."""

    subscription: str | None = None
    type: str | None = None
    states: list[str] = []
    key: str | None = None
    flow: UUID | None = None
    fingerprint: str | None = None
    text: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    positions: list[int] = []


class OperationRequested(Event, name="operation.requested", version=1, key="request_id"):
    """Somebody asks a service to do something about its failed messages, or to say what it knows of a flow.

    Every service hears it; the one that is meant answers with `operation.answered`, under the same request_id.
    """

    request_id: UUID
    service: str
    operation: Operation
    asked_by: str
    why: str
    wanted: Wanted = Wanted()
    canary: int = 1
    few: int = 10
    rate: float | None = None
    action_id: UUID | None = None
    """Of what is stopped or resumed, whose discarded messages are restored, or whose outcomes are shown."""

    outcome: str | None = None
    """The outcome that is shown of an action; None: all of them."""

    after: int = 0
    """The place in an action after which outcomes are shown."""

    body: Annotated[Any, Personal(of="body")] = None
    """A corrected body; what is masked in it stays as it was."""

    to: str | None = None
    """The subscription that messages are given to."""

    reply_key: dict[str, str] | None = None
    """A public key (JSON Web Key, OKP X25519) to which an answer with personal data is sealed."""

    asked_at: datetime | None = None
    until: datetime | None = None
    """The service refuses what it has not begun by then: nobody waits for it any more."""


class OperationWithdrawn(Event, name="operation.withdrawn", version=1, key="request_id"):
    """Somebody takes back what was asked of a service, which does not begin it then.

    What it had begun goes on. It answers to `operation.requested` either way.
    """

    request_id: UUID
    service: str
    withdrawn_by: str
