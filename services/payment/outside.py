"""The card provider, as this service speaks to it.

Settings of the world outside: `card_provider` (address) and `card_provider_secret` (authorises our calls, signs its webhooks).
"""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import httpx
from pydantic import BaseModel, ConfigDict

from broker import Later, Permanent, World, ask, outside
from contracts.money import Money
from services.payment.rules import Outcome, Word

DEADLINE = timedelta(seconds=10)


class Authorisation(BaseModel):
    """Hold this amount on the card behind `token`."""

    payment_id: UUID
    amount: Money
    token: str


class Capture(BaseModel):
    """Take what was held."""

    payment_id: UUID
    provider_payment_id: str


class Answer(BaseModel):
    """What the provider says of one of its payments."""

    model_config = ConfigDict(extra="ignore")

    id: str
    status: Outcome
    decline_code: str | None = None

    def word(self) -> Word:
        """What it means to us."""
        return Word(outcome=self.status, provider_payment_id=self.id, decline_code=self.decline_code)


async def what_became_of(request: Authorisation | Capture, key: str, world: World) -> Answer | None:
    """Asks for the outcome of a call by its idempotency key; None when the provider never heard of it."""
    reply = await world.http.get(f"{world['card_provider']}/v1/requests/{key}", headers=_headers(key, world))
    return None if reply.status_code == httpx.codes.NOT_FOUND else _answer(reply)


@outside(deadline=DEADLINE, if_unknown=ask(what_became_of))
async def authorise_card(request: Authorisation, key: str, world: World) -> Answer:
    """Asks the provider to hold the amount."""
    asked = {
        "reference": str(request.payment_id),
        "amount": str(request.amount.amount),
        "currency": request.amount.currency,
        "token": request.token,
    }
    url = f"{world['card_provider']}/v1/payments"
    return _answer(await world.http.post(url, json=asked, headers=_headers(key, world)))


@outside(deadline=DEADLINE, if_unknown=ask(what_became_of))
async def capture_card(request: Capture, key: str, world: World) -> Answer:
    """Asks the provider to take what it holds."""
    url = f"{world['card_provider']}/v1/payments/{request.provider_payment_id}/capture"
    return _answer(await world.http.post(url, headers=_headers(key, world)))


def _headers(key: str, world: World) -> dict[str, str]:
    return {"Idempotency-Key": key, "Authorization": f"Bearer {world['card_provider_secret']}"}


def _answer(reply: httpx.Response) -> Answer:
    """A refused card is an answer (402). Raises Later when nothing was done, Permanent when it never will be."""
    if reply.status_code == httpx.codes.TOO_MANY_REQUESTS:
        raise Later("the card provider asks us to slow down")
    if reply.is_client_error and reply.status_code != httpx.codes.PAYMENT_REQUIRED:
        raise Permanent(f"the card provider answers {reply.status_code}")
    if reply.is_server_error:
        # It may have been done all the same: unknown.
        reply.raise_for_status()
    return Answer.model_validate_json(reply.content)
