"""In English: the language of last resort, so that every topic stands here."""

from __future__ import annotations

from services.notification.shipped.message import Message

GREETING = "Dear"

MESSAGES = {
    "account.verification": Message(
        "Your verification code",
        "your code is {{ code }}. It is good once, until {{ time }}. If you did not ask for it, ignore this mail.",
    ),
    "account.locked": Message(
        "Your account is locked",
        "too many attempts to sign in to your account failed. Nobody can sign in before {{ time }}. "
        "If it was not you, tell your administrator.",
    ),
    "account.suspended": Message(
        "Your account is suspended",
        "your account was suspended on {{ time }}. Your administrator can tell you why.",
    ),
    "account.signed_out": Message(
        "You were signed out",
        "you were signed out on {{ time }}, because "
        "{% if reason == 'password_changed' %}your password was changed"
        "{% elif reason == 'refresh_token_reused' %}your session was used in two places, as if somebody had copied it"
        "{% else %}an administrator ended your sessions{% endif %}. "
        "If you do not know of it, change your password and tell your administrator.",
    ),
    "account.role_assigned": Message(
        "You have a new role",
        "you were given the role {{ role }}{% if facility is defined %} at {{ facility }}{% endif %}. "
        "If you do not know why, tell your administrator.",
    ),
    "digest": Message(
        "{{ items | length }} messages for you",
        "this is what you have been told since the last time:\n\n"
        "{% for item in items %}\n- {{ item }}\n{% endfor %}\n\nSign in to read more.",
        "There are messages for you. Sign in to read them.",
    ),
    "result.ready": Message(
        "A result is ready",
        "a result of a test at {{ facility }} is ready. Sign in to read it, or ask whoever treats you.",
        "A result is ready at {{ facility }}. Sign in to read it.",
    ),
    "result.revised": Message(
        "A result of yours was corrected",
        "a result of a test at {{ facility }} was corrected. Sign in to read what it says, or ask whoever treats you.",
        "A result at {{ facility }} was corrected. Sign in to read it.",
    ),
    "encounter.discharged": Message(
        "Your visit to {{ facility }}",
        "your visit to {{ facility }} ended on {{ time }}. Sign in to see what was agreed with you.",
        "Your visit to {{ facility }} has ended. Sign in to see what was agreed.",
    ),
    "invoice.issued": Message(
        "Invoice {{ invoice_number }} of {{ facility }}",
        "your invoice {{ invoice_number }} of {{ facility }} is {{ amount }}, due on {{ due_on }}.",
        "{{ facility }}: invoice {{ invoice_number }} is due on {{ due_on }}. Sign in to see it.",
    ),
    "invoice.overdue": Message(
        "Invoice {{ invoice_number }} is overdue",
        "{{ balance }} of your invoice {{ invoice_number }} of {{ facility }} was due on {{ due_on }} and is still open. "
        "If you cannot pay it at once, ask us for instalments.",
        "{{ facility }}: invoice {{ invoice_number }} was due on {{ due_on }} and is still open.",
    ),
    "invoice.paid": Message(
        "Invoice {{ invoice_number }} is paid",
        "your invoice {{ invoice_number }} of {{ facility }} is paid: {{ amount }} on {{ time }}. Thank you.",
        "{{ facility }}: invoice {{ invoice_number }} is paid. Thank you.",
    ),
    "invoice.partially_paid": Message(
        "A payment on invoice {{ invoice_number }}",
        "{{ amount }} were paid on your invoice {{ invoice_number }} of {{ facility }}; {{ balance }} are open. Thank you.",
        "{{ facility }}: a payment on invoice {{ invoice_number }} has arrived. Thank you.",
    ),
    "invoice.reopened": Message(
        "Invoice {{ invoice_number }} is open again",
        "what had paid your invoice {{ invoice_number }} of {{ facility }} went back, so that {{ balance }} are open again. "
        "Speak to us if you think that this is wrong.",
        "{{ facility }}: invoice {{ invoice_number }} is open again. Sign in to see it.",
    ),
    "invoice.voided": Message(
        "Invoice {{ invoice_number }} does not count",
        "your invoice {{ invoice_number }} of {{ facility }} was withdrawn. You owe nothing on it.",
        "{{ facility }}: invoice {{ invoice_number }} was withdrawn. You owe nothing on it.",
    ),
    "credit.created": Message(
        "You have a credit at {{ facility }}",
        "you have a credit of {{ amount }} at {{ facility }}"
        "{% if invoice_number is defined %}, from what was paid on invoice {{ invoice_number }}{% endif %}. "
        "Ask us to count it on another invoice, or to pay it back.",
        "{{ facility }}: you have a credit with us. Sign in to see it.",
    ),
    "payment.failed": Message(
        "Your payment did not go through",
        "your payment of {{ amount }}"
        "{% if invoice_number is defined %} for invoice {{ invoice_number }}{% endif %} at {{ facility }} did not go through. "
        "No money was taken. Please try again, or with another card.",
        "{{ facility }}: a payment did not go through. Please try again.",
    ),
    "refund.succeeded": Message(
        "Your refund",
        "{{ amount }}{% if invoice_number is defined %} of invoice {{ invoice_number }}{% endif %} went back to you "
        "from {{ facility }} on {{ time }}.",
        "{{ facility }}: your refund is on its way.",
    ),
    "installment.due": Message(
        "Instalment {{ part }} of invoice {{ invoice_number }}",
        "instalment {{ part }} of your invoice {{ invoice_number }} of {{ facility }}, {{ amount }}, is due on {{ due_on }}.",
        "{{ facility }}: an instalment of invoice {{ invoice_number }} is due on {{ due_on }}.",
    ),
    "installment.overdue": Message(
        "Instalment {{ part }} of invoice {{ invoice_number }} is overdue",
        "instalment {{ part }} of your invoice {{ invoice_number }} of {{ facility }}, {{ amount }}, was due on {{ due_on }}. "
        "Please pay it, so that the rest is not due at once.",
        "{{ facility }}: an instalment of invoice {{ invoice_number }} was due on {{ due_on }}.",
    ),
    "installment.plan_defaulted": Message(
        "The instalments of invoice {{ invoice_number }} have ended",
        "too many instalments of your invoice {{ invoice_number }} of {{ facility }} were not paid: "
        "the {{ amount }} that are open are due at once. If you cannot pay them, please speak to us.",
        "{{ facility }}: the instalments of invoice {{ invoice_number }} have ended. Please speak to us.",
    ),
    "account.in_collections": Message(
        "Your account at {{ facility }}",
        "since {{ time }} others ask you, in the name of {{ facility }}, for the {{ balance }} that are open. "
        "Speak to us if you think that this is wrong.",
        "{{ facility }}: please speak to us about your account.",
    ),
    "result.reported": Message(
        "Results of an order of yours",
        "the order {{ reference }} at {{ facility }} has its first result since {{ time }}. Sign in to read it.",
        "Results of an order of yours at {{ facility }}. Sign in to read them.",
    ),
    "result.corrected": Message(
        "A result was corrected",
        "a result of your order {{ reference }} at {{ facility }} was corrected at {{ time }}. Sign in to read it.",
        "A result of an order of yours at {{ facility }} was corrected. Sign in to read it.",
    ),
    "result.critical": Message(
        "Act now: a critical result",
        "a result of order {{ reference }} at {{ facility }} needs somebody at once, since {{ time }}. Sign in, act, confirm.",
        "Act now: a result at {{ facility }} needs you since {{ time }}. Sign in.",
    ),
    "result.critical_overdue": Message(
        "Nobody has confirmed a critical result",
        "a critical result of order {{ reference }} at {{ facility }} should have been confirmed by {{ time }}. "
        "Please see to it that somebody acts.",
        "Nobody has confirmed a result at {{ facility }} that was due at {{ time }}. Sign in.",
    ),
    "sample.rejected": Message(
        "A sample has to be taken again",
        "a sample at {{ facility }} was rejected at {{ time }}. The order for a new one is {{ reference }}.",
        "A sample at {{ facility }} has to be taken again. Sign in.",
    ),
    "note.cosign_requested": Message(
        "A note waits for your signature",
        "the note {{ reference }} of a trainee at {{ facility }} needs a second signature before {{ time }}.",
        "A note at {{ facility }} needs a second signature before {{ time }}.",
    ),
    "note.cosign_overdue": Message(
        "A note has waited too long for a signature",
        "the note {{ reference }} at {{ facility }} should have had its second signature by {{ time }}.",
        "A note at {{ facility }} should have been signed by {{ time }}.",
    ),
    "bed.request_waiting": Message(
        "Somebody waits for a bed",
        "the encounter {{ reference }} at {{ facility }} has waited for a bed since {{ time }}.",
        "Somebody has waited for a bed at {{ facility }} since {{ time }}.",
    ),
    "ward.full": Message(
        "A ward is full",
        "since {{ time }} all {{ capacity }} beds of a ward of {{ facility }} are taken.",
        "A ward of {{ facility }} is full since {{ time }}.",
    ),
    "refund.failed": Message(
        "A refund failed",
        "a refund of {{ amount }} of payment {{ reference }} at {{ facility }} failed. Somebody has to see to it.",
        "A refund at {{ facility }} failed. Sign in.",
    ),
    "dispute.opened": Message(
        "A payment is disputed",
        "payment {{ reference }} of {{ amount }} at {{ facility }} is disputed. Evidence is due by {{ time }}.",
        "A payment at {{ facility }} is disputed. Evidence is due by {{ time }}.",
    ),
    "dispute.lost": Message(
        "A dispute is lost",
        "the dispute over payment {{ reference }} of {{ amount }} at {{ facility }} is lost.",
        "A dispute at {{ facility }} is lost. Sign in.",
    ),
    "reconciliation.mismatched": Message(
        "A settlement and our books differ",
        "the reconciliation {{ reference }} found a payment at {{ facility }} that differs. Somebody has to look at it.",
        "A settlement at {{ facility }} differs from our books. Sign in.",
    ),
}
