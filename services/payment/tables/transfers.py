"""What arrived on a ledger, as far as it paid nothing by itself, and how far the ledger was read."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Numeric
from sqlalchemy.orm import Mapped, mapped_column

from services.payment import rules
from services.payment.tables.base import Base


class ProviderCursor(Base):
    """How far a provider's ledger was read: it moves in the transaction in which what was read has its effect."""

    __tablename__ = "provider_cursors"

    provider: Mapped[str] = mapped_column(ForeignKey("payment_providers.code"), primary_key=True)
    cursor: Mapped[int] = mapped_column(BigInteger)


class UnmatchedTransfer(Base):
    """A transfer that pays nothing by itself, or what it was too much: it waits for a person."""

    __tablename__ = "unmatched_transfers"

    transfer_id: Mapped[str] = mapped_column(primary_key=True, comment="the operation's on the ledger")
    reason: Mapped[rules.Mismatch]
    status: Mapped[rules.TransferStatus]
    asset_code: Mapped[str]
    asset_issuer: Mapped[str | None]
    quantity: Mapped[Decimal] = mapped_column(Numeric(20, 7))
    memo: Mapped[str | None]
    payment_id: Mapped[UUID | None] = mapped_column(comment="that its memo names, or that it was assigned to")
    facility_id: Mapped[UUID | None] = mapped_column(index=True, comment="of that payment; null is nobody's in particular")
    arrived_at: Mapped[datetime]
    decided_by: Mapped[str | None]
    sent_back_as: Mapped[str | None] = mapped_column(comment="the transaction on the ledger that returned it")

    def move(self, to: rules.TransferStatus) -> None:
        """Changes its state. Raises TransferCannotBecome."""
        self.status = rules.TRANSFER.moved(self.status, to)
