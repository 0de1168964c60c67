"""Debts that others ask for."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from uuid import UUID, uuid4

from sqlalchemy import BigInteger
from sqlalchemy.orm import Mapped, mapped_column

from broker import StateOwner, publishes_state
from contracts.billing import CollectionCaseChanged, CollectionReason, CollectionStatus
from contracts.money import Money
from services.billing import rules
from services.billing.tables.base import Base, FollowsMerges


@publishes_state(CollectionCaseChanged)
class CollectionCase(StateOwner, FollowsMerges, Base):
    """What a patient owes at a facility, given to others to ask for. It ends when all of it is settled."""

    __tablename__ = "collection_cases"

    case_id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    patient_id: Mapped[UUID] = mapped_column(index=True)
    facility_id: Mapped[UUID]
    status: Mapped[CollectionStatus]
    reason: Mapped[CollectionReason]
    amount: Mapped[Decimal]
    currency: Mapped[str]
    sent_at: Mapped[datetime]
    state_version: Mapped[int] = mapped_column(BigInteger, server_default="1", comment="1 where nobody said it yet")

    @property
    def balance(self) -> Money:
        """What was owed of each of its invoices when that was sent."""
        return Money(amount=self.amount, currency=self.currency)

    def move(self, to: CollectionStatus) -> None:
        """Changes its state. Raises CollectionCannotBecome."""
        self.status = rules.COLLECTION.moved(self.status, to)
