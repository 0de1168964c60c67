"""Prices, and what services given to patients cost."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date
from decimal import Decimal
from typing import Self, cast
from uuid import UUID, uuid4

from sqlalchemy import CheckConstraint, Index, UniqueConstraint, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from contracts.money import Money
from services.billing import rules
from services.billing.rules import ChargeStatus
from services.billing.tables.base import Base, FollowsMerges

HELD = text("SELECT pg_advisory_xact_lock_shared(hashtextextended('charge master ' || :facility, 0))")
HELD_ALONE = text("SELECT pg_advisory_xact_lock(hashtextextended('charge master ' || :facility, 0))")


class ChargeMasterPrice(Base):
    """What a service costs at a facility, from a day on: until the next price begins, or `effective_to`."""

    __tablename__ = "charge_master"
    __table_args__ = (UniqueConstraint("facility_id", "code", "effective_from"),)

    price_id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    facility_id: Mapped[UUID]
    code: Mapped[str]
    amount: Mapped[Decimal]
    currency: Mapped[str]
    effective_from: Mapped[date]
    effective_to: Mapped[date | None]

    @property
    def price(self) -> Money:
        """For one unit."""
        return Money(amount=self.amount, currency=self.currency)

    @classmethod
    async def frozen(cls, session: AsyncSession, facility_id: UUID, *, alone: bool = False) -> None:
        """Keeps a facility's prices as they are until the transaction ends: a price that is missing has no row to lock.

        `alone` is for who sets one: it waits for everybody who found one missing, and they for it.
        """
        await session.execute(HELD_ALONE if alone else HELD, {"facility": str(facility_id)})

    @classmethod
    async def of_codes(cls, session: AsyncSession, facility_id: UUID, codes: Collection[str]) -> Sequence[Self]:
        """What these services cost at a facility, on whatever day."""
        query = select(cls).where(cls.facility_id == facility_id, cls.code.in_(codes))
        return (await session.scalars(query.execution_options(populate_existing=True))).all()


class Charge(FollowsMerges, Base):
    """One service given to a patient, a test of an order or a procedure, to be invoiced once it has a price."""

    __tablename__ = "charges"
    __table_args__ = (CheckConstraint("num_nonnulls(order_id, procedure_id) = 1", name="cause"),)

    charge_id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    source_event_id: Mapped[UUID] = mapped_column(index=True, comment="the event that caused it; the inbox keeps it single")
    position: Mapped[int] = mapped_column(comment="of the test in its order")
    order_id: Mapped[UUID | None]
    procedure_id: Mapped[UUID | None]
    encounter_id: Mapped[UUID | None] = mapped_column(index=True)
    patient_id: Mapped[UUID] = mapped_column(index=True)
    facility_id: Mapped[UUID]
    code: Mapped[str]
    description: Mapped[str]
    service_date: Mapped[date]
    status: Mapped[ChargeStatus]
    amount: Mapped[Decimal | None]
    currency: Mapped[str | None]

    @property
    def price(self) -> Money:
        """What it costs, once it is priced."""
        return Money(amount=cast("Decimal", self.amount), currency=cast("str", self.currency))

    @classmethod
    async def open_ones(
        cls, session: AsyncSession, patient_id: UUID, facility_id: UUID, encounter_id: UUID | None
    ) -> Sequence[Self]:
        """What can be invoiced of a patient's encounter, or outside any, locked, in the order of an invoice's lines."""
        of_visit = [cls.encounter_id.is_not_distinct_from(encounter_id), cls.status == "open"]
        query = select(cls).where(cls.patient_id == patient_id, cls.facility_id == facility_id, *of_visit)
        in_order = query.order_by(cls.service_date, cls.order_id, cls.procedure_id, cls.position)
        return (await session.scalars(in_order.with_for_update())).all()

    @classmethod
    async def open_of_encounter(cls, session: AsyncSession, encounter_id: UUID) -> Sequence[Self]:
        """What could be invoiced of an encounter, whoever its patient is, locked."""
        query = select(cls).where(cls.encounter_id == encounter_id, cls.status == "open").order_by(cls.charge_id)
        return (await session.scalars(query.with_for_update().execution_options(populate_existing=True))).all()

    def price_at(self, price: Money | None) -> None:
        """Gives it a price, which opens it; without one it stays unpriced."""
        if price is not None:
            self.amount, self.currency = price.amount, price.currency
            self.move("open")

    def move(self, to: ChargeStatus) -> None:
        """Changes its state. Raises ChargeCannotBecome."""
        self.status = rules.CHARGE.moved(self.status, to)


Index("charges_unpriced_idx", Charge.facility_id, Charge.code, postgresql_where=Charge.status == "unpriced")
