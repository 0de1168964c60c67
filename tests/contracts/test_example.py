"""Examples are valid, and the publisher's own where it gives some."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import jsonschema
import pytest
from pydantic import BaseModel, Field, create_model

from contracts.example import NoExample, example

ALLOWED: list[tuple[Any, Any, Any]] = [
    (Annotated[str, Field(examples=["2345-7", "718-7"])], "2345-7", "2345-7"),
    (Annotated[str, Field(pattern="^[A-Z]{3}$")], "USD", "USD"),
    (Annotated[str, Field(min_length=6)], "text..", "text.."),
    (Annotated[str, Field(max_length=2)], "te", "te"),
    (Annotated[int, Field(gt=4)], 5, 5),
    (Annotated[int, Field(ge=7)], 7, 7),
    (Annotated[float, Field(le=0.5)], 0.5, 0.5),
    (Annotated[list[int], Field(min_length=2)], [1, 1], [1, 1]),
    (tuple[int, str], [1, "text"], [1, "text"]),
    (Literal["stat", "routine"], "stat", "stat"),
    (str | None, "text", None),
    (dict[str, int], {}, {}),
]


@pytest.mark.parametrize(("kind", "full", "sparse"), ALLOWED, ids=str)
def test_a_value_fits_its_limits(kind: Any, full: Any, sparse: Any) -> None:
    """Also where nothing stands that does not have to."""
    model: type[BaseModel] = create_model("Model", value=(kind, ...))
    schema = model.model_json_schema()
    for wanted, is_sparse in ((full, False), (sparse, True)):
        made = example(schema, is_sparse=is_sparse)
        assert made == {"value": wanted}
        jsonschema.validate(made, schema)


def test_what_cannot_be_guessed_is_said() -> None:
    """With its place."""

    class Licensed(BaseModel):
        plate: Annotated[str, Field(pattern=r"^\d\d-[A-Z]{4}$")]

    class Fleet(BaseModel):
        vehicles: Annotated[list[Licensed], Field(min_length=1)]

    with pytest.raises(NoExample, match=r"^\$\.vehicles\[0\]\.plate: "):
        example(Fleet.model_json_schema())
