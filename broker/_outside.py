"""Calls to the world outside: a payment provider, a mail server.

Such a call never happens inside a transaction. A handler only asks for it; a worker makes it after the commit:

    @outside(deadline=timedelta(seconds=10), if_unknown=ask(look_up_charge))
    async def charge_card(request: ChargeCard, key: str, world: World) -> ChargeOutcome:
        reply = await world.http.post(world["card_provider"] + "/charges", json=..., headers={"Idempotency-Key": key})
        ...

    @charge_card.then
    async def record_charge(session: AsyncSession, request: ChargeCard, outcome: ChargeOutcome) -> None: ...

    await call(session, charge_card, ChargeCard(...), key=payment.id)

The key handed to the function is the call's id, the same in every attempt: it is the idempotency key for the other side.
What the function raises says what is known:

- Later, or a connection that could not even be opened: nothing was done; tried again with growing pauses.
- Permanent: the other side will never do it; the call is given up and alarmed. (A refusal that the business expects,
  such as a declined card, is an outcome.)
- anything else, the deadline, or a crash: nobody knows whether it was done. It is never taken for failed; `if_unknown`
  says what happens.
"""

from __future__ import annotations

import typing
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from types import ModuleType
from typing import Any, Final, Generic, TypeVar
from uuid import UUID

import httpx
from pydantic import BaseModel
from sqlalchemy import func, insert
from sqlalchemy.ext.asyncio import AsyncSession

from broker import _tables
from broker._context import current_cause, uuid7
from broker._publishing import WROTE
from broker.errors import BackboneError, DeclarationError

Request = TypeVar("Request", bound=BaseModel)
Outcome = TypeVar("Outcome", bound=BaseModel)

DRY_RUN = "backbone.dry_run"
"""Set in `session.info` of a dry run, which must not reach the world outside."""


class StoppedBeforeCall(BackboneError):
    """A dry run came to a call to the world outside: it went well so far and goes no further."""

    def __init__(self, call: str) -> None:
        super().__init__(f"the dry run ends before the call {call}")
        self.call = call


@dataclass(frozen=True, slots=True)
class World:
    """What a call finds outside: an HTTP client, and the addresses and secrets of `Settings.outside`."""

    http: httpx.AsyncClient
    settings: Mapping[str, str] = field(default_factory=dict, repr=False)

    def __getitem__(self, name: str) -> str:
        """A setting. Raises DeclarationError when the process was not given it."""
        if name not in self.settings:
            raise DeclarationError(f"the setting {name!r} of the world outside is missing: give it in Settings.outside")
        return self.settings[name]


@dataclass(frozen=True, slots=True)
class Ask:
    """Find out: the function gives the outcome, or None when the other side never heard of the call."""

    function: Callable[[Any, str, World], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class _Policy:
    name: str


SEND_AGAIN: Final = _Policy("send again")
"""The other side knows the idempotency key, or twice does no harm: send it again."""

LEAVE: Final = _Policy("leave")
"""Neither can be asked nor repeated: it stays unknown, alarmed, and later calls of its key wait for a person."""


@dataclass(frozen=True, slots=True)
class SendAgain:
    """Send it again, so many attempts in all; an outcome that is not known then is taken for this one."""

    at_most: int
    then: BaseModel


def send_again(*, at_most: int, then: BaseModel) -> SendAgain:
    """The policy of SEND_AGAIN with an end, where no answer is worse than a guess. then: the outcome it is taken for."""
    return SendAgain(at_most, then)


IfUnknown = Ask | SendAgain | _Policy


def ask(function: Callable[[Request, str, World], Awaitable[Outcome | None]]) -> Ask:
    """The policy to ask the other side what became of a call."""
    return Ask(function)


class Outside(Generic[Request, Outcome]):
    """A declared call to the world outside; made by `@outside`."""

    def __init__(
        self,
        function: Callable[[Request, str, World], Awaitable[Outcome]],
        *,
        deadline: timedelta,
        if_unknown: IfUnknown | None,
        keys_at_once: int,
        name: str | None,
        forget: bool = False,
    ) -> None:
        self.function = function
        self.forget = forget
        self.name = name or function.__name__
        self.deadline = deadline
        self.if_unknown = if_unknown
        self.keys_at_once = keys_at_once
        self.effect: Callable[[AsyncSession, Request, Outcome], Awaitable[None]] | None = None
        self.__module__ = function.__module__
        self.__doc__ = function.__doc__

    def then(
        self, effect: Callable[[AsyncSession, Request, Outcome], Awaitable[None]]
    ) -> Callable[[AsyncSession, Request, Outcome], Awaitable[None]]:
        """Declares what an outcome does: once per call, in a transaction in which it may also publish."""
        self.effect = effect
        return effect

    @property
    def request_type(self) -> type[Request]:
        """The model of what is asked for."""
        return typing.cast("type[Request]", self._annotation("request"))

    @property
    def outcome_type(self) -> type[Outcome]:
        """The model of what may come of it."""
        return typing.cast("type[Outcome]", self._annotation("return"))

    def _annotation(self, which: str) -> Any:
        hints = typing.get_type_hints(self.function)
        if which == "request":
            return next((hint for name, hint in hints.items() if name != "return"), None)
        return hints.get(which)

    def check(self, service_name: str) -> None:
        """Raises DeclarationError, with one sentence, when the declaration lacks something."""
        call = f"{service_name}'s call {self.name}"
        if self.if_unknown is None:
            raise DeclarationError(f"{call} does not say what happens when its outcome is unknown: give if_unknown")
        if self.effect is None:
            raise DeclarationError(f"{call} does not say what its outcome does: add a function with @{self.name}.then")
        if self.deadline <= timedelta():
            raise DeclarationError(f"{call} needs a deadline above zero")
        if self.keys_at_once < 1:
            raise DeclarationError(f"{call} needs keys_at_once of at least one")
        if isinstance(self.if_unknown, SendAgain):
            self._check_end(call, self.if_unknown)
        for model in (self.request_type, self.outcome_type):
            if not (isinstance(model, type) and issubclass(model, BaseModel)):
                raise DeclarationError(f"{call}: annotate its request and its outcome with pydantic models")

    def _check_end(self, call: str, end: SendAgain) -> None:
        if end.at_most < 1 or not isinstance(end.then, self.outcome_type):
            raise DeclarationError(f"{call}: send_again needs one attempt at least, and an outcome of its own kind")


def outside(
    *,
    deadline: timedelta,
    if_unknown: IfUnknown | None = None,
    keys_at_once: int = 8,
    name: str | None = None,
    forget: bool = False,
) -> Callable[[Callable[[Request, str, World], Awaitable[Outcome]]], Outside[Request, Outcome]]:
    """Declares a call to the world outside; `outside` of the Service names its module.

    deadline: how long one attempt may take. if_unknown: `ask(function)`, `SEND_AGAIN`, `send_again(…)` or `LEAVE`; no service
    starts without it. keys_at_once: how many keys are worked on at once; the calls of one key go one after the other, in the
    order in which they were asked for. name: stays the same while calls are open; the function's name when not given.
    forget: what was asked for is not kept once it is over, because it is personal, or a secret.
    """

    def declare(function: Callable[[Request, str, World], Awaitable[Outcome]]) -> Outside[Request, Outcome]:
        return Outside(function, deadline=deadline, if_unknown=if_unknown, keys_at_once=keys_at_once, name=name, forget=forget)

    return declare


async def call(session: AsyncSession, outside: Outside[Request, Outcome], request: Request, *, key: UUID | str) -> UUID:
    """Asks for a call, to be made after the transaction of `session` commits; gives its id, the idempotency key.

    key: calls of one key are made one at a time, in the order in which they were asked for; whoever asks holds the lock on
    the row of that aggregate, or there is no order to speak of. Raises StoppedBeforeCall in a dry run.
    """
    if session.info.get(DRY_RUN):
        raise StoppedBeforeCall(outside.name)
    cause = current_cause()
    id_ = uuid7()
    await session.execute(
        insert(_tables.call).values(
            id=id_,
            name=outside.name,
            key=str(key),
            state="pending",
            request=request.model_dump(mode="json"),
            due_at=func.clock_timestamp(),
            flow=cause.flow,
            cause=cause.message,
            trace=cause.trace,
            created_at=func.clock_timestamp(),
        )
    )
    session.sync_session.info[WROTE] = True
    return id_


def calls_in(module: ModuleType) -> list[Outside[Any, Any]]:
    """The calls declared in a module, in the order of their appearance."""
    return [value for value in vars(module).values() if isinstance(value, Outside) and value.__module__ == module.__name__]
