"""The base of every event: its name, version, key and publisher, and the marks on personal data.

An event is a fact in the past tense that one service publishes:

    class InvoicePaid(Event, name="invoice.paid", version=1, key="invoice_id"):
        invoice_id: UUID
        amount: Money

It belongs to the service whose module it stands in: `contracts/billing.py` holds what billing publishes, and
`contracts/backbone.py` what every service does.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, ClassVar, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, to_jsonable_python

Upcaster = Callable[[dict[str, Any]], dict[str, Any]]
UPCASTS = "__upcasts_since__"


EVERY_SERVICE = "*"
"""The publisher of what the backbone itself says, on behalf of every service and over each one's own exchange."""

ERASURES: dict[str, list[type[Event]]] = {}
"""The events that this process knows by which a person is erased, by kind: the name of the fields that hold such ids."""


class NewerVersion(Exception):
    """The event was written in a version of its contract that this code does not know yet."""


@dataclass(frozen=True, slots=True)
class Personal:
    """Marks a field as personal data: `full_name: Annotated[str, Personal(of="patient_id")]`.

    `of` names the field that holds the id of the person the data is about: a UUID; a field that may hold any data at all
    names itself. `erased` stands for the value once the person is erased; where it is not given that is null, or the empty
    text where the field must have a value.
    """

    of: str
    erased: Any = None

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {**handler(schema), "x-personal-data-of": self.of}


@dataclass(frozen=True, slots=True)
class Contract:
    """What is fixed about an event whatever it carries."""

    name: str
    version: int
    key: str
    publisher: str
    is_addressed: bool = False
    """Whether each message is for one queue alone, the one that its key names."""

    erases: str | None = None
    """The field with the id of the person whose personal data has to go everywhere; None for all but erasures."""

    upcasters: Mapping[int, Upcaster] = field(default_factory=dict)

    def belongs_to(self, service: str) -> bool:
        """Whether a service publishes it."""
        return self.publisher in (service, EVERY_SERVICE)


def upcaster(*, since: int) -> Callable[[Upcaster], Upcaster]:
    """Marks a static method of an event class that turns the data of version `since` into that of the next version."""

    def mark(function: Upcaster) -> Upcaster:
        setattr(getattr(function, "__func__", function), UPCASTS, since)
        return function

    return mark


class Event(BaseModel):
    """A fact that a service publishes: immutable, versioned, and about one aggregate, its key.

    A publisher may give no field that the contract does not have; a consumer (`read`) ignores those it does not know.
    """

    # What reads and writes an event is made when it is first needed: a process knows many more than it handles.
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    contract: ClassVar[Contract]

    def __init_subclass__(cls, **declared: Any) -> None:
        super().__init_subclass__()

    @classmethod
    def __pydantic_init_subclass__(
        cls,
        *,
        name: str | None = None,
        version: int = 1,
        key: str = "",
        publisher: str | None = None,
        addressed: bool = False,
        erases: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        if name is None:
            return
        if key not in cls.model_fields:
            raise TypeError(f"{cls.__name__}: the key {key!r} is not one of its fields")
        if erases is not None and (erases not in cls.model_fields or cls.model_fields[erases].annotation is not UUID):
            raise TypeError(f"{cls.__name__}: it erases {erases!r}, which is no field of it that holds a UUID")
        functions = [each.__func__ for each in vars(cls).values() if isinstance(each, staticmethod)]
        upcasters: dict[int, Upcaster] = {getattr(each, UPCASTS): each for each in functions if hasattr(each, UPCASTS)}
        owner = publisher or cls.__module__.rpartition(".")[2]
        cls.contract = Contract(name, version, key, owner, is_addressed=addressed, erases=erases, upcasters=upcasters)
        if erases is not None:
            ERASURES.setdefault(erases, []).append(cls)

    @classmethod
    def of(cls, source: object, **fields: Any) -> Self:
        """The event about `source`, whose attributes give the fields of the same names; `fields` win over them."""
        values = {name: fields[name] if name in fields else getattr(source, name) for name in cls.model_fields}
        return cls(**values)

    @classmethod
    def read(cls, body: bytes, version: int) -> Self:
        """The event in `body`, written in `version` of its contract; older ones are brought up to this one.

        Raises NewerVersion when this code is older than the message, ValidationError when the body breaks the contract.
        """
        if version == cls.contract.version:
            return cls.model_validate_json(body, extra="ignore")
        if version > cls.contract.version:
            raise NewerVersion(f"{cls.contract.name} v{version} is newer than v{cls.contract.version}, which this code knows")
        data = json.loads(body)
        for step in range(version, cls.contract.version):
            if step not in cls.contract.upcasters:
                raise ValueError(f"{cls.contract.name} v{step} has no upcaster to v{step + 1}")
            data = cls.contract.upcasters[step](data)
        return cls.model_validate_json(json.dumps(data), extra="ignore")

    @property
    def subject(self) -> str:
        """The key, as text and as the body has it: the id of the aggregate that the event is about."""
        return str(to_jsonable_python(getattr(self, self.contract.key)))


class StateEvent(Event):
    """An aggregate's whole public state, which feeds replicas.

    `state_version` grows with every change of the aggregate and never restarts; `deleted` makes it a tombstone.
    """

    state_version: int = Field(ge=1)
    deleted: bool = False


def personal_fields(event: type[Event]) -> dict[str, str]:
    """The event's fields that are personal data, each with the field that says whose."""
    return {
        name: mark.of
        for name, declared in event.model_fields.items()
        for mark in declared.metadata
        if isinstance(mark, Personal)
    }


def events_in(module: ModuleType) -> list[type[Event]]:
    """The events defined in a contract module, in the order of their appearance."""
    return [
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, Event)
        and "contract" in vars(value)
        and value.__module__ == module.__name__
    ]
