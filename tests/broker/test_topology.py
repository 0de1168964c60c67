"""The derivation: declarations in, exchanges, queues, bindings, policies and permissions out."""

from __future__ import annotations

import re

import pytest

from broker import DeclarationError
from broker._topology import Binding, Exchange, Permission, Topology
from tests.broker.small_platform import InvoicePaid, ResultAvailable, billing, charge, lab, release, service, subscription


def test_each_service_has_one_exchange_and_each_subscription_one_queue() -> None:
    """One exchange per service, one queue per subscription, one for what the broker gives up."""
    topology = Topology.of([lab(), billing()])
    assert topology.exchanges == (Exchange("billing"), Exchange("lab"))
    assert [queue.name for queue in topology.queues] == ["billing.charge", "billing.dead", "lab.dead", "lab.release"]


def test_arguments_of_a_queue_say_only_what_never_changes() -> None:
    """Queue type and single active consumer are arguments; nothing else is. The dead queue is open to basic.get."""
    queues = {queue.name: queue.declaration["arguments"] for queue in Topology.of([lab(), billing()]).queues}
    assert queues["lab.release"] == {"x-queue-type": "quorum", "x-single-active-consumer": True}
    assert queues["lab.dead"] == {"x-queue-type": "quorum"}


def test_a_queue_is_bound_by_type_to_the_publisher_alone() -> None:
    """A type reaches a queue from its publisher's exchange only, and the queue's own address is bound there too."""
    topology = Topology.of([lab(), billing()])
    assert [binding for binding in topology.bindings if binding.queue == "billing.charge"] == [
        Binding("lab", "lab.result.available", "billing.charge"),
        Binding("lab", "to.billing.charge", "billing.charge"),
    ]


def test_every_queue_has_the_policy_meant_for_it() -> None:
    """Subscriptions' queues dead-letter at least once into the service's dead queue; that one never into itself."""
    topology = Topology.of([lab(), billing()])

    def definition(queue: str) -> dict[str, object]:
        holding = [policy for policy in topology.policies if re.search(policy.pattern, queue)]
        return max(holding, key=lambda policy: policy.priority).definition

    assert definition("lab.release") == {
        "delivery-limit": 1_000_000,
        "dead-letter-exchange": "",
        "dead-letter-routing-key": "lab.dead",
        "dead-letter-strategy": "at-least-once",
        "overflow": "reject-publish",
    }
    assert definition("lab.dead") == {"delivery-limit": 1_000_000, "overflow": "reject-publish"}


def test_policies_name_no_queue_type() -> None:
    """`apply-to` is one that RabbitMQ 3.10 knows."""
    assert {policy.declaration["apply-to"] for policy in Topology.of([lab(), billing()]).policies} == {"queues"}


def test_an_account_writes_its_exchange_reads_its_queues_and_configures_nothing() -> None:
    """Permissions follow the service's name exactly; the observer's are empty."""
    permissions = {permission.account: permission for permission in Topology.of([lab(), billing()], prefix="p").permissions}
    assert permissions["p_lab"] == Permission(account="p_lab", write="^lab$", read=r"^lab\.", configure="^$")
    assert permissions["p_observer"] == Permission(account="p_observer", write="^$", read="^$", configure="^$")


def test_a_renamed_subscription_keeps_its_old_address() -> None:
    """The new queue is bound to the addresses of its earlier names, so that an answer under way still arrives."""
    renamed = subscription(charge, ResultAvailable, name="bill", formerly=("charge",))
    topology = Topology.of([lab(), billing(renamed)])
    assert Binding("lab", "to.billing.charge", "billing.bill") in topology.bindings
    assert topology.former_queues == {"billing.charge": "billing.bill"}
    assert "billing.charge" not in {queue.name for queue in topology.queues}


def test_the_order_of_services_does_not_matter() -> None:
    """The same declarations give the same topology in whatever order they come."""
    assert Topology.of([lab(), billing()]) == Topology.of([billing(), lab()])


def test_definitions_hold_everything_but_accounts() -> None:
    """The definitions file has every exchange, queue, binding and policy under the virtual host asked for."""
    topology = Topology.of([lab(), billing()])
    definitions = topology.definitions("nile")
    counts = {kind: len(each) for kind, each in definitions.items()}
    assert counts == {"vhosts": 1, "exchanges": 2, "queues": 4, "bindings": 4, "policies": 4}
    assert {each["vhost"] for kind, part in definitions.items() if kind != "vhosts" for each in part} == {"nile"}


@pytest.mark.parametrize("name", ["dead", "Charge", "to.x", "ä", ""])
def test_a_name_that_cannot_be_a_queue_is_refused(name: str) -> None:
    """A subscription's name is refused when its queue would be the dead queue, or one that patterns could not tell apart."""
    declared = subscription(charge, ResultAvailable, name="x")
    object.__setattr__(declared, "name", name)
    with pytest.raises(DeclarationError):
        Topology.of([lab(), billing(declared)])


def test_a_subscription_to_what_nobody_publishes_is_refused() -> None:
    """An event whose publisher is not on the platform cannot be subscribed to."""
    with pytest.raises(DeclarationError, match="which no service publishes"):
        Topology.of([lab(subscription(release, InvoicePaid))])


def test_a_service_without_subscriptions_is_a_service() -> None:
    """A pure publisher has its exchange and its dead queue."""
    topology = Topology.of([service("lab", events=[ResultAvailable])])
    assert [queue.name for queue in topology.queues] == ["lab.dead"]
    assert not topology.bindings
