"""Doing what people ask for in the service `operations`: each request is written down, carried out here, and answered.

Nobody reaches into this service's database: it says what it lets be known. Personal data leaves it only sealed for the key
of whoever asked, with a reason, which is written down.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from datetime import timedelta
from typing import Any
from uuid import UUID

import structlog
from joserfc import jwe
from joserfc.jwk import OKPKey
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from broker._actions import Asker, Pace, Verb, begin, parts, resume, stop
from broker._clock import clock
from broker._corrections import discarded_by, edit, redirect
from broker._crash_points import CrashPoint
from broker._database import Database
from broker._dead_letters import HIDDEN, Filter, find
from broker._inspection import Inspected, inspect
from broker._loop import Loop
from broker._publishing import publish
from broker._replay import Retrier
from broker._trial import attempt
from broker.errors import Failure
from contracts.backbone import OperationAnswered
from contracts.operations import OperationRequested

log = structlog.get_logger("nilecare.backbone")

SHOWN = 20
"""Messages that are shown, or tried, for one request."""

OUTCOMES = 50
"""Messages of an action that are shown for one request."""

LONGEST = 100_000
"""Characters of a body that are shown: more is for `nilecare dead-letters show`."""

SLOW = timedelta(seconds=3)
"""A request that was longer on its way may have been withdrawn meanwhile."""

HEARD_OUT = timedelta(seconds=2)
"""How long the service listens then to what came behind it, before it begins."""

NEXT = text(
    """
    DELETE FROM backbone.operation WHERE id = (
        SELECT id FROM backbone.operation
        WHERE requested_at <= :heard_out OR requested_at - (request->>'asked_at')::timestamptz <= :slow
            OR request->>'asked_at' IS NULL
        ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED
    ) RETURNING request
    """
)

LEFT = text("SELECT EXISTS (SELECT FROM backbone.operation)")

LOOK = 0.5
"""Seconds between two looks at requests that are not begun yet."""

OF_FLOW = {
    "published": "SELECT id, type, key, cause, occurred_at, relayed_at, subscriptions FROM backbone.published"
    " WHERE flow = :flow",
    "handled": "SELECT id, subscription, handled_at FROM backbone.inbox WHERE flow = :flow",
    "failed": "SELECT id, position, subscription, state, type, key, reason, last_failed_at FROM backbone.failed_message"
    " WHERE flow = :flow",
    "scheduled": "SELECT name, type, key, due_at FROM backbone.schedule WHERE flow = :flow",
    "called": "SELECT id, name, key, state, attempts, due_at FROM backbone.call WHERE flow = :flow",
}
"""What a service knows of a flow: nothing of what messages say."""

FLOWS_OF = "SELECT flow FROM backbone.published WHERE key = :key GROUP BY flow ORDER BY max(position) DESC LIMIT :limit"

Answer = dict[str, Any]


class Unsealable(Failure):
    """Personal data is shown to a key: ask with one."""


class TooLate(Failure):
    """Nobody waits any more for what was asked: ask again."""


class OperationLoop(Loop):
    """Carries out and answers what is asked of a service, one request after the other. Every copy of it may run one.

    It is woken when a request has arrived; `interval` is for those that another copy left when it was killed.
    """

    def __init__(self, database: Database, retrier: Retrier, began: Callable[[], None], *, interval: float = 5.0) -> None:
        super().__init__(f"{retrier.service.name}.operations", interval=interval)
        self._database, self._retrier, self._began = database, retrier, began
        self._service = retrier.service.name

    async def run_once(self) -> bool:
        """Answers one request; True when there was one, or one is left.

        A request that ends the process is kept, since its transaction ends with it, and is done after the next start.
        """
        if not any(await self._database.glance(LEFT)):
            return False
        async with self._database.lent() as session:
            request = await session.scalar(NEXT, {"heard_out": clock.now() - HEARD_OUT, "slow": SLOW})
            if request is not None:
                asked = OperationRequested.model_validate(request)
                answered = await self._answered(session, asked)
                publish(session, answered)
                await session.settle(CrashPoint.OPERATION_ANSWERED)
        if request is None:  # it may be withdrawn still, or another copy has it in hand
            await self._pause(LOOK)
        elif answered.refusal is None:
            self._began()
        return True

    async def _answered(self, session: AsyncSession, asked: OperationRequested) -> OperationAnswered:
        answer: Answer | None = None
        sealed = refusal = None
        try:
            async with session.begin_nested():
                _check_wanted_still(asked)
                if asked.operation == "reveal":
                    sealed = _sealed(asked, await self._show(session, asked))
                else:
                    answer = await self._does[asked.operation](session, asked)
        except Failure as failure:
            refusal = str(failure)
        except Exception as failure:
            refusal = f"it could not be done ({type(failure).__name__}): see the service's log"
            log.error("operation.failed", service=self._service, operation=asked.operation, error=type(failure).__name__)
        return OperationAnswered(
            request_id=asked.request_id, service=self._service, refusal=refusal, answer=answer, sealed=sealed
        )

    @property
    def _does(self) -> Mapping[str, Callable[[AsyncSession, OperationRequested], Awaitable[Answer]]]:
        return {
            "show": self._show,
            "try": self._try,
            "replay": self._begin,
            "discard": self._begin,
            "restore": self._begin,
            "edit": self._edit,
            "redirect": self._redirect,
            "stop": self._stop,
            "resume": self._stop,
            "trace": self._trace,
        }

    async def _show(self, session: AsyncSession, asked: OperationRequested) -> Answer:
        """Messages in full, personal data only for `reveal`, which is written down; of an action, what became of each."""
        if asked.operation == "show" and asked.action_id is not None:
            return await _outcomes(session, asked, asked.action_id)
        asker = _asker(asked) if asked.operation == "reveal" else None
        found = await inspect(session, self._retrier, filter_of(asked), limit=SHOWN, asker=asker)
        return {"messages": [_whole(each) for each in found]}

    async def _try(self, session: AsyncSession, asked: OperationRequested) -> Answer:
        found = await find(session, filter_of(asked), limit=SHOWN)
        trials = []
        for each in found:
            trial = await attempt(self._retrier, each.position)
            evidence = trial.verdict.evidence if trial.verdict else None
            trials.append(
                {
                    "position": each.position,
                    "result": trial.result,
                    "is_well": trial.is_well,
                    "published": dict(trial.published),
                    "rows": {name: asdict(rows) for name, rows in trial.rows.items()},
                    "stopped_before": trial.stopped_before,
                    "reason": f"{evidence.error}: {evidence.reason}" if evidence else None,
                    "fingerprint": evidence.fingerprint if evidence else None,
                }
            )
        return {"trials": trials}

    async def _begin(self, session: AsyncSession, asked: OperationRequested) -> Answer:
        verb: Verb = asked.operation  # type: ignore[assignment]  # one of those that are verbs, by `_does`
        wanted = filter_of(asked)
        if verb == "restore" and asked.action_id is not None:
            wanted = await discarded_by(session, wanted, asked.action_id)
        pace = Pace(asked.canary, asked.few, asked.rate)
        begun = await begin(session, verb, wanted, _asker(asked), pace=pace)
        return {"action_id": str(begun.id), "total": begun.total}

    async def _edit(self, session: AsyncSession, asked: OperationRequested) -> Answer:
        action = await edit(session, self._retrier, _one(asked), lambda body: asked.body, _asker(asked))
        return {"action_id": str(action.id), "total": 1}

    async def _redirect(self, session: AsyncSession, asked: OperationRequested) -> Answer:
        action = await redirect(session, self._retrier, _one(asked), asked.to or "", _asker(asked))
        return {"action_id": str(action.id), "total": 1}

    async def _stop(self, session: AsyncSession, asked: OperationRequested) -> Answer:
        change = stop if asked.operation == "stop" else resume
        done = asked.action_id is not None and await change(session, asked.action_id)
        return {"done": done}

    async def _trace(self, session: AsyncSession, asked: OperationRequested) -> Answer:
        """What this service knows of a flow; of an aggregate, the flows in which it said something about that, latest first."""
        if asked.wanted.flow is None:
            flows = await session.scalars(text(FLOWS_OF), {"key": asked.wanted.key, "limit": SHOWN})
            return {"flows": [str(flow) for flow in flows]}
        flow = {"flow": asked.wanted.flow}
        return {
            name: [_plain(dict(row)) for row in (await session.execute(text(query), flow)).mappings()]
            for name, query in OF_FLOW.items()
        }


async def _outcomes(session: AsyncSession, asked: OperationRequested, action_id: UUID) -> Answer:
    names = ("place", "position", "type", "key", "outcome", "detail", "at")
    found = await parts(session, action_id, limit=OUTCOMES + 1, after=asked.after, outcome=asked.outcome)
    shown = [_plain({name: getattr(part, name) for name in names}) for part in found[:OUTCOMES]]
    return {"parts": shown, "more": len(found) > OUTCOMES}


def _check_wanted_still(asked: OperationRequested) -> None:
    """Raises TooLate."""
    if asked.until is not None and clock.now() > asked.until:
        raise TooLate(f"it was to be begun by {asked.until:%Y-%m-%d %H:%M:%S} UTC and was not: ask again")


def filter_of(asked: OperationRequested) -> Filter:
    """Which messages are meant."""
    wanted = asked.wanted
    names = ("subscription", "type", "key", "flow", "fingerprint", "text", "since", "until")
    return Filter(
        **{name: getattr(wanted, name) for name in names}, states=tuple(wanted.states), positions=tuple(wanted.positions)
    )


def _whole(seen: Inspected) -> Answer:
    """A message as it is shown."""
    message = {name: value for name, value in asdict(seen.message).items() if name not in HIDDEN}
    return {
        **_plain(message),
        "next": seen.message.next_step,
        "headers": seen.headers,
        "body": seen.body[:LONGEST],
        "before": [before[:LONGEST] for before in seen.before],
        "past": [
            _plain({"action_id": action.id, "verb": action.verb, "asked_by": action.asked_by, "why": action.why,
                    "began_at": action.began_at, "outcome": part.outcome})
            for action, part in seen.past
        ],
    }  # fmt: skip


def _asker(asked: OperationRequested) -> Asker:
    return Asker(asked.asked_by, asked.why)


def _one(asked: OperationRequested) -> int:
    return asked.wanted.positions[0] if asked.wanted.positions else 0


def _sealed(asked: OperationRequested, answer: Answer) -> str:
    """The answer, for the holder of the key's other half alone. Raises Unsealable."""
    if asked.reply_key is None:
        raise Unsealable(Unsealable.__doc__)
    key = OKPKey.import_key(dict(asked.reply_key))
    return jwe.encrypt_compact({"alg": "ECDH-ES", "enc": "A256GCM"}, json.dumps(answer).encode(), key)


def _plain(values: Mapping[str, Any]) -> Answer:
    """As JSON data."""
    return {
        name: value if value is None or isinstance(value, int | float | list | dict) else _text(value)
        for name, value in values.items()
    }


def _text(value: object) -> str:
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
