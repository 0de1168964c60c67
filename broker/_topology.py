"""What RabbitMQ must hold, derived from the services' declarations and from nothing else.

One durable topic exchange per service, one quorum queue per subscription with a single active consumer, `<service>.dead` for
what the broker itself gives up, and for each service an account that writes its exchange and reads its queues. Arguments of a
queue can never be changed, so they say only what never will; everything else stands in policies.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from broker._envelope import ADDRESSED
from broker._service import Service, check_platform
from broker._subscriptions import Subscription
from broker.errors import DeclarationError
from contracts.event import EVERY_SERVICE

DELIVERY_LIMIT = 1_000_000
"""Deliveries of one message before the broker gives it up. A backstop: batches condemn by evidence, long before. Some limit
must be set, or RabbitMQ 3.10 does not put a requeued message back in its place, and 4.x gives it up after 20."""

OURS = "backbone."
"""What the names of our policies begin with, so that an operator's own are left alone."""

OBSERVER = "observer"
"""The account that may look at bindings and depths, and touch nothing."""

NAME = re.compile(r"[a-z][a-z0-9_-]*")


@dataclass(frozen=True, slots=True, order=True)
class Exchange:
    """A durable topic exchange: what one service publishes."""

    kind: ClassVar = "exchange"

    name: str

    @property
    def declaration(self) -> dict[str, Any]:
        """As the management API takes it."""
        return {"type": "topic", "durable": True, "auto_delete": False, "internal": False, "arguments": {}}


@dataclass(frozen=True, slots=True, order=True)
class Queue:
    """A quorum queue.

    in_order: has a single active consumer, so that copies of a service stand by and order holds. RabbitMQ refuses basic.get,
    and so a person's look from its management pages, on such a queue: what is dead is not one.
    formerly: queues whose messages it goes on with after a rename.
    """

    kind: ClassVar = "queue"

    name: str
    in_order: bool = True
    formerly: tuple[str, ...] = ()

    @property
    def declaration(self) -> dict[str, Any]:
        """As the management API takes it."""
        ordered = {"x-single-active-consumer": True} if self.in_order else {}
        return {"durable": True, "auto_delete": False, "arguments": {"x-queue-type": "quorum", **ordered}}


@dataclass(frozen=True, slots=True, order=True)
class Binding:
    """Messages of an exchange with this routing key reach the queue."""

    kind: ClassVar = "binding"

    exchange: str
    routing_key: str
    queue: str

    @property
    def name(self) -> str:
        """As it is shown."""
        return f"{self.exchange} --{self.routing_key}--> {self.queue}"

    @property
    def declaration(self) -> dict[str, Any]:
        """As the management API takes it."""
        return {"routing_key": self.routing_key, "arguments": {}}


@dataclass(frozen=True, slots=True)
class Policy:
    """What holds for every queue whose name matches `pattern`; of several that match, the highest priority."""

    kind: ClassVar = "policy"

    name: str
    pattern: str
    priority: int
    definition: dict[str, Any]

    @property
    def declaration(self) -> dict[str, Any]:
        """As the management API takes it. `apply-to` names no queue type: RabbitMQ 3.10 does not know that."""
        return {"pattern": self.pattern, "apply-to": "queues", "priority": self.priority, "definition": self.definition}


@dataclass(frozen=True, slots=True, order=True)
class Permission:
    """What an account may do, as regular expressions over the names of exchanges and queues."""

    kind: ClassVar = "account"

    account: str
    write: str
    read: str
    configure: str = "^$"

    @property
    def name(self) -> str:
        """As it is shown."""
        return self.account

    @property
    def declaration(self) -> dict[str, Any]:
        """As the management API takes it."""
        return {"configure": self.configure, "write": self.write, "read": self.read}


Part = Exchange | Policy | Queue | Binding | Permission


@dataclass(frozen=True, slots=True, kw_only=True)
class Topology:
    """Everything the broker must hold for a set of services, sorted by name. Accounts are named `<prefix>_<service>`."""

    prefix: str
    exchanges: tuple[Exchange, ...]
    queues: tuple[Queue, ...]
    bindings: tuple[Binding, ...]
    policies: tuple[Policy, ...]
    permissions: tuple[Permission, ...]

    @classmethod
    def of(cls, services: Iterable[Service], *, prefix: str = "nilecare") -> Self:
        """The topology that the services' declarations ask for.

        Raises DeclarationError where declarations contradict each other or a name cannot be a queue's.
        """
        services = sorted(services, key=lambda service: service.name)
        check_platform(services)
        for service in services:
            _check_names(service)
        return cls(
            prefix=prefix,
            exchanges=tuple(Exchange(service.name) for service in services),
            queues=tuple(sorted(queue for service in services for queue in _queues(service))),
            bindings=tuple(
                sorted(
                    {
                        binding
                        for service in services
                        for subscription in service.subscriptions
                        for binding in _bindings(service, subscription, [each.name for each in services])
                    }
                )
            ),
            policies=tuple(policy for service in services for policy in _policies(service)),
            permissions=(
                *(_permission(service, f"{prefix}_{service.name}") for service in services),
                Permission(account=f"{prefix}_{OBSERVER}", write="^$", read="^$"),
            ),
        )

    @property
    def parts(self) -> tuple[Part, ...]:
        """All of it, in the order to declare it: policies before queues, so that no message is ever in a queue without them."""
        return (*self.exchanges, *self.policies, *self.queues, *self.bindings, *self.permissions)

    @property
    def former_queues(self) -> dict[str, str]:
        """The queues that were renamed, each with the one that goes on with its messages."""
        return {former: queue.name for queue in self.queues for former in queue.formerly}

    def definitions(self, vhost: str) -> dict[str, Any]:
        """A definitions file for RabbitMQ (`rabbitmqctl import_definitions`, `load_definitions`).

        Without accounts, and so without permissions: RabbitMQ refuses a file whose permissions name unknown accounts.
        """
        return {
            "vhosts": [{"name": vhost}],
            "exchanges": [{"name": each.name, "vhost": vhost, **each.declaration} for each in self.exchanges],
            "queues": [{"name": each.name, "vhost": vhost, **each.declaration} for each in self.queues],
            "bindings": [
                {
                    "source": each.exchange,
                    "vhost": vhost,
                    "destination": each.queue,
                    "destination_type": "queue",
                    **each.declaration,
                }
                for each in self.bindings
            ],
            "policies": [{"name": each.name, "vhost": vhost, **each.declaration} for each in self.policies],
        }


def former_queues(service: Service, subscription: Subscription) -> tuple[str, ...]:
    """The queues of the subscription's earlier names: emptied before its own is begun."""
    return tuple(f"{service.name}.{name}" for name in subscription.formerly)


def address_of(queue: str) -> str:
    """The routing key of a message that is meant for one queue alone."""
    return f"{ADDRESSED}{queue}"


def _check_names(service: Service) -> None:
    for name in (service.name, *(name for each in service.subscriptions for name in (each.name, *each.formerly))):
        if not NAME.fullmatch(name):
            raise DeclarationError(f"{name!r} of {service.name} cannot name a queue: use a-z, 0-9, - and _, a letter first")
        if f"{service.name}.{name}" == service.dead_queue:
            raise DeclarationError(f"{service.name} cannot have a subscription named dead: the queue of that name is taken")


def _queues(service: Service) -> list[Queue]:
    own = [Queue(service.queue(each), formerly=former_queues(service, each)) for each in service.subscriptions]
    return [*own, Queue(service.dead_queue, in_order=False)]


def _bindings(service: Service, subscription: Subscription, publishers: Sequence[str]) -> set[Binding]:
    """Each type on its publisher's exchange (what every service says: on all of them); and on each of these exchanges the
    queue's addresses, the earlier ones too."""
    queue = service.queue(subscription)
    addresses = [address_of(name) for name in (queue, *former_queues(service, subscription))]
    contracts = [event.contract for event in subscription.events]
    return {
        Binding(publisher, key, queue)
        for contract in contracts
        if not contract.is_addressed
        for publisher in (publishers if contract.publisher == EVERY_SERVICE else [contract.publisher])
        for key in (contract.name, *addresses)
    }


def _policies(service: Service) -> tuple[Policy, Policy]:
    """The dead queue has a policy of its own: under the first one it would dead-letter into itself.

    At-least-once dead-lettering needs `reject-publish`; without it the broker falls back to at-most-once, silently.
    """
    name = re.escape(service.name)
    limit = {"delivery-limit": DELIVERY_LIMIT}
    given_up = {
        "dead-letter-exchange": "",
        "dead-letter-routing-key": service.dead_queue,
        "dead-letter-strategy": "at-least-once",
        "overflow": "reject-publish",
    }
    return (
        Policy(f"{OURS}{service.name}", rf"^{name}\.", 0, {**limit, **given_up}),
        Policy(f"{OURS}{service.dead_queue}", rf"^{name}\.dead$", 1, {**limit, "overflow": "reject-publish"}),
    )


def _permission(service: Service, account: str) -> Permission:
    name = re.escape(service.name)
    return Permission(account=account, write=f"^{name}$", read=rf"^{name}\.")
