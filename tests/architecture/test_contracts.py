"""Every event stands where one looks for it."""

from __future__ import annotations

import importlib
import pkgutil

import pytest

import contracts
from broker import Service
from broker._persons import kinds_of
from contracts.event import ERASURES, EVERY_SERVICE, Event, events_in
from nilecare.platform import services

MODULES = sorted(module.name for module in pkgutil.iter_modules(contracts.__path__) if not module.ispkg)
EVENTS = [event for name in MODULES for event in events_in(importlib.import_module(f"contracts.{name}"))]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.contract.name)
def test_an_event_belongs_to_the_service_whose_file_it_stands_in(event: type[Event]) -> None:
    """contracts/<service>.py holds what <service> publishes, contracts/backbone.py what all of them do."""
    if event.contract.publisher == EVERY_SERVICE:
        assert event.__module__ == "contracts.backbone"
        return
    assert event.__module__ == f"contracts.{event.contract.publisher}"
    assert event.contract.publisher in {service.name for service in services()}


def test_no_two_events_have_one_name_and_version() -> None:
    """A name and version mean one schema."""
    names = [(event.contract.name, event.contract.version) for event in EVENTS]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("service", services(), ids=lambda service: service.name)
def test_who_may_have_data_of_persons_who_can_be_erased_hears_of_it(service: Service) -> None:
    """By the marks of what it publishes and reads: whoever else erases such persons stands in a contract that it reads."""
    marked = frozenset[str]().union(*(kinds_of(event) for event in service.known_events))
    heard = [each for subscription in service.subscriptions if subscription.name == "erasures" for each in subscription.events]
    assert {event.contract.erases for event in heard} == marked & ERASURES.keys()
