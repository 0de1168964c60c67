"""Paying by a transfer on the Stellar network, and what arrived there that pays nothing by itself."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from broker import Idempotent, NotFound, OutsideSettings, Page, PageRequest, Principal, Reading, Router, Transaction
from services.payment import commands
from services.payment.api.roles import Cashier, Manager
from services.payment.errors import ProviderIsUnknown
from services.payment.providers import STELLAR
from services.payment.replicas import InvoiceReference
from services.payment.rules import TransferStatus, check_currency
from services.payment.tables import Payment, UnmatchedTransfer
from services.payment.views import payments
from services.payment.views import transfers as views

router = Router(tags=["transfers"])

TransferId = Annotated[str, Path(pattern=r"^[0-9A-Za-z-]{1,64}$")]


@router.post("/payments/transfer", status_code=201)
async def initiate_transfer_payment(
    asked: views.NewTransferPayment, who: Cashier, session: Transaction, key: Idempotent, outside: OutsideSettings
) -> payments.Payment:
    """Begins to wait for a transfer that carries the payment's `memo`. Cancelled, it is waited for no more."""
    who.at((await InvoiceReference.require(session, asked.invoice_id)).facility_id)
    if not outside.get("stellar_account"):
        raise ProviderIsUnknown(provider=STELLAR)
    check_currency(asked.amount, outside.get("stellar_currency", "USD"))
    return payments.Payment.model_validate(await commands.initiate_transfer_payment(session, **dict(asked)))


@router.get("/unmatched-transfers")
async def list_transfers(
    who: Manager, session: Reading, page: PageRequest, status: TransferStatus | None = None
) -> Page[views.Transfer]:
    """Transfers that pay nothing by themselves, the oldest first; nobody's in particular, for who manages every facility."""
    transfer = UnmatchedTransfer
    query = select(transfer).where(who.within(transfer.facility_id))
    if status is not None:
        query = query.where(transfer.status == status)
    by = [transfer.arrived_at, transfer.transfer_id]
    return await page.read(session, query, by=by, view=views.Transfer.model_validate)


@router.post("/unmatched-transfers/{transfer_id}/assign")
async def assign_transfer(
    transfer_id: TransferId, asked: views.Assignment, who: Manager, session: Transaction
) -> views.Transfer:
    """Lets a transfer pay what it was for, or so much of it as it is."""
    await _check_seen(session, transfer_id, who)
    who.at((await Payment.seen(session, asked.payment_id)).facility_id)
    return views.Transfer.model_validate(await commands.assign_transfer(session, transfer_id, asked.payment_id, who.subject))


@router.post("/unmatched-transfers/{transfer_id}/send-back")
async def note_sent_back(transfer_id: TransferId, asked: views.Return, who: Manager, session: Transaction) -> views.Transfer:
    """Notes that somebody has sent a transfer back."""
    await _check_seen(session, transfer_id, who)
    return views.Transfer.model_validate(await commands.note_sent_back(session, transfer_id, asked.sent_back_as, who.subject))


async def _check_seen(session: AsyncSession, transfer_id: str, who: Principal) -> None:
    transfer = UnmatchedTransfer
    seen = select(transfer.transfer_id).where(transfer.transfer_id == transfer_id, who.within(transfer.facility_id))
    if await session.scalar(seen) is None:
        raise NotFound
