"""The backbone's own tables, in the schema `backbone` of every service's database."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Computed,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    Interval,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TSVECTOR

SCHEMA = "backbone"
BACKBONE_MIGRATIONS = Path(__file__).parent / "migrations"
metadata = MetaData(
    schema=SCHEMA,
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
    },
)


def _timestamp(name: str, *, nullable: bool = False) -> Column[datetime]:
    return Column(name, DateTime(timezone=True), nullable=nullable)


# An event waits here, in the transaction that caused it. Partitioned by `slot` into outbox_0..outbox_2, which take turns:
# a child that is empty is truncated, so that deleted rows never pile up.
outbox = Table(
    "outbox",
    metadata,
    Column("slot", SmallInteger, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("id", Uuid, nullable=False),
    Column("type", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("sequence", BigInteger, nullable=False, comment="the aggregate's version, or the position"),
    Column("flow", Uuid, nullable=False, comment="correlation id"),
    Column("cause", Uuid, comment="id of the message whose handling published this one"),
    Column("trace", Text, comment="W3C traceparent"),
    _timestamp("occurred_at"),
    Column("body", LargeBinary, nullable=False),
    postgresql_partition_by="LIST (slot)",
)
Index(None, outbox.c.position)

# Which child takes new rows, and below which position nothing can appear any more.
outbox_state = Table(
    "outbox_state",
    metadata,
    Column("one", Boolean, primary_key=True, server_default=text("true")),
    Column("slot", SmallInteger, nullable=False),
    Column("low_water", BigInteger, nullable=False),
)

# The journal: what was relayed, and which subscriptions were bound at that time.
published = Table(
    "published",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("position", BigInteger, nullable=False),
    Column("type", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("flow", Uuid, nullable=False),
    Column("cause", Uuid),
    _timestamp("occurred_at"),
    Column("relayed_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    Column("subscriptions", ARRAY(Text), nullable=False),
)
Index(None, published.c.flow)
Index(None, published.c.key)

# The messages that have taken effect. Partitioned by id, a UUIDv7, and so by time.
inbox = Table(
    "inbox",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("subscription", Text, primary_key=True),
    Column("position", BigInteger, Identity(always=True), nullable=False, comment="order of taking effect"),
    Column("key", Text, nullable=False),
    Column("flow", Uuid),
    Column("handled_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    postgresql_partition_by="RANGE (id)",
)


def _message() -> list[Column[Any]]:
    """A message that failed, and what its last failure left behind."""
    return [
        Column("subscription", Text, nullable=False),
        Column("id", Uuid, comment="null when the message came without a usable one"),
        Column("state", Text, nullable=False, comment="retrying, waiting, held or dead"),
        Column("type", Text, nullable=False),
        Column("version", Integer, nullable=False),
        Column("key", Text, nullable=False),
        Column("sequence", BigInteger, nullable=False),
        Column("flow", Uuid),
        Column("exchange", Text, nullable=False, comment="as the broker reported it"),
        Column("routing_key", Text, nullable=False, comment="as the broker reported it"),
        Column("properties", JSONB, nullable=False, comment="AMQP properties and headers"),
        Column("body", LargeBinary, nullable=False),
        Column("error", Text, nullable=False, comment="class of the exception"),
        Column("reason", Text, nullable=False, comment="one sentence without personal data"),
        Column("attempts", Integer, nullable=False),
        _timestamp("due_at", nullable=True),
        Column("waits_for", Text, comment="replica"),
        Column("waits_key", Text, comment="key in that replica"),
        _timestamp("first_failed_at"),
        _timestamp("last_failed_at"),
        Column("stack", Text, nullable=False, server_default="", comment="where the exception came through, without values"),
        Column("fingerprint", Text, nullable=False, server_default="", comment="groups what failed for one reason"),
        Column("cause", Uuid, comment="id of the message whose handling published this one"),
        Column("persons", ARRAY(Uuid), comment="whose personal data may be in the body"),
    ]


def _persons_index(table: Table) -> Index:
    """Finds the messages with data of a person; those without anybody's are not in it."""
    name, column = f"{table.name}_persons_idx", table.c.persons
    return Index(name, column, postgresql_using="gin", postgresql_where=column.is_not(None))


# The messages that a subscription could not handle (yet).
failed_message = Table(
    "failed_message",
    metadata,
    Column("position", BigInteger, Identity(always=True), primary_key=True, comment="order of arrival"),
    *_message(),
    Column(
        "words",
        TSVECTOR,
        Computed("backbone.words_of(fingerprint, reason)", persisted=True),
        nullable=False,
        comment="of fingerprint and reason; = before those of a value",
    ),
    Column(
        "wording",
        Uuid,
        Computed("backbone.wording_of(fingerprint, reason)", persisted=True),
        nullable=False,
        comment="the same for those that differ in values alone",
    ),
    UniqueConstraint("subscription", "id"),
)
Index(None, failed_message.c.subscription, failed_message.c.key)
Index("failed_message_due_idx", failed_message.c.due_at, postgresql_where=failed_message.c.state == "retrying")
Index(
    "failed_message_waits_idx",
    failed_message.c.waits_for,
    failed_message.c.waits_key,
    postgresql_where=failed_message.c.state == "waiting",
)
Index(None, failed_message.c.state, failed_message.c.position)
Index(
    "failed_message_group_idx",
    failed_message.c.subscription,
    failed_message.c.state,
    failed_message.c.fingerprint,
    failed_message.c.position,
)
Index(
    "failed_message_group_latest_idx",
    failed_message.c.subscription,
    failed_message.c.state,
    failed_message.c.fingerprint,
    failed_message.c.last_failed_at,
)
Index("failed_message_fingerprint_idx", failed_message.c.fingerprint, failed_message.c.state, failed_message.c.position)
Index("failed_message_type_idx", failed_message.c.type, failed_message.c.state, failed_message.c.position)
Index("failed_message_key_idx", failed_message.c.key, failed_message.c.position)
Index(None, failed_message.c.flow)
Index(None, failed_message.c.id)
Index(None, failed_message.c.last_failed_at)
Index(
    "failed_message_wording_idx",
    failed_message.c.subscription,
    failed_message.c.state,
    failed_message.c.wording,
    failed_message.c.position,
)
Index(
    "failed_message_wording_latest_idx",
    failed_message.c.subscription,
    failed_message.c.state,
    failed_message.c.wording,
    failed_message.c.last_failed_at,
)

_persons_index(failed_message)


def _differences(kind: Column[Any]) -> list[Column[Any]]:
    """How many failed messages of a kind there are: a trigger writes the difference that each statement made."""
    return [
        Column("subscription", Text, nullable=False),
        Column("state", Text, nullable=False),
        kind,
        Column("by", BigInteger, nullable=False, comment="add them up: a row is a difference"),
    ]


failure_count = Table("failure_count", metadata, *_differences(Column("fingerprint", Text, nullable=False)))
Index("failure_count_group_idx", failure_count.c.subscription, failure_count.c.state, failure_count.c.fingerprint)

# The same, of wordings: a table of its own, so that groups stay few rows when each message is worded by itself.
wording_count = Table("wording_count", metadata, *_differences(Column("wording", Uuid, nullable=False)))
Index("wording_count_wording_idx", wording_count.c.subscription, wording_count.c.state, wording_count.c.wording)

# The words of failed messages, summed up by spans of their positions: a trigger notes in which something changed.
word_summary = Table(
    "word_summary",
    metadata,
    Column("span", BigInteger, nullable=False, comment="of failed messages: position / 64"),
    Column("words", TSVECTOR, comment="of all its messages; null: something in it has changed"),
)
Index(
    "word_summary_words_idx",
    word_summary.c.words,
    postgresql_using="gin",
    postgresql_where=word_summary.c.words.is_not(None),
)
Index("word_summary_changed_idx", word_summary.c.span, postgresql_where=word_summary.c.words.is_(None))

# What people did about failed messages, and asked for. `action_message` is its set, frozen when it began.
action = Table(
    "action",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("verb", Text, nullable=False, comment="replay, discard, restore, edit, redirect, reveal, export, import or expire"),
    Column("state", Text, nullable=False, comment="running, done, halted or stopped"),
    Column("asked_by", Text, nullable=False),
    Column("why", Text, nullable=False),
    Column("wanted", JSONB, nullable=False, comment="which messages, as they were asked for"),
    Column("pace", JSONB, nullable=False, comment="how a replay goes about it"),
    Column("total", Integer, nullable=False),
    _timestamp("began_at"),
    _timestamp("ended_at", nullable=True),
    Column("in_hand", Integer, comment="place up to which messages were begun together"),
)
Index("action_running_idx", action.c.id, postgresql_where=action.c.state == "running")
action_message = Table(
    "action_message",
    metadata,
    Column("action", Uuid, ForeignKey(action.c.id, ondelete="CASCADE"), primary_key=True),
    Column("place", Integer, primary_key=True),
    Column("position", BigInteger, nullable=False),
    Column("id", Uuid),
    Column("subscription", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("fingerprint", Text, nullable=False),
    Column("tries", Integer, nullable=False, server_default=text("0"), comment="begun, and not yet known to have survived"),
    Column("outcome", Text, comment="null while it is to be done"),
    Column("detail", Text),
    _timestamp("at", nullable=True),
)
Index(None, action_message.c.position)
Index(
    "action_message_open_idx",
    action_message.c.action,
    action_message.c.fingerprint,
    action_message.c.place,
    postgresql_where=action_message.c.outcome.is_(None),
)
correction = Table(
    "correction",
    metadata,
    Column("position", BigInteger, primary_key=True),
    Column("action", Uuid, ForeignKey(action.c.id, ondelete="CASCADE"), primary_key=True),
    Column("before", LargeBinary, nullable=False, comment="the body before it was edited"),
    Column("after", LargeBinary, nullable=False),
)

# To whom personal data in failed messages was given out: shown, or exported.
disclosure = Table(
    "disclosure",
    metadata,
    Column("person", Uuid, primary_key=True),
    Column("action", Uuid, ForeignKey(action.c.id, ondelete="CASCADE"), primary_key=True),
    Column("messages", Integer, nullable=False, comment="of the person, that were shown or exported"),
)
Index(None, disclosure.c.action)

# Messages that were let go, kept for a while: they can be restored.
discarded_message = Table(
    "discarded_message",
    metadata,
    Column("position", BigInteger, primary_key=True),
    *_message(),
    Column("action", Uuid, nullable=False),
    _timestamp("discarded_at"),
)
Index(None, discarded_message.c.id)
Index(None, discarded_message.c.discarded_at)
_persons_index(discarded_message)

# What changed about failed messages and actions, for `broker._reporting` to tell; and whether all that there was is told.
change = Table(
    "change",
    metadata,
    Column("place", BigInteger, Identity(always=True), primary_key=True),
    Column("kind", Text, nullable=False, comment="message or action"),
    Column("key", Text, nullable=False),
)
reporting = Table(
    "reporting",
    metadata,
    Column("one", Boolean, primary_key=True, server_default=text("true")),
    Column("is_whole", Boolean, nullable=False, comment="everything that there was is told"),
    Column("noted", BigInteger, comment="the place up to which all was noted; null before that"),
)

# What the backbone told of this service, state by state, for the replicas that copy it.
told = Table(
    "told",
    metadata,
    Column("type", Text, primary_key=True),
    Column("key", Text(collation="C"), primary_key=True),
    Column("state", JSONB, nullable=False, comment="the body of the event that told it"),
)

# What the service `operations` asks this one for.
operation = Table(
    "operation",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("request", JSONB, nullable=False, comment="what operations asks for, until it is answered"),
    _timestamp("requested_at"),
)

# A key with open failed messages. Whoever touches such a key locks this row first.
held_key = Table(
    "held_key",
    metadata,
    Column("subscription", Text, primary_key=True),
    Column("key", Text, primary_key=True),
)

# A message about to be handled alone, because its delivery count says that it may have killed the process.
attempt = Table(
    "attempt",
    metadata,
    Column("subscription", Text, primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("count", Integer, nullable=False),
)

# Events that become due.
schedule = Table(
    "schedule",
    metadata,
    Column("name", Text, primary_key=True),
    _timestamp("due_at"),
    Column("type", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("flow", Uuid, nullable=False),
    Column("cause", Uuid),
    Column("trace", Text),
    Column("body", LargeBinary, nullable=False),
)
Index(None, schedule.c.due_at)

# Calls to the world outside, made by workers after the transaction that asked for them.
call = Table(
    "call",
    metadata,
    Column("id", Uuid, primary_key=True, comment="idempotency key"),
    Column("position", BigInteger, Identity(always=True), nullable=False),
    Column("name", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("state", Text, nullable=False, comment="pending, sending, unknown, received, answered or given_up"),
    Column("request", JSONB, nullable=False),
    Column("outcome", JSONB, comment="once it is known"),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    _timestamp("due_at"),
    Column("error", Text),
    Column("flow", Uuid, nullable=False),
    Column("cause", Uuid),
    Column("trace", Text),
    _timestamp("created_at"),
)
_is_open = call.c.state.in_(("pending", "sending", "unknown", "received"))
Index("call_open_idx", call.c.due_at, postgresql_where=_is_open)
Index("call_key_idx", call.c.name, call.c.key, call.c.position, postgresql_where=_is_open)

# Persons who were erased: nothing of them is handled, published or kept any more.
erased = Table(
    "erased",
    metadata,
    Column("person", Uuid, primary_key=True),
    Column("kind", Text, nullable=False, comment="the field that holds such ids: user_id"),
    Column("event_id", Uuid, nullable=False, comment="the message that said so"),
    _timestamp("erased_at"),
    _timestamp("noted_at"),
    Column("found", JSONB, nullable=False, comment="rows with data of the person at that time, by table"),
)
erased.c.erased_at.comment = "when it was published"
erased.c.noted_at.comment = "when it took effect here"

# How far business time is from the wall clock: tests move it, production never does.
clock = Table(
    "clock",
    metadata,
    Column("one", Boolean, primary_key=True, server_default=text("true")),
    Column("shift", Interval, nullable=False),
)

# Replies already given to requests that carried an Idempotency-Key.
idempotency = Table(
    "idempotency",
    metadata,
    Column("key", Text, primary_key=True),
    Column("principal", Text, primary_key=True),
    Column("route", Text, primary_key=True),
    Column("request_hash", LargeBinary, nullable=False),
    Column("status", SmallInteger, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("headers", JSONB, nullable=False, server_default=text("'{}'"), comment="those of the reply that are given again"),
    _timestamp("created_at"),
)


# What fills, checks or repairs a replica, as far as it is. `at` is the last key that was taken in; `columns` are those that the
# replica had when it began.
replica_run = Table(
    "replica_run",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("replica", Text, nullable=False),
    Column("owner", Text, nullable=False, server_default="", comment="who is asked, where every service tells what it copies"),
    Column("purpose", Text, nullable=False, comment="fill, check, repair"),
    Column("state", Text, nullable=False, comment="running, done, given_up"),
    Column("asked_by", Text, nullable=False),
    Column("columns", ARRAY(Text), nullable=False),
    Column("at", Text),
    Column("is_looking_again", Boolean, nullable=False, server_default=text("false")),
    Column("rows", BigInteger, nullable=False, server_default=text("0")),
    Column("failed", BigInteger, nullable=False, server_default=text("0"), comment="keys that differ because a message failed"),
    Column("reason", Text, comment="why it was given up"),
    _timestamp("began_at"),
    _timestamp("changed_at"),
    _timestamp("ended_at", nullable=True),
    Column("asked_again_at", DateTime(timezone=True), comment="when nothing had come for long"),
    Column(
        "has_grown", Boolean, nullable=False, server_default=text("false"), comment="it ended without rows, and some came later"
    ),
)
Index(
    "replica_run_running_key",
    replica_run.c.replica,
    replica_run.c.owner,
    unique=True,
    postgresql_where=text("state = 'running'"),
)
Index(None, replica_run.c.replica, replica_run.c.began_at)

# A key that differed from what its owner has when it was looked at: once, or twice in a row, which confirms it.
replica_drift = Table(
    "replica_drift",
    metadata,
    Column("run_id", Uuid, ForeignKey("backbone.replica_run.id", ondelete="CASCADE"), primary_key=True),
    Column("key", Text, primary_key=True),
    Column("drift", Text, nullable=False, comment="missing, stale, surplus, altered"),
    Column("version", BigInteger, comment="of the row that was seen"),
    Column("is_confirmed", Boolean, nullable=False, server_default=text("false")),
    Column("is_repaired", Boolean, nullable=False, server_default=text("false")),
)

# How old a replica is at most, where that matters: as of when it has everything, and what its owner was asked last.
replica_mark = Table(
    "replica_mark",
    metadata,
    Column("replica", Text, primary_key=True),
    _timestamp("as_of", nullable=True),
    Column("asked_id", Uuid, comment="null once it is answered"),
    _timestamp("asked_at"),
)
