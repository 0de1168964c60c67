"""What providers tell of their own accord: a route for each, which proves it genuine in that provider's way."""

from __future__ import annotations

import time
from typing import Annotated

from fastapi import Header, HTTPException, Request

from broker import OutsideSettings, Router, Transaction, verified_by
from services.payment import commands
from services.payment.errors import WebhookIsNotGenuine
from services.payment.providers.card_objects import CardEvent
from services.payment.providers.mpesa import Callback, check_address
from services.payment.providers.signatures import check_signature

router = Router(tags=["webhooks"])


async def signed_by_provider(
    request: Request,
    outside: OutsideSettings,
    signature: Annotated[str | None, Header(alias="Card-Signature", description="t=<unix seconds>,v1=<hex>")] = None,
) -> None:
    """Proves that the card provider sent the request. Raises a 400 problem; nothing of the request is kept."""
    secret = outside.get("card_provider_secret")
    try:
        if not secret:
            raise WebhookIsNotGenuine
        check_signature(secret, signature, await request.body(), now=time.time())
    except WebhookIsNotGenuine as refused:
        raise HTTPException(400, "The signature is not valid.") from refused


async def called_by_mpesa(request: Request, outside: OutsideSettings) -> None:
    """Lets Safaricom's addresses in, and nobody else: a callback is not signed. Raises a 400 problem."""
    try:
        check_address(outside.get("mpesa_addresses", ""), request.client.host if request.client else None)
    except WebhookIsNotGenuine as refused:
        raise HTTPException(400, "This address is not M-Pesa's.") from refused


@router.post("/webhooks/mpesa", status_code=204, dependencies=[verified_by(called_by_mpesa)])
async def take_callback(callback: Callback, session: Transaction) -> None:
    """Takes a callback of M-Pesa as a reason to ask what became of the payment; what it says is not believed."""
    await commands.take_webhook(session, callback.notice())


@router.post("/webhooks/card", status_code=204, dependencies=[verified_by(signed_by_provider)])
async def take_webhook(event: CardEvent, session: Transaction) -> None:
    """Takes an event of the card provider; the same one again changes nothing."""
    await commands.take_webhook(session, event.notice())
