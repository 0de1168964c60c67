"""The depot: it gives each pallet a number, and knows it by that when it is fetched."""

from __future__ import annotations

import sys
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from broker import Permanent, Replica, Service, on, publish
from tests.broker.testing.depot import depot_says
from tests.broker.testing.depot.depot_says import PalletGone, PalletStored
from tests.broker.testing.depot.haulier_says import LorryChanged, PalletBrought, PalletFetched


class Base(DeclarativeBase):
    """The depot's tables."""


class LorryReference(Replica[LorryChanged], Base):
    """What may drive in."""

    __tablename__ = "lorry_reference"

    plate: Mapped[str]


class Pallet(Base):
    """What is stored."""

    __tablename__ = "pallet"

    pallet_id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)


@on(PalletBrought)
async def store(event: PalletBrought, session: AsyncSession) -> None:
    """Where there is room."""
    await LorryReference.require(session, event.lorry_id)
    pallet = Pallet(pallet_id=uuid4())
    session.add(pallet)
    publish(session, PalletStored(pallet_id=pallet.pallet_id, delivery_id=event.delivery_id, brought_at=event.brought_at))


@on(PalletFetched)
async def give_out(event: PalletFetched, session: AsyncSession) -> None:
    """What is there."""
    pallet = await session.get(Pallet, event.pallet_id)
    if pallet is None:
        raise Permanent("nobody has stored it")
    await session.delete(pallet)
    publish(session, PalletGone(pallet_id=event.pallet_id))


service = Service(
    name="depot",
    port=0,
    tables=Base.metadata,
    handlers=sys.modules[__name__],
    replicas=sys.modules[__name__],
    contracts=depot_says,
    trusts_auth=False,
)
