"""The base of every event."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Annotated, Any
from uuid import UUID, uuid4

import pytest
from pydantic import ValidationError

from contracts.event import ERASURES, Event, NewerVersion, Personal, StateEvent, personal_fields, upcaster


class Weighed(Event, name="parcel.weighed", version=3, key="parcel_id", publisher="post"):
    """A parcel was put on the scales."""

    parcel_id: UUID
    grams: int
    scales: str
    sender_name: Annotated[str | None, Personal(of="sender_id")] = None
    sender_id: UUID | None = None

    @upcaster(since=1)
    @staticmethod
    def _in_grams(data: dict[str, Any]) -> dict[str, Any]:
        return {**{name: value for name, value in data.items() if name != "kilograms"}, "grams": data["kilograms"] * 1000}

    @upcaster(since=2)
    @staticmethod
    def _on_known_scales(data: dict[str, Any]) -> dict[str, Any]:
        return {**data, "scales": "unknown"}


def test_an_event_knows_its_name_version_key_and_publisher() -> None:
    """What stands in the class line is the contract."""
    contract = Weighed.contract
    assert (contract.name, contract.version, contract.key, contract.publisher) == ("parcel.weighed", 3, "parcel_id", "post")


def test_the_publisher_is_the_module_it_stands_in() -> None:
    """`contracts/lab.py` holds what the lab publishes."""
    from contracts.lab import LabResultAvailable

    assert LabResultAvailable.contract.publisher == "lab"


def test_the_subject_is_the_key_as_text() -> None:
    """The subject tells which aggregate the event is about."""
    parcel = uuid4()
    assert Weighed(parcel_id=parcel, grams=5, scales="A").subject == str(parcel)


class CounterRead(Event, name="counter.read", version=1, key="read_at", publisher="post"):
    """Somebody looked at the counter."""

    read_at: datetime


def test_the_subject_is_the_key_as_the_body_has_it() -> None:
    """A key that is a time reads the same in both."""
    event = CounterRead(read_at=datetime(2026, 1, 1, 8, 30, tzinfo=UTC))
    assert event.subject == json.loads(event.model_dump_json())["read_at"] == "2026-01-01T08:30:00Z"


def test_a_key_that_is_no_field_is_refused() -> None:
    """A typing error in the key is found when the module is imported."""
    with pytest.raises(TypeError, match="parcle_id"):

        class Lost(Event, name="parcel.lost", key="parcle_id", publisher="post"):
            parcel_id: UUID


def test_a_publisher_may_not_add_fields() -> None:
    """What the contract does not have cannot be said."""
    with pytest.raises(ValidationError):
        Weighed(parcel_id=uuid4(), grams=5, scales="A", colour="red")  # type: ignore[call-arg]


def test_a_consumer_ignores_fields_it_does_not_know() -> None:
    """A publisher may add a field before its subscribers know it."""
    body = json.dumps({"parcel_id": str(uuid4()), "grams": 5, "scales": "A", "colour": "red"}).encode()
    assert Weighed.read(body, 3).grams == 5


def test_older_versions_are_brought_up_step_by_step() -> None:
    """A subscriber that knows version 3 receives version 1 too."""
    body = json.dumps({"parcel_id": str(uuid4()), "kilograms": 2}).encode()
    weighed = Weighed.read(body, 1)
    assert (weighed.grams, weighed.scales) == (2000, "unknown")


def test_a_newer_version_is_told_apart_from_a_broken_one() -> None:
    """A message from newer code is not invalid: it waits for this code to be replaced."""
    with pytest.raises(NewerVersion):
        Weighed.read(b"{}", 4)


def test_an_event_is_made_from_an_object_of_the_same_attributes() -> None:
    """`of` reads the fields from the aggregate; what is given by name wins."""
    source = SimpleNamespace(parcel_id=uuid4(), grams=1, scales="A", sender_name=None, sender_id=None, shelf=9)
    assert Weighed.of(source, grams=7).grams == 7


def test_personal_fields_are_listed_with_whose_they_are() -> None:
    """The mark on the field names the field that holds the person's id, and shows in the schema."""
    assert personal_fields(Weighed) == {"sender_name": "sender_id"}
    assert Weighed.model_json_schema()["properties"]["sender_name"]["x-personal-data-of"] == "sender_id"


def test_a_state_event_needs_a_version_above_zero() -> None:
    """Versions start at one, so that a replica that never saw the key is always older."""

    class Changed(StateEvent, name="parcel.changed", key="parcel_id", publisher="post"):
        parcel_id: UUID

    with pytest.raises(ValidationError):
        Changed(parcel_id=uuid4(), state_version=0)


def test_who_is_erased_is_named_by_a_uuid() -> None:
    """An event that erases says by which field; another kind of id would be mistaken for somebody else's."""

    class Left(Event, name="sender.left", key="sender_id", erases="sender_id"):
        sender_id: UUID

    assert Left.contract.erases == "sender_id"
    assert ERASURES.pop("sender_id") == [Left]
    with pytest.raises(TypeError, match="it erases 'sender_id', which is no field of it that holds a UUID"):

        class Gone(Event, name="sender.gone", key="sender_id", erases="sender_id"):
            sender_id: str
