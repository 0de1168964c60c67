"""What PayPal tells of its own accord."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import Depends, Header, HTTPException, Request, Response

from broker import OutsideSettings, Router, Transaction, verified_by
from services.payment import commands
from services.payment.errors import WebhookIsNotGenuine
from services.payment.providers.paypal_objects import PaypalEvent
from services.payment.providers.transmissions import HOST, Transmission

router = Router(tags=["webhooks"])

PAUSE = {"Retry-After": "60"}


def _header(name: str, longest: int) -> object:
    return Header(alias=f"PayPal-{name}", max_length=longest)


async def transmission(
    request: Request,
    id_: Annotated[str, _header("Transmission-Id", 100)] = "",
    at: Annotated[str, _header("Transmission-Time", 100)] = "",
    signature: Annotated[str, _header("Transmission-Sig", 1000)] = "",
    algorithm: Annotated[str, _header("Auth-Algo", 100)] = "",
    url: Annotated[str, _header("Cert-Url", 500)] = "",
) -> Transmission:
    """The request as PayPal has signed it."""
    body = await request.body()
    return Transmission(id=id_, time=at, signature=signature, algorithm=algorithm, certificate_url=url, body=body)


async def transmitted_by_paypal(
    sent: Annotated[Transmission, Depends(transmission)], outside: OutsideSettings, session: Transaction
) -> bool:
    """Proves that PayPal sent the request to us; False while the certificate that it names is not here to prove it with.

    Raises a 400 problem; nothing of the request is kept.
    """
    webhook_id, now = outside.get("paypal_webhook_id"), datetime.now(UTC)
    try:
        if not webhook_id:
            raise WebhookIsNotGenuine
        sent.check_source(outside.get("paypal_certificate_host", HOST), now=now)
        certificate = await commands.certificate_at(session, sent.certificate_url)
        if certificate is not None:
            sent.check_signature(certificate, webhook_id, now=now)
    except WebhookIsNotGenuine as refused:
        raise HTTPException(400, "The transmission is not genuine.") from refused
    return certificate is not None


@router.post("/webhooks/paypal", status_code=204, responses={503: {"description": "To be sent again in a minute."}})
async def take_transmission(
    event: PaypalEvent,
    session: Transaction,
    sent: Annotated[Transmission, Depends(transmission)],
    is_proven: Annotated[bool, verified_by(transmitted_by_paypal)],
) -> Response:
    """Takes an event of PayPal; the same one again changes nothing. What cannot be proven yet, PayPal sends again."""
    if not is_proven:
        await commands.fetch_certificate(session, sent.certificate_url)
        return Response(status_code=503, headers=PAUSE)
    await commands.take_webhook(session, event.notice())
    return Response(status_code=204)
