"""Transfers on a ledger, as the API takes and gives them."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated
from uuid import UUID

from pydantic import Field

from broker import Asked, Shown
from contracts.money import Money
from services.payment.rules import Mismatch, TransferStatus


class NewTransferPayment(Asked):
    """An invoice to be paid by a transfer on the Stellar network."""

    invoice_id: UUID
    amount: Money


class Assignment(Asked):
    """What a transfer was for."""

    payment_id: UUID


class Return(Asked):
    """The transaction on the ledger that returned a transfer."""

    sent_back_as: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Transfer(Shown):
    """A transfer that pays nothing by itself, or what it was too much."""

    transfer_id: str
    reason: Mismatch
    status: TransferStatus
    asset_code: str
    asset_issuer: str | None
    quantity: Decimal
    memo: str | None
    payment_id: UUID | None
    facility_id: UUID | None
    arrived_at: datetime
    decided_by: str | None
    sent_back_as: str | None
