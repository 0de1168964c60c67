"""A nursery that owns plants, and two services that copy them: the garden keeps what is said, the shop makes labels of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from broker import Replica, Service, StateOwner, publishes_state
from contracts.event import StateEvent
from tests.faults.services import module


class PlantChanged(StateEvent, name="plant.changed", version=1, key="plant_id", publisher="nursery"):
    """A plant, of which there is much to say."""

    plant_id: UUID
    name: str
    height: Decimal | None = None
    planted_on: date | None = None
    uses: list[str]
    notes: str


class NurseryBase(DeclarativeBase):
    """The nursery's tables."""


class GardenBase(DeclarativeBase):
    """The garden's tables."""


class ShopBase(DeclarativeBase):
    """The shop's tables."""


@publishes_state(PlantChanged)
class Plant(StateOwner, NurseryBase):
    """A plant."""

    __tablename__ = "plant"

    plant_id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str]
    height: Mapped[Decimal | None]
    planted_on: Mapped[date | None]
    uses: Mapped[Any] = mapped_column(JSONB)
    notes: Mapped[str]


class PlantReference(Replica[PlantChanged], GardenBase):
    """The garden's copy, column by column."""

    __tablename__ = "plant_reference"

    name: Mapped[str]
    height: Mapped[Decimal | None]
    planted_on: Mapped[date | None]
    uses: Mapped[Any] = mapped_column(JSONB)
    notes: Mapped[str]


class PlantLabel(Replica[PlantChanged], ShopBase):
    """The shop's copy, in a form of its own."""

    __tablename__ = "plant_label"

    label: Mapped[str]
    height: Mapped[Decimal | None]
    is_planted: Mapped[bool]

    @classmethod
    def kept(cls, event: PlantChanged) -> dict[str, Any]:
        """The columns."""
        label = f"{event.name}, {event.notes}"
        return {"label": label, "height": event.height, "is_planted": event.planted_on is not None}


nursery = Service(
    name="nursery", port=0, tables=NurseryBase.metadata, contracts=module("contracts.nursery", PlantChanged)
)  # fmt: skip
garden = Service(
    name="garden", port=0, tables=GardenBase.metadata, contracts=module("contracts.garden"),
    replicas=module("garden.replicas", PlantReference),
)  # fmt: skip
shop = Service(
    name="shop", port=0, tables=ShopBase.metadata, contracts=module("contracts.shop"),
    replicas=module("shop.replicas", PlantLabel),
)  # fmt: skip


@dataclass(frozen=True)
class Plants:
    """The platform."""

    def services(self) -> dict[str, Service]:
        """The services, by name."""
        return {service.name: service for service in (nursery, garden, shop)}
