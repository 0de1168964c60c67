"""Where a process can die: each point stands between two steps of which the first is done for good and the second is not.

A step is what cannot be taken back: a commit, a message that was sent, an acknowledgement, a request to the outside. Whoever
takes one passes the point after it, and where handlers ran before a commit, the point before that. In production `passing` is a
comparison. A test calls `arm` in the process that is to die, before its service starts; no setting does.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from enum import Enum, unique


@unique
class CrashPoint(Enum):
    """All points, each with what is done and what is not when a process dies there."""

    COMMAND_HANDLED = "a command over HTTP has run, and nothing is committed"
    COMMAND_COMMITTED = "a command is committed, and not answered"

    EVENTS_COMMITTED = "events are committed, and the relay has not been told"
    RELAY_NOTIFIED = "the relay of another process has been told of events, and they are still in the outbox"
    EVENTS_SENT = "the relay has given events to its connection, and the broker has not confirmed them"
    EVENTS_CONFIRMED = "the broker has confirmed events, which are still in the outbox"
    EVENTS_DELETED = "events that the broker has are out of the outbox, in the journal where there is one"
    OUTBOX_ROTATED = "the next table of the outbox has taken over, and the last one is not emptied"
    OUTBOX_TRUNCATED = "a table of the outbox that had its turn is emptied"
    LOW_WATER_SAVED = "the relay that ends has written down how far it need not look back, and its lock is not given back"

    BATCH_TAKEN = "a batch is taken, and its transaction has not begun"
    BATCH_HANDLED = "a batch's messages went to their handler, or were set aside, and nothing is committed"
    BATCH_COMMITTED = "a batch's effects are committed, and it is not acknowledged"
    BATCH_ACKNOWLEDGED = "a batch is acknowledged, and the next one not taken"
    FAILURE_KEPT = "a message that could not be handled is among the failed ones, and not acknowledged"
    ATTEMPT_COUNTED = "a message that may end the process is counted once more, and not given to its handler"
    ATTEMPT_FORGOTTEN = "a message that might have ended the process did not, and is not acknowledged"
    RENAME_FOLLOWED = "inbox and failed messages of a subscription have taken its new name, and its queue is not consumed"
    GIVEN_UP_KEPT = "a message that the broker gave up is among the failed ones, and not acknowledged"
    GIVEN_UP_ACKNOWLEDGED = "a message that the broker gave up is acknowledged, and the next one not taken"

    REPLICA_WRITTEN = "a replica has states, or what its owner answered, and nothing is committed"
    REPLICA_COMMITTED = "a replica's states are committed, with whoever waited for them, and the batch is not acknowledged"
    REPLICA_RUN_BEGUN = "a fill or a check is begun, and its owner has not heard of it"
    MARK_ASKED_FOR = "a replica has asked how old it is, and its owner has not heard of it"

    MESSAGES_WOKEN = "failed messages that nothing holds any more are due, and none is tried"
    RETRY_CLAIMED = "a failed message is claimed and counted, and not given to its handler"
    RETRY_HANDLED = "a failed message went to its handler, and nothing is committed"
    RETRY_COMMITTED = "a failed message has its effect and is closed, and what lies behind it is not tried"
    RETRY_FAILED = "a failed message has failed once more, which is written down"

    OPERATION_ANSWERED = "what people asked for is written down and answered, and not carried out"
    DEAD_LETTERS_EXPIRED = "dead letters that are too old are chosen to be let go, and are still there"
    REPLAY_RESUMED = "messages that an ended process may have died of are marked to be tried alone"
    REPLAY_TAKEN_UP = "messages of a replay are written down as in hand, and none is tried"
    REPLAY_HANDLED = "messages of a replay went to their handler together, and nothing is committed"
    REPLAY_COMMITTED = "messages of a replay have their effects and are closed together, and what lies behind them is not tried"
    REPLAY_COUNTED = "a message of a replay is counted as about to be tried"
    REPLAY_NOTED = "what became of a message of a replay is written down apart from its effect"
    REPLAY_GIVEN_UP = "the others of a kind that failed again are written down as not tried"
    MESSAGE_CHANGED = "one message of an action is discarded or restored, and the next one is not"
    ACTION_ENDED = "an action is over, and its lock is not given back"

    SCHEDULE_PROMOTED = "events that were due have moved from the schedule to the outbox"
    CALL_CLAIMED = "a call to the outside is marked as being sent, and has not been"
    CALL_MADE = "a call to the outside was made, and what came of it is not written down"
    CALL_HANDLED = "the effect of a call's outcome has run, and nothing is committed"
    CALL_COMMITTED = "a call is answered, with its effect"
    CALL_NOTED = "a call is put off, given up, or about to be sent again, which is written down"

    FAILURES_REPORTED = "states of failed messages and actions are committed to the outbox, and are no longer to be told"
    PRESENCE_REPORTED = "how a copy is doing is committed to the outbox"
    HOUSEKEEPING_DONE = "something old is let go, or something new provided, and the rest is not"


_watcher: Callable[[CrashPoint], None] | None = None


def passing(point: CrashPoint) -> None:
    """The process passes a point. Once a batch or a transaction, never once a message."""
    if _watcher is not None:
        _watcher(point)


def watch(watcher: Callable[[CrashPoint], None] | None) -> None:
    """For tests: has `watcher` told of each point that this process passes; None ends it."""
    global _watcher  # noqa: PLW0603 (one comparison is all that production pays)
    _watcher = watcher


def arm(point: CrashPoint, *, times: int = 1) -> None:
    """For tests: ends this process as kill -9 does, when it passes the point for the `times`-th time from now."""
    left = times

    def count(passed: CrashPoint) -> None:
        nonlocal left
        left -= passed is point
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)

    watch(count)
