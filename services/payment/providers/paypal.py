"""PayPal's REST API: an order is created, approved by its payer on PayPal's page, and captured.

Settings of the world outside: `paypal` (address), `paypal_client_id` and `paypal_client_secret` (let us in),
`paypal_webhook_id` (ours; without it no webhook is taken), `paypal_certificate_host` (api.paypal.com when not given).

Every call carries a PayPal-Request-Id: under the same one it has no second effect, and gives the same answer, so that what is
unknown is asked for again. Source: https://developer.paypal.com/docs/api/orders/v2/ and …/payments/v2/.
"""

from __future__ import annotations

from typing import Any, TypeVar

import httpx
from pydantic import BaseModel

from broker import Later, Permanent, World
from services.payment.providers.credentials import let_in
from services.payment.providers.paypal_objects import OrderObject, PaypalRefund, Refusal
from services.payment.providers.provider import Authorisation, Capture, LookUp, Provider, Refund
from services.payment.rules import RefundWord, Word

Object = TypeVar("Object", bound=BaseModel)


class PaypalProvider(Provider):
    """The wallet. An order's id is the payment's until it is captured; then it is the capture's, which settlements name."""

    method = "wallet"
    pays_refunds = True

    async def authorise(self, asked: Authorisation, key: str, world: World) -> Word:
        """Opens an order, which the payer then approves."""
        amount = {"currency_code": asked.amount.currency, "value": str(asked.amount.amount)}
        unit = {"custom_id": str(asked.payment_id), "amount": amount}
        body = {"intent": "CAPTURE", "purchase_units": [unit]}
        answer = await _post(OrderObject, "v2/checkout/orders", body, key, world)
        return answer.word() if isinstance(answer, OrderObject) else Word(outcome="declined", decline_code=answer.code)

    async def capture(self, asked: Capture, key: str, world: World) -> Word:
        """Takes the money of an approved order."""
        path = f"v2/checkout/orders/{asked.provider_payment_id}"
        answer = await _post(OrderObject, f"{path}/capture", {}, key, world)
        if isinstance(answer, Refusal) and answer.is_captured_already:
            answer = await _get(OrderObject, path, world)
        return answer.word() if isinstance(answer, OrderObject) else _declined(asked.provider_payment_id, answer)

    async def look_up(self, asked: LookUp, key: str, world: World) -> Word:
        """What became of an order; one that was never approved is gone after some hours."""
        answer = await _get(OrderObject, f"v2/checkout/orders/{asked.provider_payment_id}", world)
        if isinstance(answer, OrderObject):
            return answer.word()
        return Word(outcome="cancelled", provider_payment_id=asked.provider_payment_id)

    async def refund(self, asked: Refund, key: str, world: World) -> RefundWord:
        """Gives captured money back."""
        amount = {"currency_code": asked.amount.currency, "value": str(asked.amount.amount)}
        body = {"amount": amount, "custom_id": f"{asked.payment_id}:{asked.refund_id}"}
        path = f"v2/payments/captures/{asked.provider_payment_id}/refund"
        answer = await _post(PaypalRefund, path, body, key, world)
        return answer.word() if isinstance(answer, PaypalRefund) else RefundWord(outcome="failed", failure_code=answer.code)

    async def payment_asked(self, key: str, world: World) -> Word | None:
        """It is asked again, under the same PayPal-Request-Id."""
        return None

    async def refund_asked(self, key: str, world: World) -> RefundWord | None:
        """It is asked again, under the same PayPal-Request-Id."""
        return None


def _declined(order_id: str, refusal: Refusal) -> Word:
    return Word(outcome="declined", provider_payment_id=order_id, decline_code=refusal.code)


async def _post(kind: type[Object], path: str, body: dict[str, Any], key: str, world: World) -> Object | Refusal:
    headers = await _let_in(world) | {"PayPal-Request-Id": key, "Prefer": "return=representation"}
    return _read(kind, await world.http.post(f"{world['paypal']}/{path}", json=body, headers=headers))


async def _get(kind: type[Object], path: str, world: World) -> Object | Refusal:
    return _read(kind, await world.http.get(f"{world['paypal']}/{path}", headers=await _let_in(world)))


async def _let_in(world: World) -> dict[str, str]:
    grant = {"grant_type": "client_credentials"}
    asked = world.http.build_request("POST", f"{world['paypal']}/v1/oauth2/token", data=grant)
    credentials = httpx.BasicAuth(world["paypal_client_id"], world["paypal_client_secret"])
    return await let_in(world, next(credentials.auth_flow(asked)))


def _read(kind: type[Object], reply: httpx.Response) -> Object | Refusal:
    """A refusal is an answer (404, 422). Raises Later when nothing was done, Permanent when it never will be."""
    if reply.status_code == httpx.codes.TOO_MANY_REQUESTS:
        raise Later("PayPal asks us to slow down")
    if reply.status_code in (httpx.codes.NOT_FOUND, httpx.codes.UNPROCESSABLE_ENTITY):
        return Refusal.model_validate_json(reply.content)
    if reply.is_client_error:
        raise Permanent(f"PayPal answers {reply.status_code}")
    # A server's error: it may have been done all the same.
    return kind.model_validate_json(reply.raise_for_status().content)
