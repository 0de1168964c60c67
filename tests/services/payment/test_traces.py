"""Payments that the provider's answer was lost of: what one person finds in its books, and another confirms."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from broker import NotFound, clock
from contracts.money import Money
from contracts.payment import PaymentFailed, PaymentStatus, PaymentSucceeded
from services.payment import commands, rules
from services.payment.errors import (
    LostPaymentMayStillBePaid,
    OnlyALostPaymentIsTraced,
    PaymentIsTracedAlready,
    TraceIsOfAnotherAmount,
    TraceNamesAnotherPayment,
    TraceNeedsASecondPerson,
)
from services.payment.tables import PaymentTrace
from tests.services.kit import Workplace
from tests.services.payment.given import FACILITY, OTHER_FACILITY, cash, colleague, initiated, invoice, payment_of, recorded
from tests.services.payment.outer import Outer
from tests.services.payment.test_mpesa import CHECKOUT, PROMPT, QUERY, SETTINGS, prompted

FORTY = Money.of("40", "KES")


@pytest.fixture
async def mpesa(payment: Workplace) -> AsyncIterator[Outer]:
    """It shows a prompt, and its answer to that is lost."""
    await payment.deliver(invoice("100.00", currency="KES", version=2))
    async with Outer.of(payment, SETTINGS) as outer:
        outer.loses(PROMPT)
        yield outer


async def traced(payment: Workplace, payment_id: UUID, found: str | None, amount: Money = FORTY) -> PaymentTrace:
    async with payment.transaction() as session:
        in_their_books = None if found is None else (found, amount)
        return await commands.trace_payment(session, payment_id, in_their_books, by="first")


async def confirmed(payment: Workplace, payment_id: UUID, by: str = "second") -> PaymentTrace:
    async with payment.transaction() as session:
        return await commands.confirm_trace(session, payment_id, by)


async def test_what_two_people_found_is_asked_about(payment: Workplace, mpesa: Outer) -> None:
    """The provider's answer counts, as for any prompt; one person alone changes nothing."""
    payment_id = await prompted(payment, mpesa)
    await traced(payment, payment_id, CHECKOUT)
    mpesa.will(QUERY, ResponseCode="0", CheckoutRequestID=CHECKOUT, ResultCode="0")
    with pytest.raises(TraceNeedsASecondPerson):
        await confirmed(payment, payment_id, "first")
    await mpesa.work()
    assert (await payment_of(payment, payment_id)).provider_payment_id is None
    assert (await confirmed(payment, payment_id)).decided_by == "second"
    assert (await payment_of(payment, payment_id)).status == "processing"
    await mpesa.work()
    [event] = await payment.published(PaymentSucceeded)
    assert (event.payment_id, event.amount) == (payment_id, FORTY)
    assert (await payment_of(payment, payment_id)).provider_payment_id == CHECKOUT


async def test_what_was_found_and_refused_by_its_payer_fails(payment: Workplace, mpesa: Outer) -> None:
    """And what the payer has yet to answer is looked at again."""
    payment_id = await prompted(payment, mpesa)
    await traced(payment, payment_id, CHECKOUT)
    mpesa.will(QUERY, 500, errorCode="500.001.1001")
    await confirmed(payment, payment_id)
    await mpesa.work()
    assert "payment.check_due" in await mpesa.everything_kept()
    mpesa.will(QUERY, ResponseCode="0", CheckoutRequestID=CHECKOUT, ResultCode="1032")
    async with payment.transaction() as session:
        await commands.check_payment(session, payment_id, 1)
    await mpesa.work()
    assert [event.reason for event in await payment.published(PaymentFailed)] == ["cancelled_by_payer"]


async def test_two_people_find_that_a_lost_payment_was_not_paid(payment: Workplace, mpesa: Outer) -> None:
    """A day after it was begun, not before: then it has failed, and the invoice can be paid again."""
    payment_id = await prompted(payment, mpesa)
    with pytest.raises(LostPaymentMayStillBePaid):
        await traced(payment, payment_id, None)
    clock.shift += rules.UNPAID_AFTER
    await traced(payment, payment_id, None)
    assert await payment.published(PaymentFailed) == []
    await confirmed(payment, payment_id)
    [event] = await payment.published(PaymentFailed)
    assert (event.payment_id, event.reason) == (payment_id, "not_paid")
    assert ((await payment_of(payment, payment_id)).decline_code, mpesa.calls[1:]) == ("not_paid", [])


async def test_what_is_found_is_of_the_payments_amount(payment: Workplace, mpesa: Outer) -> None:
    """A prompt is paid whole or not at all."""
    payment_id = await prompted(payment, mpesa)
    with pytest.raises(TraceIsOfAnotherAmount):
        await traced(payment, payment_id, CHECKOUT, Money.of("41", "KES"))


async def test_what_is_found_is_no_other_payment(payment: Workplace, mpesa: Outer) -> None:
    """Neither when it is found, nor when it is confirmed: the other may have got its id since."""
    first, second = await prompted(payment, mpesa), await prompted(payment, mpesa)
    await traced(payment, first, CHECKOUT)
    await traced(payment, second, CHECKOUT)
    await confirmed(payment, first)
    with pytest.raises(TraceNamesAnotherPayment):
        await confirmed(payment, second)
    async with payment.transaction() as session:
        await commands.refuse_trace(session, second, "second")
    with pytest.raises(TraceNamesAnotherPayment):
        await traced(payment, second, CHECKOUT)


async def test_only_a_lost_payment_is_traced(payment: Workplace, mpesa: Outer) -> None:
    """Not one that has its provider's id, nor one that the provider can be asked about, nor money at the desk."""
    mpesa.will(PROMPT, ResponseCode="0", CheckoutRequestID=CHECKOUT)
    at_the_desk = (await recorded(payment, cash("5.00", invoice_id=None))).payment_id
    await payment.deliver(invoice("100.00", invoice_id=(in_dollars := uuid4())))
    by_card = (await initiated(payment, "5.00", "tok_visa", invoice_id=in_dollars)).payment_id
    for payment_id in (await prompted(payment, mpesa), by_card, at_the_desk):
        with pytest.raises(OnlyALostPaymentIsTraced):
            await traced(payment, payment_id, "ws_CO_2")


async def test_an_answer_that_comes_after_all_counts(payment: Workplace, mpesa: Outer) -> None:
    """What was found cannot be confirmed any more, only refused."""
    payment_id = await prompted(payment, mpesa)
    await traced(payment, payment_id, "ws_CO_2")
    async with payment.transaction() as session:
        await commands.hear_provider(session, payment_id, rules.Word(outcome="pending", provider_payment_id=CHECKOUT))
    with pytest.raises(OnlyALostPaymentIsTraced):
        await confirmed(payment, payment_id)
    async with payment.transaction() as session:
        assert (await commands.refuse_trace(session, payment_id, "first")).status == "refused"


async def test_one_thing_is_found_at_a_time(payment: Workplace, mpesa: Outer) -> None:
    """It is confirmed or refused, once, before something else is found."""
    payment_id = await prompted(payment, mpesa)
    with pytest.raises(NotFound):
        await confirmed(payment, payment_id)
    await traced(payment, payment_id, CHECKOUT)
    with pytest.raises(PaymentIsTracedAlready):
        await traced(payment, payment_id, "ws_CO_2")
    async with payment.transaction() as session:
        await commands.refuse_trace(session, payment_id, "second")
    with pytest.raises(NotFound):
        await confirmed(payment, payment_id)
    await traced(payment, payment_id, "ws_CO_2")


async def test_traces_over_http(payment: Workplace, mpesa: Outer) -> None:
    """A clerk finds, a manager who is somebody else confirms; a cashier sees it, another facility's people do not."""
    path = f"/payments/{await prompted(payment, mpesa)}/trace"
    found = {"found": {"provider_payment_id": CHECKOUT, "amount": {"amount": "40", "currency": "KES"}}}
    async with payment.client("billing_manager", at=OTHER_FACILITY) as stranger:
        assert (await stranger.post(path, json=found)).status_code == 404
    async with payment.client("cashier", at=FACILITY) as cashier:
        assert (await cashier.post(path, json=found)).status_code == 403
    async with payment.client("billing_manager", at=FACILITY) as first, colleague(payment, "billing_manager") as second:
        made, early = await first.post(path, json=found), await first.post(path, json={"found": None})
        alone, refused = await first.post(f"{path}/confirm"), await second.post(f"{path}/refuse")
        again, together = await first.post(path, json=found), await second.post(f"{path}/confirm")
    async with payment.client("cashier", at=FACILITY) as cashier:
        [listed] = (await cashier.get("/payment-traces", params={"status": "confirmed"})).json()["items"]
    async with payment.client("cashier", at=OTHER_FACILITY) as stranger:
        assert (await stranger.get("/payment-traces")).json()["items"] == []
    assert (made.status_code, early.status_code, refused.json()["status"], again.status_code) == (201, 409, "refused", 201)
    assert (alone.status_code, alone.json()["type"]) == (409, "urn:nilecare:rule:TraceNeedsASecondPerson")
    assert (together.status_code, together.json()["decided_by"], together.json()) == (200, "colleague", listed)


@pytest.mark.parametrize("status", ["requires_method", "requires_action", "requires_capture", "succeeded", "failed"])
def test_what_is_decided_or_not_asked_for_is_not_lost(status: PaymentStatus) -> None:
    """Only what the provider was asked for can be."""
    with pytest.raises(OnlyALostPaymentIsTraced):
        rules.check_lost(status, None, is_asked_by_key=False)


def test_a_day_has_to_pass() -> None:
    """To the second."""
    begun = clock.now()
    rules.check_unpaid(begun, begun + rules.UNPAID_AFTER)
    with pytest.raises(LostPaymentMayStillBePaid):
        rules.check_unpaid(begun, begun + rules.UNPAID_AFTER - timedelta(seconds=1))
