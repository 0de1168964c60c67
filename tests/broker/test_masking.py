"""Whoever may not see personal data sees the rest; what is saved back keeps what was masked."""

from __future__ import annotations

import json
from typing import Annotated
from uuid import UUID, uuid4

import pytest
from pydantic import BaseModel

from broker._masking import MASK, MaskCannotBeSaved, masked, unmasked, without_hidden
from contracts.event import Event, Personal


class Relative(BaseModel):
    relation: str
    full_name: Annotated[str, Personal(of="patient_id")]


class Moved(Event, name="patient.moved", key="patient_id", publisher="ward"):
    patient_id: UUID
    full_name: Annotated[str, Personal(of="patient_id")]
    phone: Annotated[str | None, Personal(of="patient_id")] = None
    beds: int
    relatives: tuple[Relative, ...] = ()


PATIENT = uuid4()
WHOLE = {
    "patient_id": str(PATIENT),
    "full_name": "Amina Njeri",
    "phone": None,
    "beds": 2,
    "relatives": [{"relation": "sister", "full_name": "Zawadi Njeri"}],
}


def seen(data: object, event: type[Event] | None = Moved) -> object:
    return json.loads(masked(json.dumps(data).encode(), event))


def test_personal_fields_are_masked_however_deep() -> None:
    """The marks of the contract decide, also those of models within it; an absent value is no secret."""
    assert seen(WHOLE) == WHOLE | {"full_name": MASK, "relatives": [{"relation": "sister", "full_name": MASK}]}


def test_what_nobody_declared_is_masked() -> None:
    """A field that no contract knows, a value that is not of its field's type, and all of what no contract is known for."""
    assert seen(WHOLE | {"nickname": "Mina"})["nickname"] == MASK  # type: ignore[index]
    assert seen(WHOLE | {"beds": "Amina"})["beds"] == MASK  # type: ignore[index]
    assert seen(WHOLE | {"relatives": [{"relation": {"Amina": 1}}, "Amina"]})["relatives"] == [{"relation": MASK}, MASK]  # type: ignore[index]
    assert set(seen(WHOLE, None).values()) == {MASK, None}  # type: ignore[attr-defined]
    assert seen(["Amina"]) == MASK


def test_what_is_masked_is_masked_in_what_is_said_of_it() -> None:
    """A whole value, or a name of it, in any case; not the values that are shown, and no part of another word."""

    def said(words: str, event: type[Event] | None = Moved) -> str:
        return without_hidden(words, json.dumps(WHOLE).encode(), event)

    assert said("Amina Njeri has no bed") == f"{MASK} has no bed"
    assert said("no bed for njeri: 2 beds, sister 'Zawadi'") == f"no bed for {MASK}: 2 beds, sister '{MASK}'"
    assert said("Aminas are no Njeris") == "Aminas are no Njeris"
    assert said(f"patient {PATIENT} and a sister", None) == f"patient {MASK} and a {MASK}"
    assert without_hidden("Amina", b"Amina", Moved) == "Amina"
    assert without_hidden("Amina", b'"Amina"', Moved) == MASK


def test_what_is_no_json_shows_its_size() -> None:
    """Nothing of it."""
    assert masked(b"Amina", Moved) == "(5 bytes that are not JSON)"
    assert masked(b"\xff\xfe", Moved) == "(2 bytes that are not JSON)"


def test_masked_values_come_back() -> None:
    """What a correction leaves masked is what it was; what it says is said."""
    edited = seen(WHOLE) | {"beds": 3}  # type: ignore[operator]
    assert unmasked(edited, WHOLE) == WHOLE | {"beds": 3}


@pytest.mark.parametrize(
    "edited", [{"nickname": MASK}, {"relatives": [{"full_name": MASK}, {"full_name": MASK}]}, {"beds": {"deep": MASK}}]
)
def test_a_mask_without_an_original_is_refused(edited: object) -> None:
    """It must never reach a handler as if it were a value."""
    with pytest.raises(MaskCannotBeSaved):
        unmasked(edited, WHOLE)
