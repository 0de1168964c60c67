"""What the channels tell of their own accord."""

from __future__ import annotations

import hmac
from typing import Annotated

from fastapi import Header, HTTPException

from broker import OutsideSettings, Router, Transaction, verified_by
from services.notification import commands, views

router = Router()


async def sent_by_a_channel(outside: OutsideSettings, authorization: Annotated[str, Header()] = "") -> None:
    """Proves that the request has the secret that we share with the gateway. Raises 401; without a secret, for everybody."""
    secret = outside.get("message_gateway_secret")
    if not secret or not hmac.compare_digest(authorization.encode(), f"Bearer {secret}".encode()):
        raise HTTPException(401, "The receipt is not genuine.")


@router.post("/receipts", status_code=204, dependencies=[verified_by(sent_by_a_channel)])
async def take_receipt(receipt: views.Receipt, session: Transaction) -> None:
    """Takes a delivery receipt; the same one again, or one of a message that is not ours, changes nothing."""
    await commands.take_receipt(session, receipt.reference, receipt.verdict, receipt.code)
