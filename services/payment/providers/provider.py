"""What is common to all providers: what they can be asked to do, and what they may say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from pydantic import BaseModel

from broker import World
from contracts.money import Money
from services.payment.rules import DisputeWord, RefundWord, Word

CARD = "card"
"""The code of the provider that cards are paid through."""


class Authorisation(BaseModel):
    """Hold this amount; `token` is what the provider gave the payer's browser for the card or the account.

    facility_id: whose account with the provider the money is for.
    """

    provider: str = CARD
    payment_id: UUID
    facility_id: UUID | None = None
    amount: Money
    token: str


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What a provider told us of its own accord, proven genuine.

    event_id: theirs, the same when it is told again. payment_id: ours, that it is about. word: what it says of the payment, of
    our refund `refund_id`, or of a dispute; None when that is nothing we know.
    """

    provider: str
    event_id: str
    type: str
    payment_id: UUID
    word: Word | RefundWord | DisputeWord | None
    refund_id: UUID | None = None


class Provider(Protocol):
    """An adapter: every function makes one call, and is made again under the same `key` without a second effect.

    A refusal that the business expects, such as a declined card, is a word. Raises Later when nothing was done, Permanent when
    it never will be; anything else means that nobody knows. `…_asked` tell what became of the call with a key; None when the
    provider never heard of it.
    """

    async def authorise(self, asked: Authorisation, key: str, world: World) -> Word: ...

    async def capture(self, asked: Capture, key: str, world: World) -> Word: ...

    async def release(self, asked: Release, key: str, world: World) -> Word: ...

    async def refund(self, asked: Refund, key: str, world: World) -> RefundWord: ...

    async def send_evidence(self, asked: Evidence, key: str, world: World) -> DisputeWord: ...

    async def payment_asked(self, key: str, world: World) -> Word | None: ...

    async def refund_asked(self, key: str, world: World) -> RefundWord | None: ...

    async def evidence_asked(self, key: str, world: World) -> DisputeWord | None: ...
