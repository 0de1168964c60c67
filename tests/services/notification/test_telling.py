"""From an event to a mail: who is told, and that they are told once."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID, uuid4

import pytest

from contracts.auth import AuthVerificationRequested, Grant, RoleAssigned, SessionRevoked, UserErased
from contracts.billing import CreditCreated, InvoicePaid, InvoicePartiallyPaid, InvoiceReopened
from contracts.clinical import EncounterDischarged, PatientMerged
from contracts.facility import WardFull
from contracts.lab import LabResultCriticalOverdue
from contracts.money import Money
from contracts.notification import NotificationDelivered, NotificationSent, NotificationSuppressed
from contracts.payment import InstallmentPlanDefaulted, PaymentFailed
from services.notification import commands
from services.notification.rules import HISTORY
from tests.services.notification.conftest import Desk
from tests.services.notification.given import (
    CLINICIAN,
    CLINICIAN_MAIL,
    FACILITY,
    NAME,
    NOON,
    NURSE,
    PATIENT,
    PATIENT_MAIL,
    PATIENT_PHONE,
    corrected,
    facility,
    issued,
    numbered,
    patient,
    result,
    user,
)

CODE = "724915"


def verification(user_id: object = CLINICIAN) -> AuthVerificationRequested:
    return AuthVerificationRequested.model_validate({"user_id": user_id, "code": CODE, "expires_at": NOON})


async def test_a_patient_is_told_by_mail(desk: Desk) -> None:
    """It arrives, says what there is to say, and others hear that it was sent and delivered, not what it says."""
    await desk.hears(issued())
    mail = desk.mail(PATIENT_MAIL)
    assert mail.subject == "Invoice 2026-000007 of Nile Hospital"
    assert mail.body == f"Dear {NAME},\n\nyour invoice 2026-000007 of Nile Hospital is 40.00 USD, due on 2026-04-09.\n"
    assert await desk.states() == [("delivered", None)]
    [sent], [delivered] = await desk.work.published(NotificationSent), await desk.work.published(NotificationDelivered)
    assert (sent.topic, sent.channel, sent.recipient_id) == ("invoice.issued", "email", PATIENT)
    assert NAME not in sent.model_dump_json() + delivered.model_dump_json()


async def test_a_fact_is_told_once(desk: Desk) -> None:
    """The same invoice, said again in another message, is no news; another invoice is."""
    first = issued()
    await desk.hears(first, first, issued(number="2026-000008"))
    assert len(desk.mails.mails_to(PATIENT_MAIL)) == 2


async def test_an_order_is_told_of_once(desk: Desk) -> None:
    """However many results it has: to the patient without saying what, and to whoever ordered it."""
    order = uuid4()
    await desk.hears(result(order_id=order), result(order_id=order))
    assert desk.mail(PATIENT_MAIL).subject == "A result is ready"
    told = desk.mail(CLINICIAN_MAIL)
    assert (told.subject, str(order) in told.body) == ("Results of an order of yours", True)
    assert "Potassium" not in told.body + desk.mail(PATIENT_MAIL).body


async def test_a_critical_result_reaches_whoever_can_act(desk: Desk) -> None:
    """Who ordered it, and each clinician and nurse of the facility, once each; nobody elsewhere."""
    mails = {NURSE: "nurse@example.org", uuid4(): "everywhere@example.org", uuid4(): "elsewhere@example.org"}
    (nurse, everywhere, elsewhere), places = mails, (FACILITY, None, uuid4())
    for user_id, at in zip((nurse, everywhere, elsewhere), places, strict=True):
        await desk.hears(user(user_id, role="nurse", at=at, email=mails[user_id]))
    await desk.hears(result(is_critical=True))
    told = sorted(mail.to for mail in desk.mails.mails if mail.subject == "Act now: a critical result")
    assert told == sorted([CLINICIAN_MAIL, "nurse@example.org", "everywhere@example.org"])


async def test_an_overdue_critical_result_is_escalated(desk: Desk) -> None:
    """To the lab's manager, and again to the clinicians."""
    await desk.hears(user(uuid4(), role="lab_manager", email="lab@example.org"))
    await desk.hears(
        LabResultCriticalOverdue(
            result_id=uuid4(),
            order_id=uuid4(),
            patient_id=PATIENT,
            facility_id=FACILITY,
            encounter_id=None,
            ordered_by=None,
            resulted_at=NOON,
            due_at=NOON,
        )
    )
    assert sorted(mail.to for mail in desk.mails.mails) == ["lab@example.org", CLINICIAN_MAIL]


async def test_a_corrected_result_is_told_to_the_patient_too(desk: Desk) -> None:
    """Each correction, to whoever ordered and to the patient, without what it said or says."""
    was = result()
    await desk.hears(was, corrected(was), corrected(was, at=NOON + timedelta(hours=1)))
    mails = [mail for mail in desk.mails.mails_to(PATIENT_MAIL) if mail.subject == "A result of yours was corrected"]
    assert (len(mails), await desk.states("result.corrected")) == (2, [("delivered", None)] * 2)
    assert not any(word in mail.body for mail in mails for word in ("Potassium", "clotted", "haemolytic", "wrong"))


async def test_what_becomes_of_a_bill_is_told(desk: Desk) -> None:
    """Paid in part, opened again, paid too much, its instalments at an end: a mail each, again when it happens again."""
    invoice_id, of = uuid4(), {"patient_id": PATIENT, "facility_id": FACILITY}
    of_invoice = of | {"invoice_id": invoice_id}
    ten, thirty = Money.of("10.00"), Money.of("30.00")
    paid = InvoicePartiallyPaid(**of_invoice, amount=ten, balance=thirty)
    reopened = InvoiceReopened(**of_invoice, payment_id=uuid4(), balance=ten, reason="refund")
    await desk.hears(numbered(invoice_id), paid, paid, reopened, reopened)
    await desk.hears(InstallmentPlanDefaulted(**of_invoice, plan_id=uuid4(), open_amount=thirty, defaulted_at=NOON))
    await desk.hears(CreditCreated(**of_invoice, credit_id=uuid4(), payment_id=uuid4(), amount=ten))
    await desk.hears(CreditCreated(**of, invoice_id=None, credit_id=uuid4(), payment_id=uuid4(), amount=ten))
    told = sorted((mail.subject, "10.00 USD" in mail.body) for mail in desk.mails.mails_to(PATIENT_MAIL))
    assert told == [
        ("A payment on invoice 2026-000009", True),
        ("A payment on invoice 2026-000009", True),
        ("Invoice 2026-000009 is open again", True),
        ("Invoice 2026-000009 is open again", True),
        ("The instalments of invoice 2026-000009 have ended", False),
        ("You have a credit at Nile Hospital", True),
        ("You have a credit at Nile Hospital", True),
    ]


async def test_a_text_says_of_a_bill_neither_whose_nor_how_much(desk: Desk) -> None:
    """What becomes of a bill, to who has a phone alone."""
    of = {"patient_id": PATIENT, "facility_id": FACILITY, "invoice_id": uuid4()}
    amount = Money.of("12.34")
    await desk.hears(patient(version=2, email=None), numbered(of["invoice_id"]))
    await desk.hears(
        InvoicePartiallyPaid(**of, amount=amount, balance=amount),
        InvoiceReopened(**of, payment_id=uuid4(), balance=amount, reason="dispute_lost"),
        CreditCreated(**of, credit_id=uuid4(), payment_id=uuid4(), amount=amount),
        InstallmentPlanDefaulted(**of, plan_id=uuid4(), open_amount=amount, defaulted_at=NOON),
        corrected(result()),
    )
    texts = [message.text for message in desk.messages.messages_to(PATIENT_PHONE)]
    assert len(texts) == 5
    assert not any(word in text for text in texts for word in (NAME, "12.34", "Potassium"))


def ended(reason: str, *, user_id: UUID = CLINICIAN, session_id: UUID | None = None, at: datetime = NOON) -> SessionRevoked:
    """Auth's word on a session that counts no more."""
    said = {"session_id": session_id or uuid4(), "user_id": user_id, "reason": reason, "revoked_at": at}
    return SessionRevoked.model_validate(said | {"expires_at": at + timedelta(minutes=11), "state_version": 1})


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("password_changed", "your password was changed"),
        ("refresh_token_reused", "used in two places"),
        ("by_administrator", "an administrator"),
    ],
)
async def test_who_was_signed_out_by_others_hears_why(desk: Desk, reason: str, said: str) -> None:
    """One mail for all the sessions that end together, in quiet hours too; that a session is forgotten is no news."""
    async with desk.work.client(at=None, subject=str(CLINICIAN)) as clinician:
        await clinician.put("/me/contact-hours", json={"quiet_from": "08:00:00", "quiet_until": "20:00:00"})
    one = ended(reason)
    forgotten = one.model_copy(update={"deleted": True, "state_version": 2, "revoked_at": NOON + timedelta(minutes=5)})
    await desk.hears(one, ended(reason, at=NOON + timedelta(seconds=1)), forgotten)
    assert said in desk.mail(CLINICIAN_MAIL).body
    await desk.hears(ended(reason, at=NOON + timedelta(hours=1)))
    assert len(desk.mails.mails) == 2


@pytest.mark.parametrize("reason", ["signed_out", "role_changed", "suspended", "erased"])
async def test_who_signs_out_is_not_told_so(desk: Desk, reason: str) -> None:
    """Nor who is told of the cause, nor a program, which is nobody."""
    program = uuid4()
    await desk.hears(ended(reason), ended("by_administrator", user_id=program, session_id=program))
    await desk.work.arrive(ended("by_administrator", user_id=program, session_id=program))
    assert (await desk.states(), await desk.work.kept()) == ([], [])


async def test_who_is_given_a_role_hears_of_it(desk: Desk) -> None:
    """At a facility or at every one, and again when it was taken away meanwhile; whoever gave it stays unnamed."""
    given = RoleAssigned(user_id=CLINICIAN, role="lab_manager", facility_id=FACILITY, assigned_by=uuid4())
    await desk.hears(given, given, given.model_copy(update={"facility_id": None}))
    bodies = [mail.body for mail in desk.mails.mails_to(CLINICIAN_MAIL)]
    said = ("the role lab_manager at Nile Hospital. ", "the role lab_manager. ")
    assert [sum(each in body for body in bodies) for each in said] == [2, 1]
    assert await desk.rows("SELECT 1 FROM notifications WHERE facility_id IS NOT NULL") == []


async def test_history_is_not_told(desk: Desk) -> None:
    """Who takes over the records of years ago sends no mail, calls nobody to a critical result, and notes nothing."""
    long_ago = NOON - HISTORY - timedelta(minutes=1)
    of_patient = {"patient_id": PATIENT, "facility_id": FACILITY, "encounter_id": uuid4()}
    paid = InvoicePaid(**of_patient, invoice_id=uuid4(), amount=Money.of("40.00"), paid_at=long_ago)
    gone = EncounterDischarged(**of_patient, discharged_at=long_ago)
    of = {"patient_id": PATIENT, "facility_id": FACILITY, "invoice_id": uuid4()}
    part = InvoicePartiallyPaid(**of, amount=Money.of("1.00"), balance=Money.of("39.00"), paid_at=long_ago)
    rest = CreditCreated(**of, credit_id=uuid4(), payment_id=uuid4(), amount=Money.of("1.00"), created_at=long_ago)
    await desk.hears(part, rest, issued(at=long_ago), paid, gone, result(at=long_ago), result(at=long_ago, is_critical=True))
    assert await desk.states() == []


async def test_what_arrives_late_is_still_news(desk: Desk) -> None:
    """An outage of days keeps an invoice back; the patient is told of it when it is over."""
    await desk.later(days=3)
    async with desk.work.transaction() as session:
        await commands.announce(session, issued(at=NOON), told_at=NOON, at_once=False)
    await desk.settle()
    assert desk.mail(PATIENT_MAIL).subject == "Invoice 2026-000007 of Nile Hospital"


async def test_who_follows_is_told_too(desk: Desk) -> None:
    """A role, or one user, of the same facility; whoever stops following hears no more."""
    await desk.hears(user(NURSE, role="nurse", email="nurse@example.org"))
    full = WardFull(ward_id=uuid4(), facility_id=FACILITY, capacity=12, full_since=NOON)
    async with desk.work.client("notification_manager", at=FACILITY) as manager:
        followed = {"topic": "ward.full", "facility_id": str(FACILITY)}
        ids = [
            (await manager.post("/subscriptions", json=followed | who)).json()["subscription_id"]
            for who in ({"role": "nurse"}, {"user_id": str(CLINICIAN)})
        ]
        await desk.hears(full)
        assert sorted(mail.to for mail in desk.mails.mails) == ["nurse@example.org", CLINICIAN_MAIL]
        for id_ in ids:
            assert (await manager.delete(f"/subscriptions/{id_}")).status_code == 204
    await desk.hears(full.model_copy(update={"ward_id": uuid4()}))
    assert len(desk.mails.mails) == 2


async def test_the_invoices_number_is_known_from_billing(desk: Desk) -> None:
    """A payment that failed names it; where the invoice has not been heard of, the message waits for it."""
    invoice_id, amount = uuid4(), Money.of("40.00")
    paid = InvoicePaid(
        invoice_id=invoice_id, patient_id=PATIENT, facility_id=FACILITY, encounter_id=None, amount=amount, paid_at=NOON
    )
    await desk.work.arrive(paid)
    assert await desk.work.kept() == [("waiting", str(invoice_id))]
    await desk.work.arrive(numbered(invoice_id))
    await desk.work.retry()
    failed = PaymentFailed(
        payment_id=uuid4(),
        invoice_id=invoice_id,
        patient_id=PATIENT,
        facility_id=FACILITY,
        amount=amount,
        reason="card_declined",
    )
    await desk.hears(failed, failed.model_copy(update={"payment_id": uuid4(), "invoice_id": None}))
    said = sorted(("2026-000009" in mail.body, "card_declined" in mail.body) for mail in desk.mails.mails_to(PATIENT_MAIL))
    assert said == [(False, False), (True, False), (True, False)]


async def test_what_is_not_known_yet_is_waited_for(desk: Desk) -> None:
    """A facility, a patient or an account whose word has not arrived."""
    elsewhere, stranger, newcomer = uuid4(), uuid4(), uuid4()
    await desk.work.arrive(issued().model_copy(update={"facility_id": elsewhere}))
    await desk.work.arrive(issued(patient_id=stranger))
    await desk.work.arrive(verification(newcomer))
    assert await desk.work.kept() == [("waiting", str(each)) for each in (elsewhere, stranger, newcomer)]


async def test_a_code_waits_for_nothing_else_of_its_account(desk: Desk) -> None:
    """Who was given a role at a facility that is not known yet signs in all the same, and hears of the role later."""
    elsewhere = uuid4()
    given = RoleAssigned(user_id=CLINICIAN, role="lab_manager", facility_id=elsewhere, assigned_by=uuid4())
    await desk.work.arrive(given)
    await desk.work.arrive(verification())
    await desk.settle()
    assert CODE in desk.mail(CLINICIAN_MAIL).body
    assert await desk.work.kept() == [("waiting", str(elsewhere))]
    await desk.work.arrive(facility(elsewhere))
    await desk.work.retry()
    await desk.settle()
    assert len(desk.mails.mails_to(CLINICIAN_MAIL)) == 2


async def test_a_code_is_sent_at_once_and_forgotten(desk: Desk) -> None:
    """Also to who may not sign in yet; what is kept of it names neither code nor address."""
    await desk.hears(user(status="pending", version=2), verification())
    assert CODE in desk.mail(CLINICIAN_MAIL).body
    kept = await desk.rows(
        "SELECT n::text || (SELECT string_agg(c::text, '') FROM backbone.call c) AS said FROM notifications n"
    )
    assert [(CODE in row.said, CLINICIAN_MAIL in row.said) for row in kept] == [(False, False)]


@pytest.mark.parametrize(
    ("status", "reason"), [("deceased", "recipient_inactive"), ("merged", None)], ids=["deceased", "merged"]
)
async def test_patients_who_died_or_were_merged(desk: Desk, status: str, reason: str | None) -> None:
    """Nobody writes to the dead; what was meant for a merged record reaches the person."""
    survivor = uuid4()
    into = survivor if status == "merged" else None
    await desk.hears(patient(survivor, email="survivor@example.org"), patient(version=2, status=status, merged_into=into))
    await desk.hears(issued())
    assert await desk.states() == [("suppressed" if reason else "delivered", reason)]
    assert [mail.to for mail in desk.mails.mails] == ([] if reason else ["survivor@example.org"])


async def test_who_is_not_known_or_erased_is_not_told(desk: Desk) -> None:
    """An unknown user, and one who was erased: suppressed, and others hear why."""
    await desk.hears(result(ordered_by=uuid4()))
    erased = user(version=2, full_name="", email=None, phone=None, status="deleted", grants=())
    await desk.hears(erased, result(ordered_by=CLINICIAN))
    assert await desk.states("result.reported") == [("suppressed", "recipient_unknown")] * 2
    assert {each.reason for each in await desk.work.published(NotificationSuppressed)} == {"recipient_unknown"}


async def test_an_erased_user_is_forgotten(desk: Desk) -> None:
    """What they were told, where, how they wanted it; what still waits is not sent. That something was sent stays."""
    async with desk.work.client(at=None, subject=str(CLINICIAN)) as clinician:
        await clinician.put("/me/preferences", json={"topic": "ward.full", "channel": "sms", "wanted": False})
        await desk.hears(result(), result(is_critical=True))
        await clinician.put("/me/contact-hours", json={"digest_at": "08:00:00"})
        await desk.hears(result())
        await desk.hears(user(version=2, full_name="", email=None, phone=None, status="deleted", grants=()))
        await desk.hears(UserErased(user_id=CLINICIAN, erased_at=NOON))
        told = (await clinician.get("/me/notifications")).json()["items"]
    assert sorted(each["status"] for each in told) == ["delivered", "delivered", "delivered", "suppressed"]
    assert {(each["subject"], each["body"]) for each in told} == {(None, None)}
    [(left,)] = await desk.rows(
        "SELECT (SELECT count(*) FROM preferences) + (SELECT count(*) FROM contact_hours) + "
        "(SELECT count(*) FROM addresses WHERE recipient_kind = 'user') + "
        "(SELECT count(*) FROM notifications WHERE recipient_kind = 'user' AND variables <> '{}')"
    )
    assert left == 0


async def test_an_erasure_is_heard_when_nothing_more_can_be_told(desk: Desk) -> None:
    """What somebody is told between their erasure and the end of their reference is forgotten too."""
    await desk.work.arrive(UserErased(user_id=CLINICIAN, erased_at=NOON))
    assert [state for state, _ in await desk.work.kept()] == ["retrying"]
    await desk.hears(result())
    await desk.hears(user(version=2, full_name="", email=None, phone=None, status="deleted", grants=()))
    await desk.work.retry()
    assert await desk.work.kept() == []
    assert await desk.rows("SELECT address FROM addresses WHERE recipient_kind = 'user'") == []


async def test_who_has_left_a_facility_hears_no_more(desk: Desk) -> None:
    """Whoever followed there, or had ordered there: by the roles that they have when it is told, and not when they asked."""
    gone, everywhere = uuid4(), uuid4()
    async with desk.work.client("notification_manager", at=FACILITY) as manager:
        for id_, at, mail in ((gone, FACILITY, "gone@example.org"), (everywhere, None, "everywhere@example.org")):
            await desk.hears(user(id_, at=at, email=mail))
            followed = {"topic": "ward.full", "facility_id": str(FACILITY), "user_id": str(id_)}
            assert (await manager.post("/subscriptions", json=followed)).status_code == 201
    await desk.hears(user(gone, at=uuid4(), version=2, email="gone@example.org"))
    await desk.hears(WardFull(ward_id=uuid4(), facility_id=FACILITY, capacity=12, full_since=NOON), result(ordered_by=gone))
    assert [mail.to for mail in desk.mails.mails if mail.to != PATIENT_MAIL] == ["everywhere@example.org"]
    assert await desk.states("result.reported", of=gone) == [("suppressed", "not_at_facility")]
    assert await desk.states("ward.full", of=gone) == []


@pytest.mark.parametrize(
    ("left", "end"),
    [(0, ("suppressed", "not_at_facility")), (1, ("delivered", None)), (2, ("delivered", None))],
    ids=["no role", "another role there", "both roles"],
)
async def test_who_leaves_while_it_waits_is_not_told(desk: Desk, left: int, end: tuple[str, str | None]) -> None:
    """What was put off until the morning is sent to who still has any role there by then, and to nobody else."""
    grants = tuple(Grant(role=role, facility_id=FACILITY) for role in ("nurse", "clinician"))
    await desk.hears(user(version=2, grants=grants))
    await desk.at(NOON + timedelta(hours=9))
    async with desk.work.client(at=None, subject=str(CLINICIAN)) as clinician:
        await clinician.put("/me/contact-hours", json={"quiet_from": "22:00:00", "quiet_until": "07:00:00"})
    await desk.hears(result())
    assert await desk.states("result.reported") == [("queued", None)]
    await desk.hears(user(version=3, grants=grants[:left]))
    await desk.later(hours=9)
    assert await desk.states("result.reported") == [end]


async def test_a_merged_patients_replica_is_all_that_is_needed(desk: Desk) -> None:
    """The merge itself is not listened to: the patient's state says it."""
    assert not [each for each in desk.work.service.subscriptions if PatientMerged in each.events]
