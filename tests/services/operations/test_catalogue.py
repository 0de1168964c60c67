"""The catalogue of events says what the contracts say."""

from __future__ import annotations

import json

import jsonschema
import pytest

from contracts.backbone import FailedMessageChanged
from nilecare.platform import said_by_all, services
from services.operations import catalogue
from services.operations.overview import Platform, put_together
from tests.services.operations.test_overview import copy, subscription

EVENTS = {event.contract.name: event for service in services() for event in service.events} | {
    event.contract.name: event for event in said_by_all(services())
}


def test_every_event_is_in_it() -> None:
    """In its newest version, under who publishes it."""
    told = {
        event.name: (publisher, event.version) for publisher, events in catalogue.by_publisher().items() for event in events
    }
    declared = {
        name: (event.contract.publisher.replace("*", "every service"), event.contract.version) for name, event in EVENTS.items()
    }
    assert told == declared


@pytest.mark.parametrize("name", EVENTS)
def test_examples_are_valid(name: str) -> None:
    """By the schema that is shown, and by the code that reads it."""
    (newest, *_) = catalogue.versions(name)
    jsonschema.validate(json.loads(newest.example), json.loads(newest.schema))
    read = EVENTS[name].read(newest.example.encode(), newest.version)
    assert read.subject == str(json.loads(newest.example)[newest.key])


def test_a_field_says_what_it_may_be() -> None:
    """The key first; types in words; whose personal data it is."""
    (patient,) = catalogue.versions("patient.changed")
    fields = {field.name: field for field in patient.fields}
    assert patient.fields[0].name == "patient_id" == patient.key
    assert (fields["birth_date"].kind, fields["birth_date"].personal_of) == ("date", "patient_id")
    assert (fields["merged_into"].kind, fields["merged_into"].is_required) == ("uuid or null", False)
    assert fields["sex"].kind == '"female" or "male" or "other" or "unknown"'
    (result,) = catalogue.versions("lab.result.available")
    assert {field.name: field.kind for field in result.fields}["value"] == "decimal or null"
    (money,) = catalogue.versions("invoice.paid")
    assert {field.name: field.kind for field in money.fields}["amount"] == "Money"
    assert catalogue.versions("no.such") == []


def test_who_hears_it_is_as_services_say() -> None:
    """Not as this code was built: another team's service is in it too."""
    name = FailedMessageChanged.contract.name
    platform: Platform = put_together([copy("theirs", subscription("theirs.listen", name, "patient.changed"))], None, {})
    assert catalogue.heard(platform) == {name: ["theirs.listen"], "patient.changed": ["theirs.listen"]}
