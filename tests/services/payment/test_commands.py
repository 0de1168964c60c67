"""Initiating, cancelling, recording; voided invoices."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from uuid import uuid4

import pytest
from sqlalchemy import func, select

from broker import NotYet
from broker._tables import call
from contracts.billing import InvoiceVoided
from contracts.money import Money
from contracts.payment import PaymentCancelled, PaymentInitiated, PaymentSucceeded
from services.payment import commands, rules
from services.payment.errors import (
    AmountIsMoreThanTheOpenBalance,
    InvoiceCannotBePaid,
    InvoiceIsOfAnotherFacility,
    PaymentCannotBecome,
    PaymentNotFound,
    ReferenceBelongsToAnotherPayment,
)
from services.payment.tables import Payment
from tests.services.kit import Workplace
from tests.services.payment.given import (
    FACILITY,
    INVOICE,
    NOON,
    OTHER_FACILITY,
    PATIENT,
    cash,
    hear,
    initiated,
    invoice,
    payment_of,
    recorded,
    usd,
)

DECLINED = rules.Word(outcome="declined", provider_payment_id="pay_1", decline_code="card_declined")
CAPTURED = rules.Word(outcome="captured", provider_payment_id="pay_1")


async def test_a_payment_is_of_its_invoices_patient_and_facility(payment: Workplace) -> None:
    """It waits for a card, and everybody is told that somebody means to pay."""
    begun = await initiated(payment, "100.00")
    assert (begun.status, begun.patient_id, begun.facility_id) == ("requires_method", PATIENT, FACILITY)
    [event] = await payment.published(PaymentInitiated)
    assert (event.invoice_id, event.amount) == (INVOICE, usd("100.00"))


async def test_an_invoice_that_is_not_known_yet_is_waited_for(payment: Workplace) -> None:
    """By name of the reference."""
    with pytest.raises(NotYet):
        await initiated(payment, "10.00", invoice_id=uuid4())


async def test_a_payment_is_at_most_the_open_balance(payment: Workplace) -> None:
    """What is under way counts, also when two begin at once; what failed counts no more."""
    results = await asyncio.gather(*(initiated(payment, "60.00", "tok_visa") for _ in range(2)), return_exceptions=True)
    [begun] = [result for result in results if isinstance(result, Payment)]
    [refused] = [result for result in results if not isinstance(result, Payment)]
    assert isinstance(refused, AmountIsMoreThanTheOpenBalance)
    await hear(payment, begun, DECLINED)
    await initiated(payment, "100.00")


async def test_what_was_paid_is_not_asked_for_again(payment: Workplace) -> None:
    """A payment claims its part until the balance takes it into account, whatever else lowers or raises that meanwhile."""
    await payment.deliver(invoice("100.00", version=2, payments=()))
    paid = await initiated(payment, "60.00", "tok_visa")
    assert await hear(payment, paid, CAPTURED)
    with pytest.raises(AmountIsMoreThanTheOpenBalance):
        await initiated(payment, "40.01")
    await payment.deliver(invoice("70.00", version=3, payments=()))
    with pytest.raises(AmountIsMoreThanTheOpenBalance):
        await initiated(payment, "10.01")
    await payment.deliver(invoice("10.00", status="partially_paid", version=4, payments=(paid.payment_id,)))
    await initiated(payment, "10.00")


async def test_money_in_another_currency_claims_nothing(payment: Workplace) -> None:
    """It pays no invoice: billing says so, and what is open stays to be paid."""
    await recorded(payment, replace(cash("60.00"), amount=Money.of("60.00", "KES")))
    await initiated(payment, "100.00")


async def test_a_newer_balance_counts(payment: Workplace) -> None:
    """As billing tells it; a settled invoice cannot be paid at all."""
    await payment.deliver(invoice("10.00", status="partially_paid", version=2))
    with pytest.raises(AmountIsMoreThanTheOpenBalance):
        await initiated(payment, "10.01")
    await payment.deliver(invoice("0.00", status="paid", version=3))
    with pytest.raises(InvoiceCannotBePaid):
        await initiated(payment, "1.00")


async def test_a_card_is_given_once(payment: Workplace) -> None:
    """One call to the provider; a second card is refused while the first is tried."""
    begun = await initiated(payment, "10.00")
    async with payment.transaction() as session:
        await commands.provide_card(session, begun.payment_id, "tok_visa")
    with pytest.raises(PaymentCannotBecome):
        async with payment.transaction() as session:
            await commands.provide_card(session, begun.payment_id, "tok_visa")
    async with payment.transaction() as session:
        assert await session.scalar(select(func.count()).select_from(call)) == 1


async def test_what_the_provider_was_asked_for_is_not_given_up(payment: Workplace) -> None:
    """Before that it is given up at once; after, its outcome is waited for."""
    waiting, asked = await initiated(payment, "10.00"), await initiated(payment, "10.00", "tok_visa")
    async with payment.transaction() as session:
        assert (await commands.cancel_payment(session, waiting.payment_id, "cashier")).status == "cancelled"
    with pytest.raises(PaymentCannotBecome):
        async with payment.transaction() as session:
            await commands.cancel_payment(session, asked.payment_id, "cashier")
    assert [event.payment_id for event in await payment.published(PaymentCancelled)] == [waiting.payment_id]


async def test_a_provider_that_has_the_money_is_believed(payment: Workplace) -> None:
    """Even after it refused; what it says after that is no news."""
    begun = await initiated(payment, "10.00", "tok_visa")
    assert await hear(payment, begun, DECLINED)
    assert await hear(payment, begun, CAPTURED)
    assert not await hear(payment, begun, DECLINED)
    assert not await hear(payment, begun, CAPTURED)
    settled = await payment_of(payment, begun.payment_id)
    assert (settled.status, settled.decline_code) == ("succeeded", None)
    assert len(await payment.published(PaymentSucceeded)) == 1


async def test_a_word_about_an_unknown_payment_is_refused(payment: Workplace) -> None:
    """By name."""
    with pytest.raises(PaymentNotFound):
        async with payment.transaction() as session:
            await commands.hear_provider(session, uuid4(), CAPTURED)


async def test_recorded_money_is_ours_at_once(payment: Workplace) -> None:
    """Once for one reference, with the time at which it came in."""
    first = await recorded(payment, cash("25.00"))
    again = await recorded(payment, cash("25.00"))
    assert first.payment_id == again.payment_id
    [event] = await payment.published(PaymentSucceeded)
    assert (event.amount, event.method, event.succeeded_at, event.invoice_id) == (usd("25.00"), "cash", NOON, INVOICE)


async def test_recorded_money_may_be_more_than_is_open(payment: Workplace) -> None:
    """It is in the till: what is too much becomes credit in billing. Who vouches for an invoice need not wait for it."""
    await recorded(payment, cash("180.00"))
    await recorded(payment, cash("5.00", reference="till 2", invoice_id=uuid4()))
    await recorded(payment, cash("7.00", reference="till 3", invoice_id=None))
    assert len(await payment.published(PaymentSucceeded)) == 3


async def test_a_reference_means_one_payment(payment: Workplace) -> None:
    """With another amount it is refused."""
    await recorded(payment, cash("25.00"))
    with pytest.raises(ReferenceBelongsToAnotherPayment):
        await recorded(payment, cash("25.01"))


async def test_two_houses_may_use_the_same_reference(payment: Workplace) -> None:
    """Each names its own payments; the same again, at either, gives the one there is."""
    ours, theirs, again = [
        await recorded(payment, cash(amount, invoice_id=None, facility_id=house))
        for amount, house in (("25.00", FACILITY), ("5.00", OTHER_FACILITY), ("5.00", OTHER_FACILITY))
    ]
    assert (ours.amount, theirs.amount) == (usd("25.00"), usd("5.00"))
    assert again.payment_id == theirs.payment_id != ours.payment_id


async def test_money_is_recorded_at_the_invoices_facility(payment: Workplace) -> None:
    """Another facility's invoice is refused."""
    with pytest.raises(InvoiceIsOfAnotherFacility):
        await recorded(payment, cash("25.00", facility_id=OTHER_FACILITY))


async def test_nobody_pays_a_voided_invoice(payment: Workplace) -> None:
    """What waits for a card is cancelled; what the provider was asked for goes on, and becomes credit."""
    waiting, asked = await initiated(payment, "10.00"), await initiated(payment, "10.00", "tok_visa")
    voided = InvoiceVoided(invoice_id=INVOICE, patient_id=PATIENT, facility_id=FACILITY, reason="wrong")
    await payment.deliver(voided)
    statuses = [(await payment_of(payment, each.payment_id)).status for each in (waiting, asked)]
    assert statuses == ["cancelled", "processing"]
