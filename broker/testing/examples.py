"""Events to tell: valid examples of contracts, with what matters to a test."""

from __future__ import annotations

from typing import Any, TypeVar
from uuid import uuid4

from broker._clock import clock
from contracts.event import Event
from contracts.example import FIXED, Examples, Makers

E = TypeVar("E", bound=Event)

FRESH: Makers = {
    **FIXED,
    "uuid": lambda: str(uuid4()),
    "date-time": lambda: clock.now().isoformat(),
    "date": lambda: clock.now().date().isoformat(),
}
"""Nobody knows these ids yet, and what happens does so at the time that it is."""


def example_of(contract: type[E], **fields: Any) -> E:
    """A valid event of a contract: with these values, and else with examples that its publisher gives, or what it allows.

    Nothing stands where nothing has to. Ids are new ones, and a key that is text is unlike all others.
    Raises ValueError where no example can be made, naming the field.
    """
    unknown = fields.keys() - contract.model_fields.keys()
    if unknown:
        raise TypeError(f"{contract.__name__} has no field {', '.join(sorted(unknown))}")
    schema = contract.model_json_schema()
    examples = Examples(schema, FRESH, is_sparse=True)
    made = {
        name: examples.of(schema["properties"][name], f"{contract.__name__}.{name}")
        for name, field in contract.model_fields.items()
        if name not in fields and (field.is_required() or field.examples)
    }
    key = contract.contract.key
    if made.get(key) == "text":
        made[key] = f"text {uuid4().hex[:8]}"
    return contract.model_validate({**made, **fields})
