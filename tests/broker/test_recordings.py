"""What a recording says, and of whom it does not."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import UUID, uuid4

import pytest
from pydantic import BaseModel, Field, field_validator

from broker import Envelope, Service
from broker._context import uuid7
from broker._recordings import EPOCH, Recorded, Recording, RecordingError, read, write
from contracts.backbone import ReplicaRequested
from contracts.event import Event, Personal
from contracts.money import Money

BEGAN = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)


class Guest(BaseModel):
    """Who comes along."""

    full_name: Annotated[str, Personal(of="person_id")]
    is_child: bool


class Address(BaseModel):
    """Where somebody lives, which is personal as a whole."""

    street: str
    number: int


class RoomBooked(Event, name="room.booked", version=2, key="booking_id", publisher="hotel"):
    """Somebody comes."""

    booking_id: UUID
    person_id: UUID
    full_name: Annotated[str, Personal(of="person_id")]
    born: Annotated[date | None, Personal(of="person_id")]
    rating: Annotated[Literal["A", "B"], Personal(of="person_id")]
    email: Annotated[str | None, Personal(of="person_id")] = None
    home: Annotated[Address, Personal(of="person_id")]
    guests: tuple[Guest, ...] = ()
    arrives: date
    booked_at: datetime
    note: str = "none"
    price: Money = Money.of(12)
    paid: Money | None = None
    rooms: dict[str, int] = Field(default_factory=dict)


class RoomCleaned(Event, name="room.cleaned", version=1, key="booking_id", publisher="hotel"):
    """It is ready."""

    booking_id: UUID


class SpaBooked(Event, name="spa.booked", version=1, key="booking_id", publisher="hotel"):
    """Somebody's code is a telephone number, and may not be hidden."""

    booking_id: UUID
    code: Annotated[str, Personal(of="booking_id")]

    @field_validator("code")
    @classmethod
    def _is_number(cls, code: str) -> str:
        if not code.isdecimal():
            raise ValueError
        return code


hotel = Service(name="hotel", port=0, contracts=sys.modules[__name__], trusts_auth=False)
BOOKED = RoomBooked(
    booking_id=uuid4(), person_id=uuid4(), full_name="Amal Idris", born=date(1957, 3, 9), rating="B",
    home=Address(street="Nile Avenue", number=12),
    guests=(Guest(full_name="Amina Idris", is_child=True),), arrives=date(2026, 3, 8), booked_at=BEGAN + timedelta(hours=1),
    rooms={"double": 1},
)  # fmt: skip


def said(event: Event, *, cause: Envelope | None = None, after: float = 0, **changes: Any) -> Envelope:
    """The event as it is heard."""
    made: dict[str, Any] = {
        "id": uuid7(), "type": event.contract.name, "source": event.contract.publisher, "subject": event.subject,
        "version": event.contract.version, "sequence": 1, "flow": UUID(int=9), "cause": cause.id if cause else None,
        "trace": None, "time": BEGAN + timedelta(seconds=after), "body": event.model_dump_json().encode(),
    }  # fmt: skip
    return Envelope(**made | changes)


def lines(*envelopes: Envelope) -> Sequence[Recorded]:
    """Their recording."""
    recording = Recording.of(envelopes, [hotel])
    assert recording.left_out == []
    return recording.lines


def test_nobody_is_named() -> None:
    """Something of its kind stands for what is personal, where there was something; and the contract allows it."""
    [line] = lines(said(BOOKED))
    body = line.body
    assert [body[name] for name in ("full_name", "born", "rating", "email")] == ["•••", "2026-03-01", "A", None]
    assert body["home"] == {"street": "•••", "number": 1}
    assert body["guests"] == [{"full_name": "•••", "is_child": True}]
    assert (body["price"], body["paid"], body["rooms"]) == ({"amount": "12.00", "currency": "USD"}, None, {"double": 1})
    assert RoomBooked.model_validate(body)


def test_ids_are_numbers_that_refer() -> None:
    """The same one is the same everywhere, in the order of appearance; none is the real one."""
    first, second = lines(said(BOOKED), said(RoomCleaned(booking_id=BOOKED.booking_id)))
    assert first.subject == first.body["booking_id"] == "00000000-0000-4000-8000-000000000001"
    assert second.subject == second.body["booking_id"] == first.body["booking_id"]
    assert first.body["person_id"] == "00000000-0000-4000-8000-000000000002"
    assert str(BOOKED.person_id) not in first.model_dump_json()


def test_an_id_in_a_text_is_one_too() -> None:
    """Wherever it stands."""
    booked = BOOKED.model_copy(update={"note": f"as {BOOKED.person_id}"})
    [line] = lines(said(booked))
    assert line.body["note"] == f"as {line.body['person_id']}"


def test_times_are_told_from_the_beginning() -> None:
    """Moments and days keep their distance to the first message."""
    first, second = lines(said(BOOKED), said(RoomCleaned(booking_id=uuid4()), after=1.25))
    assert (first.after, second.after) == (0, 1.25)
    assert datetime.fromisoformat(first.body["booked_at"]) == EPOCH + timedelta(hours=1)
    assert date.fromisoformat(first.body["arrives"]) == EPOCH.date() + timedelta(days=7)


def test_a_cause_goes_before_its_effect() -> None:
    """Also where it was heard after it; what was caused by something unheard says so."""
    cause = said(BOOKED)
    effect = said(RoomCleaned(booking_id=BOOKED.booking_id), cause=cause)
    other = said(RoomCleaned(booking_id=uuid4()), cause=said(BOOKED))
    assert [(line.number, line.type, line.cause) for line in lines(effect, other, cause)] == [
        (1, "room.booked", None),
        (2, "room.cleaned", 1),
        (3, "room.cleaned", None),
    ]


def test_what_is_not_the_contracts_is_left_out() -> None:
    """A field that is not known, as it may say anything; a type or version that is not, and is told of; the backbone's talk."""
    body = BOOKED.model_dump_json().encode().replace(b'"full_name"', b'"passport":"P1","full_name"', 1)
    asked = ReplicaRequested(replica="hotel.guest", run_id=uuid4(), type="room.booked")
    recording = Recording.of(
        [said(BOOKED, body=body), said(asked, source="hotel"), said(BOOKED, version=3), said(BOOKED, type="room.lost")], [hotel]
    )
    assert recording.left_out == ["room.booked v3 is not known to this code", "room.lost v2 is not known to this code"]
    [line] = recording.lines
    assert "passport" not in line.body
    assert Recording.of([], [hotel]) == Recording([], [])


def test_what_cannot_be_masked_is_left_out() -> None:
    """That is told by the type and the field, without what is in it; and it is nobody's cause."""
    spa = said(SpaBooked(booking_id=uuid4(), code="0912345678"))
    cleaned = said(RoomCleaned(booking_id=uuid4()), cause=spa)
    recording = Recording.of([spa, said(BOOKED, body=b'{"full_name": 1}'), cleaned], [hotel])
    assert recording.left_out == [
        "room.booked v2 does not fit its contract",
        "spa.booked does not fit its contract once it is masked: code",
    ]
    assert [(line.number, line.type, line.cause) for line in recording.lines] == [(1, "room.cleaned", None)]


def test_a_file_says_the_same(tmp_path: Path) -> None:
    """A line each; a second recording takes the first one's place."""
    file = tmp_path / "stay.jsonl"
    made = lines(said(BOOKED), said(RoomCleaned(booking_id=uuid4())))
    write(file, made)
    write(file, made[:1])
    assert read(file) == made[:1]
    assert [each.name for each in tmp_path.iterdir()] == ["stay.jsonl"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is empty"),
        ("tea\n", "line 1: the line is not as"),
        ('{"number": "one"}\n', "line 1: after, body, cause, number, source, subject, type, version is not as"),
    ],
)
def test_a_file_of_another_kind_is_refused(tmp_path: Path, text: str, says: str) -> None:
    """With its line."""
    (tmp_path / "stay.jsonl").write_text(text)
    with pytest.raises(RecordingError, match=f"^stay.jsonl,? {says}"):
        read(tmp_path / "stay.jsonl")
