"""Write-offs that two people decide, credit notes, credits that are applied, and the log of who decided what."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from decimal import Decimal

import pytest
from sqlalchemy import delete, select, update
from sqlalchemy.exc import DBAPIError

from contracts.billing import CreditCreated, InvoicePaid
from services.billing import commands
from services.billing.errors import (
    ACreditNoteIsRequestedAlready,
    ApproverMustBeAnotherPerson,
    AWriteOffIsRequestedAlready,
    BalanceGrewSinceTheRequest,
    CreditIsDisputed,
    CreditIsLessThanThat,
    CreditIsOfAnotherPatient,
    CreditNoteIsMoreThanWasInvoiced,
    InvoiceCannotBecome,
    LargeAdjustmentNeedsASecondApprover,
    LargeCreditNoteNeedsASecondApprover,
    LargeWriteOffNeedsASecondApprover,
    OnlyAnIssuedInvoiceIsClaimedOrCredited,
    OnlyAnIssuedInvoiceIsLowered,
    RequestCannotBecome,
)
from services.billing.tables import (
    BillingAdjustment,
    BillingAuditEntry,
    Credit,
    CreditNote,
    CreditNoteRequest,
    Invoice,
    WriteOffRequest,
)
from tests.services.billing.given import (
    NOON,
    OTHER_PATIENT,
    decisions,
    disputed,
    invoice_of,
    invoiced,
    paid,
    patient,
    refunded,
    usd,
)
from tests.services.kit import Workplace


async def requested(billing: Workplace, invoice: Invoice) -> WriteOffRequest:
    async with billing.transaction() as session:
        return await commands.request_write_off(session, invoice.invoice_id, reason="unreachable", by="clerk")


async def credit_note_requested(billing: Workplace, invoice: Invoice, amount: str) -> CreditNoteRequest:
    async with billing.transaction() as session:
        return await commands.request_credit_note(session, invoice.invoice_id, usd(amount), reason="wrong", by="clerk")


async def approve(billing: Workplace, request: WriteOffRequest, by: str) -> None:
    async with billing.transaction() as session:
        await commands.approve_write_off(session, request.request_id, by=by)


async def credit_of(billing: Workplace, invoice: Invoice) -> Credit:
    """What was paid too much on an invoice."""
    async with billing.transaction() as session:
        return (await session.scalars(select(Credit).where(Credit.invoice_id == invoice.invoice_id))).one()


async def test_a_large_write_off_is_decided_by_another_person(billing: Workplace) -> None:
    """Who asked for it cannot approve it; somebody else can, once, and all of it is in the log."""
    invoice = await invoiced(billing, "900.00")
    request = await requested(billing, invoice)
    with pytest.raises(ApproverMustBeAnotherPerson):
        await approve(billing, request, "clerk")
    await approve(billing, request, "manager")
    assert (await invoice_of(billing, invoice.invoice_id)).status == "written_off"
    with pytest.raises(RequestCannotBecome):
        await approve(billing, request, "manager")
    amount = Decimal("900.00")
    assert await decisions(billing) == [
        ("write_off_requested", "clerk", amount),
        ("write_off_approved", "manager", amount),
        ("written_off", "manager", amount),
    ]


async def test_a_refused_write_off_leaves_the_invoice(billing: Workplace) -> None:
    """It can be asked for again, but not twice at a time."""
    invoice = await invoiced(billing, "900.00")
    request = await requested(billing, invoice)
    with pytest.raises(AWriteOffIsRequestedAlready):
        await requested(billing, invoice)
    async with billing.transaction() as session:
        await commands.refuse_write_off(session, request.request_id, by="manager")
    assert (await invoice_of(billing, invoice.invoice_id)).status == "issued"
    assert (await requested(billing, invoice)).status == "requested"


async def test_what_is_approved_is_what_was_requested(billing: Workplace) -> None:
    """When more is open by then, the request does not cover it; when less is, only that is given up."""
    invoice = await invoiced(billing, "900.00")
    payment = paid("100.00", invoice_id=invoice.invoice_id)
    await billing.deliver(payment)
    request = await requested(billing, invoice)
    await billing.deliver(refunded(payment, "1.00"))
    with pytest.raises(BalanceGrewSinceTheRequest):
        await approve(billing, request, "manager")
    await billing.deliver(paid("51.00", invoice_id=invoice.invoice_id))
    await approve(billing, request, "manager")
    assert (await invoice_of(billing, invoice.invoice_id)).adjusted == usd("750.00")


async def test_a_settled_invoice_is_not_written_off(billing: Workplace) -> None:
    """Neither at once nor on request."""
    invoice = await invoiced(billing, "9.00")
    await billing.deliver(paid("9.00", invoice_id=invoice.invoice_id))
    with pytest.raises(InvoiceCannotBecome):
        await requested(billing, invoice)


async def test_a_credit_note_takes_back_what_was_paid(billing: Workplace) -> None:
    """The balance falls first; what was paid beyond what is still asked becomes the patient's credit, line by line."""
    invoice = await invoiced(billing, "10.00", "20.00")
    await billing.deliver(paid("25.00", invoice_id=invoice.invoice_id))
    async with billing.transaction() as session:
        note = await commands.issue_credit_note(session, invoice.invoice_id, usd("15.00"), reason="wrong", by="manager")
    after = await invoice_of(billing, invoice.invoice_id)
    assert (note.number, after.status, after.balance) == ("CRN-000001", "paid", usd("0.00"))
    assert (after.adjusted, after.allocated) == (usd("15.00"), usd("15.00"))
    credited = await billing.published(CreditCreated)
    assert sum(event.amount.amount for event in credited) == Decimal("10.00")
    assert {event.created_at is not None and event.created_at > NOON for event in credited} == {True}
    assert await decisions(billing) == [("credit_note_issued", "manager", Decimal("15.00"))]


async def test_a_credit_note_over_a_paid_invoice_keeps_it_paid(billing: Workplace) -> None:
    """It is paid once; the note only turns money that settled it into credit."""
    invoice = await invoiced(billing, "10.00")
    await billing.deliver(paid("10.00", invoice_id=invoice.invoice_id))
    async with billing.transaction() as session:
        await commands.issue_credit_note(session, invoice.invoice_id, usd("4.00"), reason="wrong", by="manager")
    assert (await credit_of(billing, invoice)).left == usd("4.00")
    assert len(await billing.published(InvoicePaid)) == 1
    with pytest.raises(CreditNoteIsMoreThanWasInvoiced):
        async with billing.transaction() as session:
            await commands.issue_credit_note(session, invoice.invoice_id, usd("6.01"), reason="wrong", by="manager")


async def test_a_voided_invoice_is_not_credited(billing: Workplace) -> None:
    """There is nothing to take back."""
    invoice = await invoiced(billing, "10.00")
    with pytest.raises(OnlyAnIssuedInvoiceIsClaimedOrCredited):
        async with billing.transaction() as session:
            await commands.void_invoice(session, invoice.invoice_id, "wrong", by="clerk")
            await commands.issue_credit_note(session, invoice.invoice_id, usd("1.00"), reason="wrong", by="manager")


async def test_a_voided_invoice_is_not_adjusted(billing: Workplace) -> None:
    """Neither in part nor in whole: it never counted."""
    invoice = await invoiced(billing, "10.00")
    async with billing.transaction() as session:
        await commands.void_invoice(session, invoice.invoice_id, "wrong", by="clerk")
    for amount in ("1.00", "10.00"):
        with pytest.raises(OnlyAnIssuedInvoiceIsLowered):
            async with billing.transaction() as session:
                await commands.post_adjustment(session, invoice.invoice_id, usd(amount), reason="because", posted_by="clerk")
    assert (await invoice_of(billing, invoice.invoice_id)).adjusted == usd("0.00")


async def test_nobody_lowers_an_invoice_alone_beyond_the_limit(billing: Workplace) -> None:
    """Neither at once nor bit by bit, nor by a write-off of the rest; a second person lets it pass."""
    invoice = await invoiced(billing, "900.00")

    async def lower(amount: str, approved_by: str | None = None) -> None:
        async with billing.transaction() as session:
            await commands.post_adjustment(
                session, invoice.invoice_id, usd(amount), reason="poor", posted_by="manager", approved_by=approved_by
            )

    for approver in (None, "manager"):
        with pytest.raises(LargeAdjustmentNeedsASecondApprover):
            await lower("500.01", approver)
    await lower("300.00", "director")
    await lower("500.00")
    with pytest.raises(LargeAdjustmentNeedsASecondApprover):
        await lower("0.01")
    with pytest.raises(LargeWriteOffNeedsASecondApprover):
        async with billing.transaction() as session:
            await commands.write_off(session, invoice.invoice_id, reason="lost", requested_by="manager")
    assert (await invoice_of(billing, invoice.invoice_id)).balance == usd("100.00")


async def test_nobody_takes_back_more_than_the_limit_alone(billing: Workplace) -> None:
    """Paid or not, at once or bit by bit, or beside what they gave up of the same invoice before."""
    invoice = await invoiced(billing, "900.00")
    await billing.deliver(paid("300.00", invoice_id=invoice.invoice_id))

    async def take_back(amount: str, approved_by: str | None = None) -> None:
        async with billing.transaction() as session:
            await commands.issue_credit_note(
                session, invoice.invoice_id, usd(amount), reason="wrong", by="manager", approved_by=approved_by
            )

    for approver in (None, "manager"):
        with pytest.raises(LargeCreditNoteNeedsASecondApprover):
            await take_back("500.01", approver)
    await take_back("300.00", "director")
    await take_back("400.00")
    with pytest.raises(LargeCreditNoteNeedsASecondApprover):
        await take_back("100.01")
    with pytest.raises(LargeAdjustmentNeedsASecondApprover):
        async with billing.transaction() as session:
            await commands.post_adjustment(session, invoice.invoice_id, usd("100.01"), reason="poor", posted_by="manager")
    await take_back("100.00")


async def test_a_large_credit_note_is_decided_by_another_person(billing: Workplace) -> None:
    """Who asked for it cannot approve it; somebody else can, once, and all of it is in the log."""
    invoice = await invoiced(billing, "900.00")
    request = await credit_note_requested(billing, invoice, "600.00")
    with pytest.raises(ACreditNoteIsRequestedAlready):
        await credit_note_requested(billing, invoice, "1.00")
    for by, broken in (("clerk", ApproverMustBeAnotherPerson), ("manager", None), ("manager", RequestCannotBecome)):
        with pytest.raises(broken) if broken else nullcontext():
            async with billing.transaction() as session:
                await commands.approve_credit_note(session, request.credit_note_request_id, by=by)
    assert (await invoice_of(billing, invoice.invoice_id)).balance == usd("300.00")
    async with billing.transaction() as session:
        note = (await session.scalars(select(CreditNote))).one()
    assert (note.amount, note.issued_by, note.approved_by) == (Decimal("600.00"), "clerk", "manager")
    amount = Decimal("600.00")
    assert await decisions(billing) == [
        ("credit_note_requested", "clerk", amount),
        ("credit_note_approved", "manager", amount),
        ("credit_note_issued", "manager", amount),
    ]


async def test_a_refused_credit_note_leaves_the_invoice(billing: Workplace) -> None:
    """It can be asked for again, over no more than the invoice asks for."""
    invoice = await invoiced(billing, "900.00")
    request = await credit_note_requested(billing, invoice, "600.00")
    async with billing.transaction() as session:
        await commands.refuse_credit_note(session, request.credit_note_request_id, by="manager")
    assert (await invoice_of(billing, invoice.invoice_id)).adjusted == usd("0.00")
    with pytest.raises(CreditNoteIsMoreThanWasInvoiced):
        await credit_note_requested(billing, invoice, "900.01")
    assert (await credit_note_requested(billing, invoice, "900.00")).status == "requested"


async def test_credit_note_numbers_have_no_gap_and_no_double(billing: Workplace) -> None:
    """Also when several are issued at once and one fails."""
    invoices = [await invoiced(billing, "10.00") for _ in range(4)]

    async def one(invoice: Invoice, amount: str) -> None:
        async with billing.transaction() as session:
            await commands.issue_credit_note(session, invoice.invoice_id, usd(amount), reason="wrong", by="manager")
            if amount == "3.00":
                raise RuntimeError

    amounts = ("1.00", "2.00", "3.00", "4.00")
    await asyncio.gather(*map(one, invoices, amounts), return_exceptions=True)
    async with billing.transaction() as session:
        numbers = list(await session.scalars(select(CreditNote.number).order_by(CreditNote.number)))
    assert numbers == ["CRN-000001", "CRN-000002", "CRN-000003"]


async def test_a_credit_settles_another_invoice(billing: Workplace) -> None:
    """As far as it goes; what the invoice has not open stays credit."""
    first, second = await invoiced(billing, "10.00"), await invoiced(billing, "3.00")
    await billing.deliver(paid("15.00", invoice_id=first.invoice_id))
    credit = await credit_of(billing, first)
    async with billing.transaction() as session:
        await commands.apply_credit(session, credit.credit_id, second.invoice_id, usd("1.00"), by="clerk")
        await commands.apply_credit(session, credit.credit_id, second.invoice_id, None, by="clerk")
    assert (await invoice_of(billing, second.invoice_id)).status == "paid"
    assert (await credit_of(billing, first)).left == usd("2.00")
    third = await invoiced(billing, "50.00")
    with pytest.raises(CreditIsLessThanThat):
        async with billing.transaction() as session:
            await commands.apply_credit(session, credit.credit_id, third.invoice_id, usd("2.01"), by="clerk")


async def test_a_credit_stays_with_its_patient(billing: Workplace) -> None:
    """It settles no invoice of another one."""
    await billing.deliver(patient(OTHER_PATIENT))
    mine, theirs = await invoiced(billing, "10.00"), await invoiced(billing, "3.00", patient_id=OTHER_PATIENT)
    await billing.deliver(paid("15.00", invoice_id=mine.invoice_id))
    credit = await credit_of(billing, mine)
    with pytest.raises(CreditIsOfAnotherPatient):
        async with billing.transaction() as session:
            await commands.apply_credit(session, credit.credit_id, theirs.invoice_id, None, by="clerk")


async def test_a_disputed_credit_settles_nothing(billing: Workplace) -> None:
    """Until the dispute is decided."""
    first, second = await invoiced(billing, "10.00"), await invoiced(billing, "3.00")
    payment = paid("15.00", invoice_id=first.invoice_id)
    await billing.deliver(payment)
    opened, won, _ = disputed(payment, "5.00")
    await billing.deliver(opened)
    assert not (await invoice_of(billing, first.invoice_id)).is_held
    credit = await credit_of(billing, first)
    with pytest.raises(CreditIsDisputed):
        async with billing.transaction() as session:
            await commands.apply_credit(session, credit.credit_id, second.invoice_id, None, by="clerk")
    await billing.deliver(won)
    async with billing.transaction() as session:
        await commands.apply_credit(session, credit.credit_id, second.invoice_id, None, by="clerk")
    assert (await invoice_of(billing, second.invoice_id)).status == "paid"


async def test_an_adjustment_has_a_reason_code(billing: Workplace) -> None:
    """That a person gave, or that says what posted it."""
    invoice = await invoiced(billing, "10.00")
    async with billing.transaction() as session:
        by = {"reason": "because", "posted_by": "clerk"}
        await commands.post_adjustment(session, invoice.invoice_id, usd("1.00"), reason_code="hardship", **by)
        await commands.issue_credit_note(session, invoice.invoice_id, usd("1.00"), reason="wrong", by="clerk")
        await commands.write_off(session, invoice.invoice_id, reason="lost", requested_by="clerk")
    async with billing.transaction() as session:
        codes = set(await session.scalars(select(BillingAdjustment.reason_code)))
    assert codes == {"hardship", "credit_note", "write_off"}


@pytest.mark.parametrize("change", [update(BillingAuditEntry).values(decided_by="nobody"), delete(BillingAuditEntry)])
async def test_the_audit_log_is_only_added_to(billing: Workplace, change: object) -> None:
    """The database itself refuses to change or forget an entry."""
    invoice = await invoiced(billing, "10.00")
    async with billing.transaction() as session:
        await commands.void_invoice(session, invoice.invoice_id, "wrong", by="clerk")
    with pytest.raises(DBAPIError, match="only added to"):
        async with billing.transaction() as session:
            await session.execute(change)  # type: ignore[call-overload]
    assert await decisions(billing) == [("invoice_voided", "clerk", Decimal("10.00"))]
