"""The simulated card provider, as a server."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI, Request, Response

import nilecare.simulator
from broker._listener import Listener
from nilecare.simulator import CardSimulator
from nilecare.simulator.ledger import CAPTURE_DECLINES, DECLINES, TOKENS

SECRET = "whsec_test"


class Merchant:
    """Takes webhooks, and keeps them; refuses as many as it is told to."""

    def __init__(self) -> None:
        self.taken: list[dict[str, Any]] = []
        self.signatures: list[str] = []
        self.refuse = 0
        self.url = ""

    def app(self) -> FastAPI:
        app = FastAPI()
        app.add_api_route("/webhooks", self._take, methods=["POST"])
        return app

    async def _take(self, request: Request) -> Response:
        if self.refuse:
            self.refuse -= 1
            return Response(status_code=503)
        self.taken.append(json.loads(await request.body()))
        self.signatures.append(request.headers["Card-Signature"])
        return Response(status_code=204)

    @property
    def types(self) -> list[str]:
        return [event["type"] for event in self.taken]


@pytest.fixture
async def merchant() -> AsyncIterator[Merchant]:
    merchant = Merchant()
    listener = Listener(merchant.app(), "127.0.0.1", 0)
    await listener.start()
    merchant.url = f"http://127.0.0.1:{listener.port}/webhooks"
    yield merchant
    await listener.stop()


@pytest.fixture
async def provider(merchant: Merchant) -> CardSimulator:
    return CardSimulator(secret=SECRET, webhook_url=merchant.url, slow=0.01)


@pytest.fixture
async def client(provider: CardSimulator) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Authorization": f"Bearer {SECRET}"}
    async with provider.serving() as address, httpx.AsyncClient(base_url=address, headers=headers) as client:
        yield client


async def authorise(client: httpx.AsyncClient, token: str, *, key: str | None = None, amount: str = "40.00") -> httpx.Response:
    asked = {"reference": "order 1", "amount": amount, "currency": "USD", "token": token}
    return await client.post("/v1/payments", json=asked, headers={"Idempotency-Key": key or str(uuid4())})


async def capture(client: httpx.AsyncClient, payment_id: str) -> httpx.Response:
    return await client.post(f"/v1/payments/{payment_id}/capture", headers={"Idempotency-Key": str(uuid4())})


async def test_a_good_card_is_authorised_and_captured(
    client: httpx.AsyncClient, provider: CardSimulator, merchant: Merchant
) -> None:
    """And the merchant is told of both, signed."""
    held = (await authorise(client, "tok_visa")).json()
    assert (held["status"], held["amount"], held["reference"]) == ("authorised", "40.00", "order 1")
    assert (await capture(client, held["id"])).json()["status"] == "captured"
    await provider.webhooks.idle()
    assert merchant.types == ["payment.authorised", "payment.captured"]
    assert all(signature.startswith("t=") and ",v1=" in signature for signature in merchant.signatures)


@pytest.mark.parametrize(("token", "code"), sorted(DECLINES.items()))
async def test_a_bad_card_is_declined(client: httpx.AsyncClient, token: str, code: str) -> None:
    """With its code, and it cannot be captured."""
    reply = await authorise(client, token)
    assert (reply.status_code, reply.json()["decline_code"]) == (402, code)
    assert (await capture(client, reply.json()["id"])).json()["status"] == "declined"


async def test_a_card_may_be_declined_at_the_capture(client: httpx.AsyncClient) -> None:
    """The amount was held, and is let go."""
    [(token, code)] = CAPTURE_DECLINES.items()
    held = (await authorise(client, token)).json()
    reply = await capture(client, held["id"])
    assert (held["status"], reply.status_code, reply.json()["decline_code"]) == ("authorised", 402, code)


async def test_what_is_still_to_be_told_is_known(
    client: httpx.AsyncClient, provider: CardSimulator, merchant: Merchant
) -> None:
    """From its beginning until the merchant has taken it, however often it is sent; how much was told only grows."""
    webhooks, merchant.refuse = provider.webhooks, 1
    await authorise(client, "tok_webhook_first")
    assert (webhooks.told, webhooks.owing, webhooks.attempts) == (1, [], 2)
    webhooks.send({"data": {"reference": "order 2"}})
    assert (webhooks.told, webhooks.owing) == (2, ["callback about order 2"])
    await webhooks.idle()
    assert (webhooks.told, webhooks.owing) == (2, [])


async def test_a_key_means_one_request(client: httpx.AsyncClient, provider: CardSimulator, merchant: Merchant) -> None:
    """Sent again, it gets the same answer and has no second effect; with another request, it is refused."""
    first, again = [await authorise(client, "tok_visa", key="k") for _ in range(2)]
    other = await authorise(client, "tok_visa", key="k", amount="41.00")
    await provider.webhooks.idle()
    assert first.json() == again.json()
    assert (other.status_code, len(provider.ledger.payments), len(merchant.taken)) == (422, 1, 1)


async def test_a_lost_answer_can_be_asked_for(client: httpx.AsyncClient, provider: CardSimulator, merchant: Merchant) -> None:
    """The connection breaks, the thing is done, and its webhook comes; of a key that never came nothing is known."""
    with pytest.raises(httpx.RemoteProtocolError):
        await authorise(client, "tok_lost_answer", key="k")
    assert (await client.get("/v1/requests/k")).json()["status"] == "authorised"
    assert (await client.get("/v1/requests/other")).status_code == 404
    assert (await authorise(client, "tok_lost_answer", key="k")).json()["status"] == "authorised"
    await provider.webhooks.idle()
    assert merchant.types == ["payment.authorised"]


async def test_everything_may_be_lost(client: httpx.AsyncClient, provider: CardSimulator, merchant: Merchant) -> None:
    """Neither answer nor webhook: only asking helps."""
    with pytest.raises(httpx.RemoteProtocolError):
        await authorise(client, "tok_lost_answer_and_webhook", key="k")
    await provider.webhooks.idle()
    assert (await client.get("/v1/requests/k")).json()["status"] == "authorised"
    assert merchant.taken == []


async def test_a_slow_answer_comes(client: httpx.AsyncClient) -> None:
    """Late."""
    assert (await authorise(client, "tok_slow")).json()["status"] == "authorised"


async def test_a_webhook_may_come_twice(client: httpx.AsyncClient, provider: CardSimulator, merchant: Merchant) -> None:
    """As the same event."""
    await authorise(client, "tok_duplicate_webhook")
    await provider.webhooks.idle()
    first, again = merchant.taken
    assert first == again


async def test_a_webhook_may_come_first(client: httpx.AsyncClient, merchant: Merchant) -> None:
    """When the answer is there, it was taken."""
    await authorise(client, "tok_webhook_first")
    assert merchant.types == ["payment.authorised"]


async def test_webhooks_may_come_in_reverse(client: httpx.AsyncClient, provider: CardSimulator, merchant: Merchant) -> None:
    """The capture's before the authorisation's."""
    held = (await authorise(client, "tok_webhook_reversed")).json()
    await capture(client, held["id"])
    await provider.webhooks.idle()
    assert merchant.types == ["payment.captured", "payment.authorised"]


async def test_a_webhook_is_sent_until_it_is_taken(
    client: httpx.AsyncClient, provider: CardSimulator, merchant: Merchant
) -> None:
    """A merchant that is down misses nothing."""
    merchant.refuse = 2
    await authorise(client, "tok_visa")
    await provider.webhooks.idle()
    assert (len(merchant.taken), provider.webhooks.attempts) == (1, 3)


async def test_the_same_requests_make_the_same_payments() -> None:
    """Ids follow from the idempotency keys, in every run."""
    first, second = (CardSimulator(secret=SECRET) for _ in range(2))
    for simulator in (first, second):
        async with simulator.serving() as address:
            headers = {"Authorization": f"Bearer {SECRET}"}
            async with httpx.AsyncClient(base_url=address, headers=headers) as client:
                await authorise(client, "tok_visa", key="k")
    assert list(first.ledger.payments) == list(second.ledger.payments)


async def test_strangers_and_nonsense_are_refused(client: httpx.AsyncClient, provider: CardSimulator) -> None:
    """No secret, no card, no amount, no payment: each its own status, and nothing is kept."""
    stranger = await client.post("/v1/payments", headers={"Authorization": "Bearer guessed"})
    unknown_card = await authorise(client, "tok_unheard_of")
    nothing = await authorise(client, "tok_visa", amount="0")
    no_payment = await capture(client, "pay_unknown")
    not_shown = await client.get("/v1/payments/pay_unknown")
    statuses = [reply.status_code for reply in (stranger, unknown_card, nothing, no_payment, not_shown)]
    assert statuses == [401, 400, 422, 404, 404]
    assert provider.ledger.payments == {}


async def test_every_token_is_described() -> None:
    """The package's own documentation names each of them."""
    assert nilecare.simulator.__doc__ is not None
    assert all(f"| {token} |" in nilecare.simulator.__doc__ for token in TOKENS)


async def test_it_runs_as_a_process_of_its_own() -> None:
    """It says where it listens, and ends when it is told to."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        "from nilecare.simulator import command; command(['--port', '0', '--smtp-port', '0', '--messages-port', '0'])",
        env=os.environ | {"NILECARE_OUTSIDE_CARD_PROVIDER_SECRET": SECRET},
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    line = (await process.stdout.readline()).decode()
    address = line.rsplit(" ", 1)[1].strip()
    async with httpx.AsyncClient(base_url=address, headers={"Authorization": f"Bearer {SECRET}"}) as client:
        assert (await authorise(client, "tok_visa")).json()["status"] == "authorised"
    process.send_signal(signal.SIGTERM)
    assert await process.wait() == 0
