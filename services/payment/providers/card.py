"""The card provider's HTTP API.

Settings of the world outside: `card_provider` (address) and `card_provider_secret` (authorises our calls, signs its webhooks).
"""

from __future__ import annotations

from typing import Any, TypeVar

import httpx
from pydantic import BaseModel

from broker import Later, Permanent, World
from services.payment.providers.card_objects import DisputeObject, PaymentObject, RefundObject
from services.payment.providers.provider import Authorisation, Capture, Evidence, Provider, Refund, Release
from services.payment.rules import DisputeWord, RefundWord, Word

Object = TypeVar("Object", bound=BaseModel)


class CardProvider(Provider):
    """The provider that cards are paid through."""

    method = "card"
    pays_refunds = True

    async def authorise(self, asked: Authorisation, key: str, world: World) -> Word:
        """Holds the amount on the card."""
        account = str(asked.facility_id) if asked.facility_id else ""
        body = {"reference": str(asked.payment_id), "account": account, "token": asked.token} | _amount(asked)
        return (await _post(PaymentObject, "payments", body, key, world)).word()

    async def capture(self, asked: Capture, key: str, world: World) -> Word:
        """Takes what is held, or a part of it."""
        body = {"amount": str(asked.amount.amount) if asked.amount else None, "is_final": asked.is_final}
        return (await _post(PaymentObject, f"payments/{asked.provider_payment_id}/capture", body, key, world)).word()

    async def release(self, asked: Release, key: str, world: World) -> Word:
        """Gives the rest of what is held up."""
        return (await _post(PaymentObject, f"payments/{asked.provider_payment_id}/cancel", {}, key, world)).word()

    async def refund(self, asked: Refund, key: str, world: World) -> RefundWord:
        """Gives captured money back."""
        path = f"payments/{asked.provider_payment_id}/refunds"
        body = {"reference": str(asked.refund_id)} | _amount(asked)
        return (await _post(RefundObject, path, body, key, world)).word()

    async def send_evidence(self, asked: Evidence, key: str, world: World) -> DisputeWord:
        """Tells the payer's bank our side."""
        path = f"disputes/{asked.provider_dispute_id}/evidence"
        return (await _post(DisputeObject, path, {"text": asked.text}, key, world)).word()

    async def payment_asked(self, key: str, world: World) -> Word | None:
        """What became of a call about a payment."""
        found = await _asked(PaymentObject, key, world)
        return None if found is None else found.word()

    async def refund_asked(self, key: str, world: World) -> RefundWord | None:
        """What became of a refund."""
        found = await _asked(RefundObject, key, world)
        return None if found is None else found.word()

    async def evidence_asked(self, key: str, world: World) -> DisputeWord | None:
        """What became of our evidence."""
        found = await _asked(DisputeObject, key, world)
        return None if found is None else found.word()


def _amount(asked: Authorisation | Refund) -> dict[str, str]:
    return {"amount": str(asked.amount.amount), "currency": asked.amount.currency}


async def _post(kind: type[Object], path: str, body: dict[str, Any], key: str, world: World) -> Object:
    url = f"{world['card_provider']}/v1/{path}"
    return _read(kind, await world.http.post(url, json=body, headers=_headers(key, world)))


async def _asked(kind: type[Object], key: str, world: World) -> Object | None:
    reply = await world.http.get(f"{world['card_provider']}/v1/requests/{key}", headers=_headers(key, world))
    return None if reply.status_code == httpx.codes.NOT_FOUND else _read(kind, reply)


def _headers(key: str, world: World) -> dict[str, str]:
    return {"Idempotency-Key": key, "Authorization": f"Bearer {world['card_provider_secret']}"}


def _read(kind: type[Object], reply: httpx.Response) -> Object:
    """A refusal is an answer (402). Raises Later when nothing was done, Permanent when it never will be."""
    if reply.status_code == httpx.codes.TOO_MANY_REQUESTS:
        raise Later("the card provider asks us to slow down")
    if reply.is_client_error and reply.status_code != httpx.codes.PAYMENT_REQUIRED:
        raise Permanent(f"the card provider answers {reply.status_code}")
    if reply.is_server_error:
        # It may have been done all the same: unknown.
        reply.raise_for_status()
    return kind.model_validate_json(reply.content)
