"""What is common to all providers: what they can be asked to do, and what they may say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

from pydantic import BaseModel

from broker import Permanent, World
from contracts.money import Money
from contracts.payment import PaymentMethod
from services.payment.rules import DisputeWord, RefundWord, Word

CARD = "card"
"""The code of the provider that cards are paid through."""

PAYPAL = "paypal"
"""The code of PayPal."""

MPESA = "mpesa"
"""The code of M-Pesa."""

STELLAR = "stellar"
"""The code of the Stellar network."""

NOT_DONE = "this provider does not do that"


class Authorisation(BaseModel):
    """Hold this amount, or ask the payer for it.

    token: what the provider gave the payer's browser for the card; None where the payer agrees later. facility_id: whose
    account with the provider the money is for.
    """

    provider: str = CARD
    payment_id: UUID
    facility_id: UUID | None = None
    amount: Money
    token: str | None = None


class Capture(BaseModel):
    """Take of what is held. `amount` None is all of it; `is_final` releases the rest."""

    provider: str = CARD
    payment_id: UUID
    provider_payment_id: str
    amount: Money | None = None
    is_final: bool = True


class Release(BaseModel):
    """Take no more of what is held."""

    provider: str
    payment_id: UUID
    provider_payment_id: str


class Refund(BaseModel):
    """Give this amount of what was captured back."""

    provider: str
    refund_id: UUID
    payment_id: UUID
    provider_payment_id: str
    amount: Money


class Evidence(BaseModel):
    """Tell the payer's bank why the money is ours."""

    provider: str
    dispute_id: UUID
    provider_dispute_id: str
    text: str


class Prompt(BaseModel):
    """Ask for this amount on the payer's phone. The number is personal: it is kept nowhere once they were asked."""

    provider: str = MPESA
    payment_id: UUID
    amount: Money
    phone: str


class LookUp(BaseModel):
    """Say what became of a payment that the payer has yet to agree to."""

    provider: str
    payment_id: UUID
    provider_payment_id: str


@dataclass(frozen=True, slots=True)
class Rumour:
    """Something became of a payment, says nobody knows who: its provider is asked before anything is believed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What a provider told us of its own accord, proven genuine as far as that provider makes it possible.

    event_id: theirs, the same when it is told again. payment_id: ours, that it is about; None when the provider only names its
    own, `provider_payment_id`. word: what it says of the payment, of our refund `refund_id`, or of a dispute; None when that is
    nothing we know.
    """

    provider: str
    event_id: str
    type: str
    payment_id: UUID | None = None
    provider_payment_id: str | None = None
    word: Word | RefundWord | DisputeWord | Rumour | None
    refund_id: UUID | None = None


class Provider:
    """An adapter: every function makes one call, and is made again under the same `key` without a second effect.

    A refusal that the business expects, such as a declined card, is a word. Raises Later when nothing was done, Permanent when
    it never will be, as for what a provider does not do at all; anything else means that nobody knows. `…_asked` tell what
    became of the call with a key; None when the provider never heard of it, or knows the key and may be asked again.
    """

    method: ClassVar[PaymentMethod]
    pays_refunds: ClassVar[bool] = False
    """Whether money goes back through it; if not, a second person sends it back by hand."""

    is_asked_by_key: ClassVar[bool] = True
    """Whether it can be asked what became of a call whose answer was lost; if not, people look in its books."""

    async def authorise(self, asked: Authorisation, key: str, world: World) -> Word:
        """Holds an amount, or opens what the payer then agrees to."""
        raise Permanent(NOT_DONE)

    async def prompt(self, asked: Prompt, key: str, world: World) -> Word:
        """Asks the payer on their phone."""
        raise Permanent(NOT_DONE)

    async def look_up(self, asked: LookUp, key: str, world: World) -> Word:
        """What became of a payment by now. Nothing is done: it may be asked any number of times."""
        raise Permanent(NOT_DONE)

    async def capture(self, asked: Capture, key: str, world: World) -> Word:
        """Takes what is held, or a part of it."""
        raise Permanent(NOT_DONE)

    async def release(self, asked: Release, key: str, world: World) -> Word:
        """Gives the rest of what is held up."""
        raise Permanent(NOT_DONE)

    async def refund(self, asked: Refund, key: str, world: World) -> RefundWord:
        """Gives captured money back."""
        raise Permanent(NOT_DONE)

    async def send_evidence(self, asked: Evidence, key: str, world: World) -> DisputeWord:
        """Tells the payer's bank our side."""
        raise Permanent(NOT_DONE)

    async def payment_asked(self, key: str, world: World) -> Word | None:
        """What became of a call about a payment."""
        raise Permanent(NOT_DONE)

    async def refund_asked(self, key: str, world: World) -> RefundWord | None:
        """What became of a refund."""
        raise Permanent(NOT_DONE)

    async def evidence_asked(self, key: str, world: World) -> DisputeWord | None:
        """What became of our evidence."""
        raise Permanent(NOT_DONE)
