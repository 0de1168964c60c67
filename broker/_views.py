"""The bases of what an HTTP API takes and shows."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Asked(BaseModel):
    """The body of a request; a field that is not known is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Shown(BaseModel):
    """What a reply shows of a row: `OrderView.model_validate(order)` takes the attributes of the same names."""

    model_config = ConfigDict(from_attributes=True)
