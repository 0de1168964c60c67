"""The backbone's own tables, in the schema `backbone` of every service's database."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
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
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

SCHEMA = "backbone"
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

# The messages that a subscription could not handle (yet).
failed_message = Table(
    "failed_message",
    metadata,
    Column("position", BigInteger, Identity(always=True), primary_key=True, comment="order of arrival"),
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
    _timestamp("created_at"),
)
