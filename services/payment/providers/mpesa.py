"""M-Pesa by Safaricom's Daraja API: the payer is asked on their phone (STK push) and agrees with a PIN.

Settings of the world outside: `mpesa` (address), `mpesa_consumer_key` and `mpesa_consumer_secret` (let us in),
`mpesa_shortcode` and `mpesa_passkey` (whose till it is), `mpesa_callback_url` (where we are called back), `mpesa_addresses`
(who may call us back: addresses and networks, by commas; nobody, when it is missing).

A payment is known by its CheckoutRequestID. Callbacks are not signed: they are taken from Safaricom's addresses alone, and
believed only as far as the status query says the same. Source: https://developer.safaricom.co.ke (M-Pesa Express, Query).
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from ipaddress import ip_address, ip_network
from typing import Any

import httpx
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from broker import Later, World
from services.payment.errors import WebhookIsNotGenuine
from services.payment.providers.credentials import let_in
from services.payment.providers.provider import MPESA, LookUp, Notice, Prompt, Provider, Rumour
from services.payment.rules import Word

EAST_AFRICA = timezone(timedelta(hours=3))

NO_MONEY_MOVED: Mapping[str, str] = {
    "1": "insufficient_funds",
    "1001": "payer_is_busy",
    "1019": "expired",
    "1025": "prompt_not_shown",
    "1032": "cancelled_by_payer",
    "1037": "payer_not_reached",
    "2001": "wrong_pin",
    "9999": "prompt_not_shown",
}
"""The result codes that say so for sure. Of any other, nobody knows: the payment stays pending."""

STILL_WITH_THE_PAYER = "500.001.1001"


class MpesaProvider(Provider):
    """Mobile money. What goes back is sent by hand: a reversal needs the receipt that only an unsigned callback names."""

    method = "mobile_money"
    is_asked_by_key = False

    async def prompt(self, asked: Prompt, key: str, world: World) -> Word:
        """Asks the payer on their phone."""
        body = {
            "TransactionType": "CustomerPayBillOnline",
            "Amount": int(asked.amount.amount),
            "PartyA": asked.phone,
            "PartyB": world["mpesa_shortcode"],
            "PhoneNumber": asked.phone,
            "CallBackURL": world["mpesa_callback_url"],
            "AccountReference": asked.payment_id.hex[:12],
            "TransactionDesc": "Payment",
        }
        return (await _post("stkpush/v1/processrequest", body, world)).prompted()

    async def look_up(self, asked: LookUp, key: str, world: World) -> Word:
        """What became of a prompt."""
        reply = await _post("stkpushquery/v1/query", {"CheckoutRequestID": asked.provider_payment_id}, world)
        return reply.became(asked.provider_payment_id)


class Reply(BaseModel):
    """What Daraja answers: that it has taken a request, what became of one, or why it refuses."""

    model_config = ConfigDict(coerce_numbers_to_str=True)

    checkout_request_id: str | None = Field(default=None, alias="CheckoutRequestID", max_length=200)
    response_code: str | None = Field(default=None, alias="ResponseCode", max_length=100)
    result_code: str | None = Field(default=None, alias="ResultCode", max_length=100)
    error_code: str | None = Field(default=None, alias="errorCode", max_length=100)

    def prompted(self) -> Word:
        """What it means for a payment that the payer was, or was not, asked."""
        if self.response_code == "0" and self.checkout_request_id:
            return Word(outcome="pending", provider_payment_id=self.checkout_request_id)
        if self.error_code or self.response_code not in (None, "0"):
            return Word(outcome="declined", decline_code=self.error_code or self.response_code)
        return Word(outcome="pending")

    def became(self, checkout_request_id: str) -> Word:
        """What it means for a payment that the payer was asked for."""
        if self.result_code == "0" and self.checkout_request_id == checkout_request_id:
            return Word(outcome="captured", provider_payment_id=checkout_request_id)
        reason = NO_MONEY_MOVED.get(self.result_code or "")
        if reason is not None:
            return Word(outcome="declined", provider_payment_id=checkout_request_id, decline_code=reason)
        return Word(outcome="pending", provider_payment_id=checkout_request_id)


class StkCallback(BaseModel):
    """What a callback is about. What else it says is not believed, and not read."""

    checkout_request_id: str = Field(alias="CheckoutRequestID", min_length=1, max_length=200)


class CallbackBody(BaseModel):
    """What a callback holds."""

    result: StkCallback = Field(alias="stkCallback")


class Callback(BaseModel):
    """A callback: the payer has answered a prompt, or has not."""

    body: CallbackBody = Field(alias="Body")

    def notice(self) -> Notice:
        """Something became of this payment."""
        id_ = self.body.result.checkout_request_id
        return Notice(provider=MPESA, event_id=id_, type="stk_callback", provider_payment_id=id_, word=Rumour())


def check_address(allowed: str, address: str | None) -> None:
    """Returns if `address` is one of the addresses and networks in `allowed`, by commas. Raises WebhookIsNotGenuine."""
    networks = [ip_network(each.strip()) for each in allowed.split(",") if each.strip()]
    try:
        caller = ip_address(address or "")
    except ValueError as malformed:
        raise WebhookIsNotGenuine from malformed
    if not any(caller in network for network in networks):
        raise WebhookIsNotGenuine


async def _post(path: str, body: dict[str, Any], world: World) -> Reply:
    """A refusal is an answer. Raises Later when nothing was done."""
    credentials = httpx.BasicAuth(world["mpesa_consumer_key"], world["mpesa_consumer_secret"])
    url = f"{world['mpesa']}/oauth/v1/generate?grant_type=client_credentials"
    opened = next(credentials.auth_flow(world.http.build_request("GET", url)))
    headers = await let_in(world, opened)
    reply = await world.http.post(f"{world['mpesa']}/mpesa/{path}", json=_signed(world) | body, headers=headers)
    return _read(reply)


def _read(reply: httpx.Response) -> Reply:
    if reply.status_code == httpx.codes.TOO_MANY_REQUESTS:
        raise Later("M-Pesa asks us to slow down")
    if reply.is_server_error and STILL_WITH_THE_PAYER not in reply.text:
        # It may have been done all the same: unknown.
        reply.raise_for_status()
    try:
        return Reply.model_validate_json(reply.content)
    except ValidationError:
        if reply.is_client_error:
            return Reply(errorCode=str(reply.status_code))
        raise


def _signed(world: World) -> dict[str, str]:
    """Whose till it is, proven for this moment."""
    shortcode, timestamp = world["mpesa_shortcode"], f"{datetime.now(EAST_AFRICA):%Y%m%d%H%M%S}"
    password = b64encode(f"{shortcode}{world['mpesa_passkey']}{timestamp}".encode()).decode()
    return {"BusinessShortCode": shortcode, "Password": password, "Timestamp": timestamp}
