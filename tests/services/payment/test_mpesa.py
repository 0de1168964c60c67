"""Paying from a phone: asked with a prompt, called back without proof, and believed when the provider says so itself."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import select

from contracts.money import Money
from contracts.payment import PaymentCheckDue, PaymentFailed, PaymentSucceeded
from services.payment import commands
from services.payment.errors import MobileMoneyIsPaidInWholeShillings, WebhookIsNotGenuine
from services.payment.providers.mpesa import NO_MONEY_MOVED, check_address
from services.payment.rules import check_whole_shillings, pause_before_look
from services.payment.tables import PaymentWebhook
from tests.services.kit import Workplace
from tests.services.payment.given import FACILITY, INVOICE, invoice, payment_of
from tests.services.payment.outer import Outer

PHONE, CHECKOUT, SAFARICOM = "254712345678", "ws_CO_191220191020363925", "196.201.214.200"
PROMPT, QUERY = "/mpesa/stkpush/v1/processrequest", "/mpesa/stkpushquery/v1/query"
SETTINGS = {
    "mpesa": "https://daraja.test",
    "mpesa_consumer_key": "key",
    "mpesa_consumer_secret": "secret",
    "mpesa_shortcode": "174379",
    "mpesa_passkey": "passkey",
    "mpesa_callback_url": "https://us.test/api/v1/webhooks/mpesa",
}
ASKED = {"invoice_id": str(INVOICE), "amount": {"amount": "40", "currency": "KES"}, "phone": PHONE}
PAID = {"stkCallback": {"CheckoutRequestID": CHECKOUT, "ResultCode": 0, "ResultDesc": "paid, honestly"}}


@pytest.fixture
async def mpesa(payment: Workplace) -> AsyncIterator[Outer]:
    """It shows the prompt, and says that the payer has yet to answer it."""
    await payment.deliver(invoice("100.00", currency="KES", version=2))
    payment.app.state.outside = {"mpesa_addresses": f"10.1.0.0/16, {SAFARICOM}"}
    async with Outer.of(payment, SETTINGS) as outer:
        outer.will(PROMPT, ResponseCode="0", CheckoutRequestID=CHECKOUT)
        outer.will(QUERY, 500, errorCode="500.001.1001")
        yield outer


async def prompted(payment: Workplace, mpesa: Outer) -> UUID:
    """A payment that was asked for on the payer's phone."""
    async with payment.client("cashier", at=FACILITY) as cashier:
        reply = await cashier.post("/payments/mobile", json=ASKED)
    assert (reply.status_code, reply.json()["status"], reply.json()["method"]) == (201, "processing", "mobile_money")
    await mpesa.work()
    return UUID(reply.json()["payment_id"])


async def call_back(payment: Workplace, *, address: str = SAFARICOM) -> int:
    """The status of our reply to a callback from this address."""
    transport = httpx.ASGITransport(payment.app, client=(address, 443))
    async with httpx.AsyncClient(transport=transport, base_url="http://payment/api/v1") as caller:
        return (await caller.post("/webhooks/mpesa", json={"Body": PAID})).status_code


async def webhooks(payment: Workplace) -> list[str]:
    async with payment.transaction() as session:
        return list(await session.scalars(select(PaymentWebhook.status)))


async def test_a_callback_is_believed_when_the_status_query_says_the_same(payment: Workplace, mpesa: Outer) -> None:
    """It is keyed on the CheckoutRequestID; the one that comes twice asks once, and the money is ours once."""
    payment_id = await prompted(payment, mpesa)
    mpesa.will(QUERY, ResponseCode="0", CheckoutRequestID=CHECKOUT, ResultCode="0")
    assert [await call_back(payment), await call_back(payment)] == [204, 204]
    assert await payment.published(PaymentSucceeded) == []
    await mpesa.work()
    [event] = await payment.published(PaymentSucceeded)
    assert (event.payment_id, event.amount) == (payment_id, Money.of(40, "KES"))
    [prompt, query] = mpesa.calls
    assert json.loads(query.content)["CheckoutRequestID"] == CHECKOUT
    assert (json.loads(prompt.content)["Amount"], prompt.headers["Authorization"]) == (40, "Bearer let-me-in")
    assert await webhooks(payment) == ["applied"]


async def test_a_callback_that_lies_changes_nothing(payment: Workplace, mpesa: Outer) -> None:
    """It says that the payment was made; the query says that the payer has pressed cancel."""
    payment_id = await prompted(payment, mpesa)
    mpesa.will(QUERY, ResponseCode="0", CheckoutRequestID=CHECKOUT, ResultCode=1032)
    await call_back(payment)
    await mpesa.work()
    assert await payment.published(PaymentSucceeded) == []
    [event] = await payment.published(PaymentFailed)
    assert (event.payment_id, event.reason) == (payment_id, "cancelled_by_payer")


@pytest.mark.parametrize("answer", [{"ResultCode": "4999"}, {"ResultCode": "0", "CheckoutRequestID": "another"}, {}])
async def test_an_outcome_that_nobody_knows_stays_pending(payment: Workplace, mpesa: Outer, answer: dict[str, str]) -> None:
    """An unknown code, or an answer about another prompt, is neither a success nor a failure."""
    payment_id = await prompted(payment, mpesa)
    mpesa.answers[QUERY] = lambda request: httpx.Response(200, json=answer)
    await call_back(payment)
    await mpesa.work()
    assert (await payment_of(payment, payment_id)).status == "processing"


async def test_a_lost_answer_to_a_prompt_is_pending_and_not_asked_for_again(payment: Workplace, mpesa: Outer) -> None:
    """The payer may be looking at it: a second prompt might be paid too."""
    mpesa.loses(PROMPT)
    payment_id = await prompted(payment, mpesa)
    assert (await payment_of(payment, payment_id)).status == "processing"
    assert len(mpesa.calls) == 1
    assert PHONE not in await mpesa.everything_kept()


async def test_a_phone_number_is_kept_nowhere(payment: Workplace, mpesa: Outer) -> None:
    """Once the payer was asked: not with the call, nor in an event, nor beside the request's key."""
    async with payment.client("cashier", at=FACILITY) as cashier:
        reply = await cashier.post("/payments/mobile", json=ASKED, headers={"Idempotency-Key": str(uuid4())})
    assert PHONE not in reply.text
    assert PHONE in await mpesa.everything_kept()
    await mpesa.work()
    assert PHONE in mpesa.calls[0].content.decode()
    assert PHONE not in await mpesa.everything_kept()


async def test_without_a_callback_the_provider_is_asked(payment: Workplace, mpesa: Outer) -> None:
    """After two minutes, and then less and less often, until the payment is decided."""
    payment_id = await prompted(payment, mpesa)
    due = PaymentCheckDue(payment_id=payment_id, attempt=1)
    kept = await mpesa.everything_kept()
    assert "payment.check_due" in kept
    await payment.deliver(due)
    await mpesa.work()
    assert (await payment_of(payment, payment_id)).status == "processing"
    mpesa.will(QUERY, ResponseCode="0", CheckoutRequestID=CHECKOUT, ResultCode="0")
    await payment.deliver(due)
    await mpesa.work()
    assert (await payment_of(payment, payment_id)).status == "succeeded"
    await payment.deliver(due)
    await mpesa.work()
    assert len(mpesa.calls) == 3


async def test_a_refused_prompt_fails_the_payment(payment: Workplace, mpesa: Outer) -> None:
    """The payer was never asked."""
    mpesa.will(PROMPT, 400, errorCode="400.002.02", errorMessage="Invalid PhoneNumber")
    await prompted(payment, mpesa)
    assert [event.reason for event in await payment.published(PaymentFailed)] == ["400.002.02"]


async def test_only_the_providers_addresses_call_back(payment: Workplace, mpesa: Outer) -> None:
    """Anybody else is refused, and leaves no trace; so does everybody when no address is allowed."""
    await prompted(payment, mpesa)
    assert [await call_back(payment, address=each) for each in ("10.1.2.3", "10.2.0.1")] == [204, 400]
    payment.app.state.outside = {}
    assert await call_back(payment) == 400
    assert len(await webhooks(payment)) == 1


async def test_a_callback_about_a_stranger_is_ignored(payment: Workplace, mpesa: Outer) -> None:
    """It is kept, for who looks for it, and nobody is asked."""
    assert await call_back(payment) == 204
    await mpesa.work()
    assert (await webhooks(payment), mpesa.calls) == (["ignored"], [])


async def test_mobile_money_goes_back_by_hand(payment: Workplace, mpesa: Outer) -> None:
    """By a second person: the provider is not asked."""
    payment_id = await prompted(payment, mpesa)
    mpesa.will(QUERY, ResponseCode="0", CheckoutRequestID=CHECKOUT, ResultCode="0")
    await call_back(payment)
    await mpesa.work()
    async with payment.transaction() as session:
        refund = await commands.request_refund(session, payment_id, Money.of(5, "KES"), reason="paid twice", by="clerk")
    assert (refund.status, refund.provider) == ("requested", None)


@pytest.mark.parametrize("amount", [Money.of("40.50", "KES"), Money.of("40", "USD")])
def test_mobile_money_is_paid_in_whole_shillings(amount: Money) -> None:
    """No cents, and no dollars."""
    with pytest.raises(MobileMoneyIsPaidInWholeShillings):
        check_whole_shillings(amount)


@pytest.mark.parametrize("address", [None, "", "nonsense", "testclient", "10.2.0.1", "::1"])
def test_an_address_that_is_not_on_the_list_is_refused(address: str | None) -> None:
    """Or that is none."""
    with pytest.raises(WebhookIsNotGenuine):
        check_address("10.1.0.0/16", address)


def test_looks_become_rare() -> None:
    """Two minutes, four, eight …, and never more than an hour."""
    pauses = [pause_before_look(attempt) for attempt in (1, 2, 3, 10, 1000)]
    assert pauses == [timedelta(minutes=minutes) for minutes in (2, 4, 8, 60, 60)]


def test_a_code_that_is_not_known_to_mean_failure_is_none() -> None:
    """Success is not among them, nor is a busy system."""
    assert {"0", "17", "26", "4999"}.isdisjoint(NO_MONEY_MOVED)
