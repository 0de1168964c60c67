"""Released contracts cannot break, and everybody can see what they are."""

from __future__ import annotations

from types import ModuleType
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from pydantic import BaseModel, Field

from broker import Service, on
from contracts.event import Event, Personal, upcaster
from nilecare.contracts import problems
from nilecare.schemas import Snapshot, breaking_changes, release, released


class Address(BaseModel):
    street: str
    zip: str | None = None


class Sent(Event, name="parcel.sent", version=1, key="parcel_id", publisher="post"):
    """A parcel went off."""

    parcel_id: UUID
    grams: int
    speed: Literal["slow", "fast"]
    to: Address
    note: Annotated[str | None, Personal(of="parcel_id")] = None


def changed(**fields: Any) -> Snapshot:
    """The contract of Sent with other fields; a field given as None is left out."""
    kept = {name: info.annotation for name, info in Sent.model_fields.items()} | fields
    body: dict[str, Any] = {
        "__annotations__": {name: kind for name, kind in kept.items() if kind is not None},
        "__module__": __name__,
    }
    if kept.get("note") is not None:
        body["note"] = None
    make: Any = type(Event)
    return Snapshot.of(make("Sent", (Event,), body, name="parcel.sent", version=1, key="parcel_id", publisher="post"))


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({"grams": None}, "field grams was removed"),
        ({"grams": str}, "field grams changed from integer to string"),
        ({"grams": int | None}, "field grams changed from integer to integer or null"),
        ({"weight": int}, "field weight is new and required: give it a default, or release a new version"),
        ({"speed": Literal["slow"]}, 'field speed no longer allows "fast"'),
        ({"to": UUID}, "field to changed from object to string (format=uuid)"),
    ],
)
def test_a_breaking_change_is_said_in_one_line(fields: dict[str, Any], line: str) -> None:
    """Each kind of breaking change of a released version has its sentence."""
    assert breaking_changes(Snapshot.of(Sent), changed(**fields)) == [line]


def test_a_changed_key_breaks() -> None:
    """Order holds per key, so that another key is another order."""
    now = Snapshot.of(Sent)
    other = Snapshot(now.name, now.version, now.publisher, "grams", now.data)
    assert breaking_changes(now, other) == ["its key changed from parcel_id to grams: order holds per key"]


@pytest.mark.parametrize(
    "fields", [{"speed": Literal["slow", "fast", "express"]}, {"grams": Annotated[int, Field(examples=[250])]}, {}]
)
def test_growth_breaks_nobody(fields: dict[str, Any]) -> None:
    """A wider enumeration, an example and an unchanged contract are no breaking changes."""
    assert breaking_changes(changed(), changed(**fields)) == []


def platform(*events: type[Event], reads: type[Event]) -> list[Service]:
    """A publisher of `events`, and a subscriber that reads one of them."""
    contracts = ModuleType("contracts_of_post")
    for event in events:
        event.__module__ = contracts.__name__
        setattr(contracts, event.__name__, event)
    handlers = ModuleType("handlers_of_shop")

    async def tell_the_customer(event: Event) -> None:
        """Says so."""

    tell_the_customer.__module__ = handlers.__name__
    handlers.tell = on(reads, name="tell")(tell_the_customer)  # type: ignore[attr-defined]
    return [
        Service(name="post", port=1, contracts=contracts),
        Service(name="shop", port=2, contracts=ModuleType("contracts_of_shop"), handlers=handlers),
    ]


def second_version(*, with_upcaster: bool) -> type[Event]:
    """Version 2 of Sent, which weighs in kilograms."""

    class SentV2(Event, name="parcel.sent", version=2, key="parcel_id", publisher="post"):
        """A parcel went off."""

        parcel_id: UUID
        kilograms: float

        if with_upcaster:

            @upcaster(since=1)
            @staticmethod
            def _in_kilograms(data: dict[str, Any]) -> dict[str, Any]:
                return {"parcel_id": data["parcel_id"], "kilograms": data["grams"] / 1000}

    return SentV2


def snapshots(*events: type[Event]) -> dict[tuple[str, int], Snapshot]:
    """These events, as if they were released."""
    return {(event.contract.name, event.contract.version): Snapshot.of(event) for event in events}


def test_an_unreleased_contract_says_what_to_do() -> None:
    """Whoever adds an event is told the command."""
    assert list(problems(platform(Sent, reads=Sent), {})) == [
        "parcel.sent v1 is not released: run `nilecare contracts release`"
    ]


def test_a_new_version_without_upcaster_lists_who_cannot_read_the_old_one() -> None:
    """Messages of the released version may still be on their way to these subscribers."""
    newer = second_version(with_upcaster=False)
    (line,) = problems(platform(newer, reads=newer), snapshots(Sent, newer))
    assert "parcel.sent v1 may still be on its way" in line
    assert line.endswith("shop.tell")


def test_a_new_version_with_upcaster_is_fine() -> None:
    """A subscriber that knows v2 receives v1 too."""
    newer = second_version(with_upcaster=True)
    assert list(problems(platform(newer, reads=newer), snapshots(Sent, newer))) == []


def test_a_subscriber_left_behind_is_named() -> None:
    """Whoever still reads v1 cannot read v2 yet."""
    newer = second_version(with_upcaster=True)
    (line,) = problems(platform(Sent, newer, reads=Sent), snapshots(Sent, newer))
    assert line.startswith("shop.tell cannot read parcel.sent v2 yet: it knows v1")


def test_a_released_event_that_is_gone_is_named() -> None:
    """An event cannot silently disappear."""
    assert any("was released and is gone" in line for line in problems([], snapshots(Sent)))


def test_releasing_writes_each_schema_once(tmp_path: Any) -> None:
    """A second release of the same contracts writes nothing."""
    assert release([Sent], tmp_path) == ["parcel.sent.v1.json"]
    assert release([Sent], tmp_path) == []
    assert released(tmp_path) == snapshots(Sent)
