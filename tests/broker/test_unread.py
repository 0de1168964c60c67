"""Of a body that somebody edited, the fields that nobody will read are named, however deep."""

from __future__ import annotations

import pytest
from pydantic import BaseModel

from broker._unread import unread
from contracts.event import Event


class Price(BaseModel):
    amount: int
    currency: str


class Line(BaseModel):
    item: str
    price: Price | None = None


class Ordered(Event, name="shop.ordered", key="order", publisher="shop"):
    order: str
    lines: tuple[Line, ...] = ()
    payer: Price | Line | None = None
    notes: dict[str, str] | None = None


BEFORE = {"order": "a", "lines": [{"item": "x"}, {"item": "y", "size": 3}], "newer": {"of": 1}}


@pytest.mark.parametrize(
    ("edited", "fields"),
    [
        (BEFORE, []),
        ({"order": "a", "newer": {"of": {"any": "kind"}}, "notes": {"any": "name"}}, []),
        ({"order": "a", "lines": [{"item": "y", "size": 4}]}, []),
        ({"order": "a", "lines": [{"item": "x", "price": {"amount": 1, "currency": "KES"}}]}, []),
        ({"order": "a", "payer": {"item": "x", "currency": "KES"}}, []),
        ({"ordre": "a"}, ["ordre"]),
        ({"lines": [{"item": "x"}, {"itme": "y", "price": {"amuont": 1}}]}, ["lines.1.itme", "lines.1.price.amuont"]),
        ({"payer": {"size": 3}, "order": 1, "lines": "none"}, ["payer.size"]),
    ],
)
def test_what_neither_contract_nor_original_has(edited: dict[str, object], fields: list[str]) -> None:
    """A field is known where the contract has it, or the body had it before: in a list, any of its elements."""
    assert unread(edited, BEFORE, Ordered) == fields


def test_a_body_that_was_none_had_no_field() -> None:
    """Then the contract alone says it."""
    assert unread(BEFORE, None, Ordered) == ["lines.1.size", "newer"]
