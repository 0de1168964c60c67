"""What a service's process must be told: where its servers are and as whom it speaks to them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One service's settings. Every default is fit for production unless it says otherwise."""

    database_url: str
    """PostgreSQL of this service, with its own account: postgresql://user:password@host:port/database."""

    amqp_url: str
    """RabbitMQ with this service's own account: amqp://user:password@host:port/vhost."""

    management_url: str | None = None
    """RabbitMQ's management API with an account that may read bindings; only the journal needs it."""

    journal: bool = False
    """Keep every relayed event in `published`, with the subscriptions bound at that time. Costs one row per event."""

    host: str = "127.0.0.1"
    """Address the HTTP API listens on."""

    port: int | None = None
    """Port of the HTTP API; the service's own when not given, 0 for a free one."""

    key_set: str = ""
    """JSON Web Key Set (JSON text) that tokens are verified against; empty refuses every token."""

    outside: dict[str, str] = field(default_factory=dict)
    """Addresses and secrets of the world outside, by the names that the service's adapters use."""

    batch_count: int = 200
    """Messages in one transaction of a subscription, at most. Larger is faster and redoes more after a crash."""

    batch_bytes: int = 4 * 1024 * 1024
    """Bytes of message bodies in one transaction of a subscription, at most."""

    relay_batch: int = 500
    """Rows the relay sends in one write."""

    relay_window: int = 4
    """Batches of the relay whose confirms may be outstanding."""

    inbox_retention: timedelta = timedelta(days=14)
    """How long a handled message is remembered; must be longer than `redelivery_window`."""

    redelivery_window: timedelta = timedelta(days=7)
    """The longest time after which the broker may deliver a message once more."""

    discarded_retention: timedelta = timedelta(days=30)
    """How long a discarded message is kept, so that it can be restored."""

    history_retention: timedelta = timedelta(days=400)
    """How long it is remembered what people did about failed messages."""

    dead_letter_retention: timedelta | None = None
    """How long after its last failure a dead letter is let go by itself, as if somebody discarded it. None: never."""

    replica_check_every: timedelta | None = timedelta(days=1)
    """How long after it was filled or checked a replica is checked against its owner, and repaired. None: only when asked."""

    replica_patience: timedelta = timedelta(seconds=5)
    """How long a request waits for a replica to have what it asks for, at most. Then it is refused, to be sent again."""

    report_every: timedelta = timedelta(seconds=5)
    """How often a copy of the service looks whether there is news for operations of how it is doing."""

    pool_size: int = 10
    """Database connections for handlers, commands and workers."""
