"""Calls to providers: each goes to the adapter of the provider it names, and is asked about when its outcome is unknown."""

from __future__ import annotations

from datetime import timedelta

import httpx
from pydantic import BaseModel

from broker import SEND_AGAIN, World, ask, outside
from services.payment.providers import (
    Authorisation,
    Capture,
    Evidence,
    LookUp,
    Prompt,
    Refund,
    Release,
    TransfersAsked,
    TransfersGot,
    provider_of,
)
from services.payment.providers.stellar import read_on
from services.payment.rules import DisputeWord, RefundWord, Word

DEADLINE = timedelta(seconds=10)


async def what_became_of(request: Authorisation | Capture | Release, key: str, world: World) -> Word | None:
    """What a provider says of a call about a payment; None when it never heard of it."""
    return await provider_of(request.provider).payment_asked(key, world)


async def what_became_of_refund(request: Refund, key: str, world: World) -> RefundWord | None:
    """What a provider says of a refund that it was asked for; None when it never heard of it."""
    return await provider_of(request.provider).refund_asked(key, world)


async def what_became_of_evidence(request: Evidence, key: str, world: World) -> DisputeWord | None:
    """What a provider says of evidence that it was sent; None when it never heard of it."""
    return await provider_of(request.provider).evidence_asked(key, world)


@outside(deadline=DEADLINE, if_unknown=ask(what_became_of), name="authorise_card")
async def authorise(request: Authorisation, key: str, world: World) -> Word:
    """Asks a provider to hold an amount."""
    return await provider_of(request.provider).authorise(request, key, world)


@outside(deadline=DEADLINE, if_unknown=ask(what_became_of), name="capture_card")
async def capture(request: Capture, key: str, world: World) -> Word:
    """Asks a provider to take what it holds."""
    return await provider_of(request.provider).capture(request, key, world)


@outside(deadline=DEADLINE, if_unknown=ask(what_became_of))
async def release(request: Release, key: str, world: World) -> Word:
    """Asks a provider to take no more of what it holds."""
    return await provider_of(request.provider).release(request, key, world)


@outside(deadline=DEADLINE, if_unknown=ask(what_became_of_refund))
async def refund(request: Refund, key: str, world: World) -> RefundWord:
    """Asks a provider to give money back."""
    return await provider_of(request.provider).refund(request, key, world)


@outside(deadline=DEADLINE, if_unknown=ask(what_became_of_evidence))
async def send_evidence(request: Evidence, key: str, world: World) -> DisputeWord:
    """Asks a provider to take our side of a dispute to the payer's bank."""
    return await provider_of(request.provider).send_evidence(request, key, world)


async def nobody_knows(request: Prompt, key: str, world: World) -> Word:
    """A prompt whose answer was lost has no id to be asked about, and a second one might be paid twice: people trace it."""
    return Word(outcome="pending")


@outside(deadline=DEADLINE, if_unknown=ask(nobody_knows), forget=True)
async def prompt(request: Prompt, key: str, world: World) -> Word:
    """Asks a payer on their phone, whose number is forgotten after that."""
    return await provider_of(request.provider).prompt(request, key, world)


@outside(deadline=DEADLINE, if_unknown=SEND_AGAIN)
async def look_up(request: LookUp, key: str, world: World) -> Word:
    """Asks a provider what became of a payment that its payer has yet to agree to."""
    return await provider_of(request.provider).look_up(request, key, world)


class CertificateAsked(BaseModel):
    """Where a provider's certificate is. Only an address that was checked comes here."""

    url: str


class CertificateGot(BaseModel):
    """The certificate (PEM); None when there is none."""

    pem: str | None


@outside(deadline=DEADLINE, if_unknown=SEND_AGAIN)
async def fetch_certificate(request: CertificateAsked, key: str, world: World) -> CertificateGot:
    """Gets the certificate of the key that a provider signs with."""
    reply = await world.http.get(request.url)
    if reply.status_code == httpx.codes.NOT_FOUND:
        return CertificateGot(pem=None)
    return CertificateGot(pem=reply.raise_for_status().text)


@outside(deadline=DEADLINE, if_unknown=SEND_AGAIN)
async def read_transfers(request: TransfersAsked, key: str, world: World) -> TransfersGot:
    """Reads on in the ledger."""
    return await read_on(request, world)
