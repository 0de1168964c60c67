"""Paying by a transfer on the Stellar network: what is asked for, what arrives, and what a person makes of the rest."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from uuid import UUID

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from broker import Cause, call, caused_by, clock, schedule
from contracts.money import Money
from contracts.payment import StellarPollDue
from services.payment import outside, rules
from services.payment.commands.beginning import begin_payment
from services.payment.commands.outcomes import succeed
from services.payment.errors import TransferPaysWhatAsksForOne
from services.payment.providers import STELLAR, TransfersAsked, TransfersGot
from services.payment.tables import Payment, ProviderCursor, UnmatchedTransfer

MEMO = 20
"""Characters of a memo, of the 28 bytes that the network allows: hexadecimal, of a random id."""


async def initiate_transfer_payment(session: AsyncSession, *, invoice_id: UUID, amount: Money) -> Payment:
    """Begins to pay an invoice by a transfer that carries the payment's memo. Raises as `begin_payment`."""
    payment = await begin_payment(session, invoice_id, amount, STELLAR)
    payment.memo = payment.payment_id.hex[-MEMO:]
    payment.move("requires_action")
    await read_later(session, timedelta())
    return payment


async def read_later(session: AsyncSession, pause: timedelta) -> None:
    """Will read on in the ledger."""
    await schedule(session, StellarPollDue(provider=STELLAR), at=clock.now() + pause, name="reading of the ledger")


async def read_ledger(session: AsyncSession) -> None:
    """Asks what arrived since the ledger was read last."""
    cursor = await _cursor(session)
    await call(session, outside.read_transfers, TransfersAsked(cursor=cursor.cursor), key=STELLAR)


async def take_transfers(session: AsyncSession, got: TransfersGot) -> None:
    """Takes what arrived, each transfer once, and will read on from there."""
    cursor = await _cursor(session)
    for transfer in got.transfers:
        if transfer.cursor > cursor.cursor:
            await _take(session, transfer, got.asset)
    cursor.cursor = max(cursor.cursor, got.cursor)
    await read_later(session, timedelta(seconds=got.pause))


async def assign_transfer(session: AsyncSession, transfer_id: str, payment_id: UUID, by: str) -> UnmatchedTransfer:
    """A person has found what a transfer was for: it pays that, or so much of it as it is.

    Raises NotFound, PaymentNotFound, TransferCannotBecome, TransferPaysWhatAsksForOne, PaymentCannotBecome, and what
    `rules.check_assigned` raises.
    """
    payment = await Payment.locked(session, payment_id)
    transfer = await UnmatchedTransfer.locked(session, transfer_id)
    if payment.provider != STELLAR:
        raise TransferPaysWhatAsksForOne
    worth = rules.check_assigned(transfer.reason, transfer.quantity, payment.amount)
    rules.check_amount(worth)
    transfer.move("assigned")
    transfer.payment_id, transfer.facility_id, transfer.decided_by = payment_id, payment.facility_id, by
    known_as = f"{transfer_id}:excess" if transfer.reason == "overpaid" else transfer_id
    await _pay(session, payment, known_as, worth)
    return transfer


async def note_sent_back(session: AsyncSession, transfer_id: str, sent_back_as: str, by: str) -> UnmatchedTransfer:
    """A person has sent a transfer back. Raises NotFound, TransferCannotBecome."""
    transfer = await UnmatchedTransfer.locked(session, transfer_id)
    transfer.move("sent_back")
    transfer.sent_back_as, transfer.decided_by = sent_back_as, by
    return transfer


async def _take(session: AsyncSession, transfer: rules.Transfer, ours: rules.Asset) -> None:
    found = await Payment.all_locked(session, Payment.memo == transfer.memo) if transfer.memo else []
    payment = found[0] if found else None
    asked, status = (payment.amount, payment.status) if payment else (None, None)
    reason = rules.mismatch(transfer, ours, asked, status)
    waits = transfer.quantity
    if payment is not None and reason in (None, "overpaid"):
        waits = rules.excess(transfer.quantity, payment.amount)
        await _pay(session, payment, transfer.id, payment.amount)
    if reason is not None:
        session.add(_waiting(transfer, reason, waits, payment))


async def _pay(session: AsyncSession, payment: Payment, transfer_id: str, amount: Money) -> None:
    with caused_by(Cause(flow=payment.flow)):
        payment.move("succeeded")
        payment.provider_payment_id = transfer_id
        await succeed(session, payment, amount, clock.now())
        await session.flush()


def _waiting(transfer: rules.Transfer, reason: rules.Mismatch, quantity: Decimal, payment: Payment | None) -> UnmatchedTransfer:
    return UnmatchedTransfer(
        transfer_id=transfer.id,
        reason=reason,
        status="unmatched",
        asset_code=transfer.asset.code,
        asset_issuer=transfer.asset.issuer,
        quantity=quantity,
        memo=transfer.memo,
        payment_id=payment.payment_id if payment else None,
        facility_id=payment.facility_id if payment else None,
        arrived_at=transfer.at,
    )


async def _cursor(session: AsyncSession) -> ProviderCursor:
    """How far the ledger was read, for this transaction alone; the first time, from its beginning."""
    await session.execute(insert(ProviderCursor).values(provider=STELLAR, cursor=0).on_conflict_do_nothing())
    return await ProviderCursor.locked(session, STELLAR)
