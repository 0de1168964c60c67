"""Every event stands where one looks for it."""

from __future__ import annotations

import importlib
import pkgutil

import pytest

import contracts
from broker._service import events_in
from contracts.event import EVERY_SERVICE, Event
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
