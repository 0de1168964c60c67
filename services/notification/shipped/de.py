"""Auf Deutsch: was Patienten betrifft und das eigene Konto; für den Rest gilt Englisch."""

from __future__ import annotations

from services.notification.shipped.message import Message

GREETING = "Guten Tag"

MESSAGES = {
    "account.verification": Message(
        "Ihr Bestätigungscode",
        "Ihr Code lautet {{ code }}. Er gilt einmal, bis {{ time }}. Falls Sie ihn nicht angefordert haben, ist nichts zu tun.",
    ),
    "account.locked": Message(
        "Ihr Konto ist gesperrt",
        "zu viele Anmeldungen an Ihrem Konto sind gescheitert. Vor {{ time }} kann sich niemand anmelden. "
        "Falls Sie das nicht waren, sagen Sie es Ihrer Administration.",
    ),
    "account.suspended": Message(
        "Ihr Konto ist stillgelegt",
        "Ihr Konto wurde am {{ time }} stillgelegt. Ihre Administration kann Ihnen sagen, warum.",
    ),
    "account.signed_out": Message(
        "Sie wurden abgemeldet",
        "Sie wurden am {{ time }} abgemeldet, denn "
        "{% if reason == 'password_changed' %}Ihr Passwort wurde geändert"
        "{% elif reason == 'refresh_token_reused' %}Ihre Sitzung wurde an zwei Orten benutzt, als hätte sie jemand kopiert"
        "{% else %}Ihre Administration hat Ihre Sitzungen beendet{% endif %}. "
        "Falls Sie davon nichts wissen, ändern Sie Ihr Passwort und sagen Sie es Ihrer Administration.",
    ),
    "account.role_assigned": Message(
        "Sie haben eine neue Rolle",
        "Sie haben die Rolle {{ role }}{% if facility is defined %} bei {{ facility }}{% endif %} erhalten. "
        "Falls Sie nicht wissen, warum, sagen Sie es Ihrer Administration.",
    ),
    "digest": Message(
        "{{ items | length }} Nachrichten für Sie",
        "das wurde Ihnen seit dem letzten Mal mitgeteilt:\n\n"
        "{% for item in items %}\n- {{ item }}\n{% endfor %}\n\nMelden Sie sich an, um mehr zu lesen.",
        "Es gibt Nachrichten für Sie. Melden Sie sich an, um sie zu lesen.",
    ),
    "result.ready": Message(
        "Ein Befund liegt vor",
        "ein Befund von {{ facility }} liegt vor. Melden Sie sich an, um ihn zu lesen, oder fragen Sie, wer Sie behandelt.",
        "Ein Befund liegt vor: {{ facility }}. Melden Sie sich an, um ihn zu lesen.",
    ),
    "result.revised": Message(
        "Ein Befund wurde berichtigt",
        "ein Befund von {{ facility }} wurde berichtigt. Melden Sie sich an, um ihn zu lesen, "
        "oder fragen Sie, wer Sie behandelt.",
        "Ein Befund wurde berichtigt: {{ facility }}. Melden Sie sich an, um ihn zu lesen.",
    ),
    "encounter.discharged": Message(
        "Ihr Besuch bei {{ facility }}",
        "Ihr Besuch bei {{ facility }} endete am {{ time }}. Melden Sie sich an, um zu sehen, was vereinbart wurde.",
        "Ihr Besuch bei {{ facility }} ist zu Ende. Melden Sie sich an, um zu sehen, was vereinbart wurde.",
    ),
    "invoice.issued": Message(
        "Rechnung {{ invoice_number }} von {{ facility }}",
        "Ihre Rechnung {{ invoice_number }} von {{ facility }} beträgt {{ amount }}, zahlbar bis {{ due_on }}.",
        "{{ facility }}: Rechnung {{ invoice_number }}, zahlbar bis {{ due_on }}. Melden Sie sich an, um sie zu sehen.",
    ),
    "invoice.overdue": Message(
        "Rechnung {{ invoice_number }} ist überfällig",
        "{{ balance }} Ihrer Rechnung {{ invoice_number }} von {{ facility }} waren bis {{ due_on }} zahlbar und sind offen. "
        "Wenn Sie nicht alles auf einmal zahlen können, fragen Sie uns nach Raten.",
        "{{ facility }}: Rechnung {{ invoice_number }} war bis {{ due_on }} zahlbar und ist noch offen.",
    ),
    "invoice.paid": Message(
        "Rechnung {{ invoice_number }} ist bezahlt",
        "Ihre Rechnung {{ invoice_number }} von {{ facility }} ist bezahlt: {{ amount }} am {{ time }}. Vielen Dank.",
        "{{ facility }}: Rechnung {{ invoice_number }} ist bezahlt. Vielen Dank.",
    ),
    "invoice.partially_paid": Message(
        "Eine Zahlung auf Rechnung {{ invoice_number }}",
        "auf Ihre Rechnung {{ invoice_number }} von {{ facility }} wurden {{ amount }} gezahlt; {{ balance }} sind offen. "
        "Vielen Dank.",
        "{{ facility }}: Eine Zahlung auf Rechnung {{ invoice_number }} ist eingegangen. Vielen Dank.",
    ),
    "invoice.reopened": Message(
        "Rechnung {{ invoice_number }} ist wieder offen",
        "was Ihre Rechnung {{ invoice_number }} von {{ facility }} bezahlt hatte, ging zurück: "
        "{{ balance }} sind wieder offen. "
        "Sprechen Sie mit uns, wenn Sie das für falsch halten.",
        "{{ facility }}: Rechnung {{ invoice_number }} ist wieder offen. Melden Sie sich an, um sie zu sehen.",
    ),
    "invoice.voided": Message(
        "Rechnung {{ invoice_number }} gilt nicht mehr",
        "Ihre Rechnung {{ invoice_number }} von {{ facility }} wurde zurückgezogen. Sie schulden darauf nichts.",
        "{{ facility }}: Rechnung {{ invoice_number }} wurde zurückgezogen. Sie schulden darauf nichts.",
    ),
    "credit.created": Message(
        "Ihr Guthaben bei {{ facility }}",
        "Sie haben ein Guthaben von {{ amount }} bei {{ facility }}"
        "{% if invoice_number is defined %} aus dem, was auf Rechnung {{ invoice_number }} gezahlt wurde{% endif %}. "
        "Wir rechnen es auf eine andere Rechnung an oder zahlen es zurück, wie Sie möchten.",
        "{{ facility }}: Sie haben ein Guthaben bei uns. Melden Sie sich an, um es zu sehen.",
    ),
    "payment.failed": Message(
        "Ihre Zahlung ist gescheitert",
        "Ihre Zahlung von {{ amount }}"
        "{% if invoice_number is defined %} für Rechnung {{ invoice_number }}{% endif %} bei {{ facility }} ist gescheitert. "
        "Es wurde nichts abgebucht. Bitte versuchen Sie es noch einmal, oder mit einer anderen Karte.",
        "{{ facility }}: Eine Zahlung ist gescheitert. Bitte versuchen Sie es noch einmal.",
    ),
    "refund.succeeded": Message(
        "Ihre Erstattung",
        "{{ amount }}{% if invoice_number is defined %} der Rechnung {{ invoice_number }}{% endif %} gingen am {{ time }} "
        "von {{ facility }} an Sie zurück.",
        "{{ facility }}: Ihre Erstattung ist unterwegs.",
    ),
    "installment.due": Message(
        "Rate {{ part }} der Rechnung {{ invoice_number }}",
        "Rate {{ part }} Ihrer Rechnung {{ invoice_number }} von {{ facility }}, {{ amount }}, ist zahlbar bis {{ due_on }}.",
        "{{ facility }}: Eine Rate der Rechnung {{ invoice_number }} ist zahlbar bis {{ due_on }}.",
    ),
    "installment.overdue": Message(
        "Rate {{ part }} der Rechnung {{ invoice_number }} ist überfällig",
        "Rate {{ part }} Ihrer Rechnung {{ invoice_number }} von {{ facility }}, {{ amount }}, war bis {{ due_on }} zahlbar. "
        "Bitte zahlen Sie sie, damit nicht der ganze Rest auf einmal fällig wird.",
        "{{ facility }}: Eine Rate der Rechnung {{ invoice_number }} war bis {{ due_on }} zahlbar.",
    ),
    "installment.plan_defaulted": Message(
        "Die Raten der Rechnung {{ invoice_number }} sind beendet",
        "zu viele Raten Ihrer Rechnung {{ invoice_number }} von {{ facility }} wurden nicht gezahlt: "
        "die offenen {{ amount }} sind auf einmal fällig. Wenn Sie nicht zahlen können, sprechen Sie bitte mit uns.",
        "{{ facility }}: Die Raten der Rechnung {{ invoice_number }} sind beendet. Bitte sprechen Sie mit uns.",
    ),
    "account.in_collections": Message(
        "Ihr Konto bei {{ facility }}",
        "seit {{ time }} fordern andere im Namen von {{ facility }} die offenen {{ balance }} ein. "
        "Sprechen Sie mit uns, wenn Sie das für falsch halten.",
        "{{ facility }}: Bitte sprechen Sie mit uns über Ihr Konto.",
    ),
}
