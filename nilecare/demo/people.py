"""People who pay the laboratory's invoices by card, while the invoices appear."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Mapping
from uuid import UUID

from sqlalchemy import select

from broker import NotYet
from broker._context import Cause, caused_by, uuid7
from broker._database import Database
from contracts.money import Money
from services.billing.rules import PAYABLE
from services.billing.tables import Invoice
from services.payment import commands
from services.payment.errors import AmountIsMoreThanTheOpenBalance, InvoiceCannotBePaid
from services.payment.tables import Payment

CARDS = (
    "tok_declined",
    "tok_lost_answer",
    "tok_duplicate_webhook",
    "tok_visa",
    "tok_webhook_first",
    "tok_insufficient_funds",
    "tok_lost_answer_and_webhook",
    "tok_visa",
    "tok_webhook_reversed",
    "tok_capture_declined",
    "tok_visa",
    "tok_slow",
)
"""What happens to those who pay, one after the other; the simulated provider knows these tokens."""

ANOTHER_CARD = "tok_visa"
INTERVAL = 0.2
"""Seconds between two looks at the letter box."""


class People:
    """Pays every invoice that billing made of laboratory charges; imported ones are somebody else's.

    A person whose card was declined pays again with another one. `used` counts the cards, `began` the invoices.
    """

    def __init__(self, databases: Mapping[str, Database]) -> None:
        self._billing, self._payment = databases["billing"], databases["payment"]
        self.used: Counter[str] = Counter()
        self.began = 0
        self.paid_again = 0

    async def pay(self, last: asyncio.Event) -> None:
        """Returns when every invoice is paid that was there when `last` was set."""
        while True:
            is_last = last.is_set()
            invoices = await self._open_invoices()
            if not invoices and is_last:
                return
            tried = await self._tried(invoices)
            for invoice_id, balance in invoices.items():
                await self._pay(invoice_id, balance, tried[invoice_id])
            await asyncio.sleep(INTERVAL)

    async def _open_invoices(self) -> dict[UUID, Money]:
        query = select(Invoice).where(Invoice.external_reference.is_(None), Invoice.status.in_(PAYABLE))
        async with self._billing.transaction() as session:
            return {invoice.invoice_id: invoice.balance for invoice in await session.scalars(query.order_by(Invoice.issued_at))}

    async def _tried(self, invoices: Mapping[UUID, Money]) -> Mapping[UUID, list[str]]:
        """The states of the payments that were begun for each invoice."""
        tried: defaultdict[UUID, list[str]] = defaultdict(list)
        query = select(Payment.invoice_id, Payment.status).where(Payment.invoice_id.in_(invoices))
        async with self._payment.transaction() as session:
            for invoice_id, status in await session.execute(query):
                if invoice_id is not None:
                    tried[invoice_id].append(status)
        return tried

    async def _pay(self, invoice_id: UUID, balance: Money, tried: list[str]) -> None:
        if any(status != "failed" for status in tried):
            return
        card = ANOTHER_CARD if tried else CARDS[self.began % len(CARDS)]
        try:
            with caused_by(Cause(flow=uuid7())):
                async with self._payment.transaction() as session:
                    await commands.initiate_card_payment(session, invoice_id=invoice_id, amount=balance, token=card)
        except (NotYet, InvoiceCannotBePaid, AmountIsMoreThanTheOpenBalance):
            return  # payment's copy of the invoice is behind; the letter box is looked into again
        self.used[card] += 1
        if tried:
            self.paid_again += 1
        else:
            self.began += 1
