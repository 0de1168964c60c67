"""What can go wrong on the backbone, drawn by what a caller can do about it.

BackboneError
├── DeclarationError          a service is declared wrongly: it does not start
├── PublishRefused            an event may not be published as asked
│   ├── ForeignEvent            it belongs to another service
│   └── EventTooLarge           its body is over the limit
├── StateBypassed             a change to an aggregate went past its published state
├── SessionIsGuarded          a handler tried to end the transaction it runs in
└── Failure                   a message could not be handled; the subclass says what happens next
    ├── Later                   needs time: tried again with growing pauses
    │   ├── Overtaken               an aggregate was changed by somebody else meanwhile
    │   ├── ReplicaLag              a replica does not have what its reader has written elsewhere
    │   └── StaleReplica            a replica is older than it may be for this
    ├── NotYet                  waits for a replica's row, and is woken by it
    ├── Permanent               never will: dead at once
    │   └── RuleBroken              a rule of the business, by its name
    └── Newer                   waits for a start of code that knows it
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

if TYPE_CHECKING:
    from datetime import timedelta

    from broker._replicas import Replica


class BackboneError(Exception):
    """Anything the backbone raises."""


class DeclarationError(BackboneError):
    """A service is declared wrongly; the message says which rule it breaks and what to do."""


class PublishRefused(BackboneError):
    """An event may not be published as asked."""


class ForeignEvent(PublishRefused):
    """An event that another service owns."""


class EventTooLarge(PublishRefused):
    """An event whose body is over the limit."""


class StateBypassed(BackboneError):
    """A bulk statement on a class that publishes its state: the change would not reach the replicas."""


class SessionIsGuarded(BackboneError):
    """A handler called commit, rollback or close on the session it was lent."""


class Failure(BackboneError):
    """A message could not be handled. Its text is kept and shown: no personal data in it."""


class Later(Failure):
    """It cannot be done now; time will help. Tried again with exponential back-off and jitter."""


class Overtaken(Later):
    """What was to be changed was changed by another transaction after it was loaded: do it again on what is there now."""


class ReplicaLag(Later):
    """A replica does not have, in time, what its reader has written at its owner."""

    def __init__(self, replica: type[Replica[Any]], key: UUID | str) -> None:
        super().__init__(f"{replica.__tablename__} {key} is of an earlier version")
        self.replica = replica


class StaleReplica(Later):
    """A replica is older than it may be for this; None is an age that nobody knows.

    waits: whether a request waits until it is fresh, rather than being refused at once.
    """

    def __init__(
        self, replica: type[Replica[Any]], key: str, age: timedelta | None, at_most: timedelta, *, waits: bool
    ) -> None:
        seconds = f"{age.total_seconds():.0f} s" if age is not None else "nobody knows how"
        super().__init__(f"{replica.__tablename__} {key} is {seconds} old, and may be {at_most.total_seconds():.0f} s here")
        self.replica, self.key, self.age, self.at_most, self.waits = replica, key, age, at_most, waits


class NotYet(Failure):
    """A replica's row has not arrived: `raise NotYet(PatientReference, patient_id)`; or not in `version` or a newer one.

    The message waits, without a timer, until that row is there.
    """

    def __init__(self, replica: type[Replica[Any]], key: UUID | str, version: int = 0) -> None:
        super().__init__(f"{replica.__tablename__} {key} has not arrived yet" + (f" in version {version}" if version else ""))
        self.replica = replica
        self.key = str(key)
        self.version = version


class Permanent(Failure):
    """It can never be handled as it is: dead at once, for a person to look at."""


class Newer(Failure):
    """It was written by newer code than this; it waits until such code starts."""


class RuleBroken(Permanent):
    """A rule of the business does not allow this.

    Subclass it once per rule, named as a sentence (`SampleNeedsTwoIdentifiers`); the docstring's first line is the message.
    `facts` are shown to the caller (HTTP: members of the problem document), so no personal data in them.
    """

    status = 409
    """The HTTP status that it becomes."""

    def __init__(self, **facts: object) -> None:
        self.facts = {name: str(value) for name, value in facts.items()}
        sentence = (type(self).__doc__ or type(self).__name__).strip().splitlines()[0]
        shown = ", ".join(f"{name}={value}" for name, value in self.facts.items())
        super().__init__(f"{sentence} ({shown})" if shown else sentence)


class NotFound(RuleBroken):
    """There is no such thing here."""

    status = 404
