"""What payment keeps copies of."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Self, cast
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from broker import MergingReplica, Replica
from contracts.billing import InvoiceChanged, InvoiceStatus
from contracts.clinical import PatientChanged
from contracts.facility import FacilityChanged
from contracts.money import Money
from services.payment.tables import Base


class PatientReference(MergingReplica[PatientChanged], Base):
    """Who pays, and whom they were merged into."""

    __tablename__ = "patient_reference"

    facility_id: Mapped[UUID]


class FacilityReference(Replica[FacilityChanged], Base):
    """Where money is taken, and by which clock its days begin."""

    __tablename__ = "facility_reference"

    time_zone: Mapped[str]


class InvoiceReference(Replica[InvoiceChanged], Base):
    """What can be paid, and how much of it is open."""

    __tablename__ = "invoice_reference"

    patient_id: Mapped[UUID]
    facility_id: Mapped[UUID]
    status: Mapped[str]
    open_amount: Mapped[Decimal]
    currency: Mapped[str]
    heard: Mapped[list[str] | None] = mapped_column(
        JSONB(none_as_null=True), comment="the payments that the open amount takes into account; null: billing has not said"
    )

    @classmethod
    def kept(cls, event: InvoiceChanged) -> dict[str, Any]:
        """The columns: the balance as amount and currency, and what it takes into account."""
        return {
            "patient_id": event.patient_id,
            "facility_id": event.facility_id,
            "status": event.status,
            "open_amount": event.balance.amount,
            "currency": event.balance.currency,
            "heard": None if event.payments is None else [str(payment_id) for payment_id in event.payments],
        }

    @property
    def balance(self) -> Money:
        """What is open."""
        return Money(amount=self.open_amount, currency=self.currency)

    @property
    def payments(self) -> list[UUID] | None:
        """The payments that the open amount takes into account. None: billing has not said."""
        return None if self.heard is None else [UUID(payment_id) for payment_id in self.heard]

    @property
    def state(self) -> InvoiceStatus:
        """The invoice's state."""
        return cast("InvoiceStatus", self.status)

    @classmethod
    async def newest(cls, session: AsyncSession, invoice_id: UUID, said: InvoiceChanged | None = None) -> Self | None:
        """The reference as it is by now, or as billing has `said` where it is behind; None when it is not known here."""
        known = await session.get(cls, invoice_id, populate_existing=True)
        if said is not None and (known is None or known.state_version < said.state_version):
            return cls(id=said.invoice_id, state_version=said.state_version, **cls.kept(said))
        return known

    @classmethod
    async def locked(cls, session: AsyncSession, invoice_id: UUID) -> Self:
        """The reference, so that two payments of one invoice are not begun at once. Raises NotYet, NotFound."""
        await session.execute(select(cls.id).where(cls.id == invoice_id).with_for_update())
        return await cls.require(session, invoice_id)
