"""En français."""

from __future__ import annotations

from services.notification.shipped.message import Message

GREETING = "Bonjour"

MESSAGES = {
    "account.verification": Message(
        "Votre code de vérification",
        "votre code est {{ code }}. Il sert une fois, jusqu'au {{ time }}. Si vous ne l'avez pas demandé, ignorez ce message.",
    ),
    "account.locked": Message(
        "Votre compte est bloqué",
        "trop de tentatives de connexion à votre compte ont échoué. Personne ne peut s'y connecter avant le {{ time }}. "
        "Si ce n'était pas vous, prévenez votre administrateur.",
    ),
    "account.suspended": Message(
        "Votre compte est suspendu",
        "votre compte a été suspendu le {{ time }}. Votre administrateur peut vous en dire la raison.",
    ),
    "account.signed_out": Message(
        "Vous avez été déconnecté",
        "vous avez été déconnecté le {{ time }}, car "
        "{% if reason == 'password_changed' %}votre mot de passe a été changé"
        "{% elif reason == 'refresh_token_reused' %}votre session a servi à deux endroits, comme si quelqu'un l'avait copiée"
        "{% else %}un administrateur a mis fin à vos sessions{% endif %}. "
        "Si vous n'en savez rien, changez votre mot de passe et prévenez votre administrateur.",
    ),
    "account.role_assigned": Message(
        "Vous avez un nouveau rôle",
        "vous avez reçu le rôle {{ role }}{% if facility is defined %} à {{ facility }}{% endif %}. "
        "Si vous ne savez pas pourquoi, prévenez votre administrateur.",
    ),
    "digest": Message(
        "{{ items | length }} messages pour vous",
        "voici ce qui vous a été annoncé depuis la dernière fois :\n\n"
        "{% for item in items %}\n- {{ item }}\n{% endfor %}\n\nConnectez-vous pour en lire plus.",
        "Des messages vous attendent. Connectez-vous pour les lire.",
    ),
    "result.ready": Message(
        "Un résultat est disponible",
        "un résultat d'examen est disponible à {{ facility }}. Connectez-vous pour le lire, ou demandez à qui vous soigne.",
        "Un résultat est disponible à {{ facility }}. Connectez-vous pour le lire.",
    ),
    "result.revised": Message(
        "Un de vos résultats a été corrigé",
        "un résultat d'examen à {{ facility }} a été corrigé. Connectez-vous pour le lire, ou demandez à qui vous soigne.",
        "Un résultat à {{ facility }} a été corrigé. Connectez-vous pour le lire.",
    ),
    "encounter.discharged": Message(
        "Votre visite à {{ facility }}",
        "votre visite à {{ facility }} s'est terminée le {{ time }}. Connectez-vous pour voir ce qui a été convenu.",
        "Votre visite à {{ facility }} est terminée. Connectez-vous pour voir ce qui a été convenu.",
    ),
    "invoice.issued": Message(
        "Facture {{ invoice_number }} de {{ facility }}",
        "votre facture {{ invoice_number }} de {{ facility }} est de {{ amount }}, à payer avant le {{ due_on }}.",
        "{{ facility }} : facture {{ invoice_number }} à payer avant le {{ due_on }}. Connectez-vous pour la voir.",
    ),
    "invoice.overdue": Message(
        "La facture {{ invoice_number }} est en retard",
        "{{ balance }} de votre facture {{ invoice_number }} de {{ facility }} étaient dus le {{ due_on }} et restent ouverts. "
        "Si vous ne pouvez pas payer en une fois, demandez-nous un échéancier.",
        "{{ facility }} : la facture {{ invoice_number }} était due le {{ due_on }} et reste ouverte.",
    ),
    "invoice.paid": Message(
        "La facture {{ invoice_number }} est payée",
        "votre facture {{ invoice_number }} de {{ facility }} est payée : {{ amount }} le {{ time }}. Merci.",
        "{{ facility }} : la facture {{ invoice_number }} est payée. Merci.",
    ),
    "invoice.partially_paid": Message(
        "Un paiement pour la facture {{ invoice_number }}",
        "{{ amount }} ont été payés sur votre facture {{ invoice_number }} de {{ facility }} ; {{ balance }} restent ouverts. "
        "Merci.",
        "{{ facility }} : un paiement pour la facture {{ invoice_number }} est arrivé. Merci.",
    ),
    "invoice.reopened": Message(
        "La facture {{ invoice_number }} est de nouveau ouverte",
        "ce qui avait payé votre facture {{ invoice_number }} de {{ facility }} est reparti : "
        "{{ balance }} sont de nouveau dus. "
        "Parlez-nous-en si vous pensez que c'est une erreur.",
        "{{ facility }} : la facture {{ invoice_number }} est de nouveau ouverte. Connectez-vous pour la voir.",
    ),
    "invoice.voided": Message(
        "La facture {{ invoice_number }} est annulée",
        "votre facture {{ invoice_number }} de {{ facility }} a été retirée. Vous ne devez rien à ce titre.",
        "{{ facility }} : la facture {{ invoice_number }} a été retirée. Vous ne devez rien à ce titre.",
    ),
    "credit.created": Message(
        "Vous avez un avoir à {{ facility }}",
        "vous avez un avoir de {{ amount }} à {{ facility }}"
        "{% if invoice_number is defined %}, sur ce qui a été payé pour la facture {{ invoice_number }}{% endif %}. "
        "Demandez-nous de le compter sur une autre facture, ou de vous le rendre.",
        "{{ facility }} : vous avez un avoir chez nous. Connectez-vous pour le voir.",
    ),
    "payment.failed": Message(
        "Votre paiement n'a pas abouti",
        "votre paiement de {{ amount }}"
        "{% if invoice_number is defined %} pour la facture {{ invoice_number }}{% endif %} à {{ facility }} n'a pas abouti. "
        "Rien n'a été prélevé. Veuillez réessayer, ou avec une autre carte.",
        "{{ facility }} : un paiement n'a pas abouti. Veuillez réessayer.",
    ),
    "refund.succeeded": Message(
        "Votre remboursement",
        "{{ amount }}{% if invoice_number is defined %} de la facture {{ invoice_number }}{% endif %} vous ont été remboursés "
        "par {{ facility }} le {{ time }}.",
        "{{ facility }} : votre remboursement est en route.",
    ),
    "installment.due": Message(
        "Échéance {{ part }} de la facture {{ invoice_number }}",
        "l'échéance {{ part }} de votre facture {{ invoice_number }} de {{ facility }}, {{ amount }}, est due le {{ due_on }}.",
        "{{ facility }} : une échéance de la facture {{ invoice_number }} est due le {{ due_on }}.",
    ),
    "installment.overdue": Message(
        "L'échéance {{ part }} de la facture {{ invoice_number }} est en retard",
        "l'échéance {{ part }} de votre facture {{ invoice_number }} de {{ facility }}, {{ amount }}, était due le "
        "{{ due_on }}. Veuillez la payer, pour que le reste ne soit pas dû d'un coup.",
        "{{ facility }} : une échéance de la facture {{ invoice_number }} était due le {{ due_on }}.",
    ),
    "installment.plan_defaulted": Message(
        "L'échéancier de la facture {{ invoice_number }} a pris fin",
        "trop d'échéances de votre facture {{ invoice_number }} de {{ facility }} n'ont pas été payées : "
        "les {{ amount }} restés ouverts sont dus d'un coup. Si vous ne pouvez pas les payer, parlez-nous-en.",
        "{{ facility }} : l'échéancier de la facture {{ invoice_number }} a pris fin. Parlez-nous-en, s'il vous plaît.",
    ),
    "account.in_collections": Message(
        "Votre compte à {{ facility }}",
        "depuis le {{ time }}, d'autres vous demandent, au nom de {{ facility }}, les {{ balance }} restés ouverts. "
        "Parlez-nous-en si vous pensez que c'est une erreur.",
        "{{ facility }} : parlez-nous de votre compte, s'il vous plaît.",
    ),
    "result.reported": Message(
        "Des résultats d'une de vos demandes",
        "la demande {{ reference }} à {{ facility }} a son premier résultat depuis le {{ time }}. Connectez-vous pour le lire.",
        "Des résultats d'une de vos demandes à {{ facility }}. Connectez-vous pour les lire.",
    ),
    "result.corrected": Message(
        "Un résultat a été corrigé",
        "un résultat de votre demande {{ reference }} à {{ facility }} a été corrigé le {{ time }}. "
        "Connectez-vous pour lire ce qu'il dit maintenant.",
        "Un résultat d'une de vos demandes à {{ facility }} a été corrigé. Connectez-vous pour le lire.",
    ),
    "result.critical": Message(
        "Agissez : un résultat critique",
        "un résultat de la demande {{ reference }} à {{ facility }} exige quelqu'un tout de suite, depuis le {{ time }}. "
        "Connectez-vous, agissez et confirmez.",
        "Agissez : un résultat à {{ facility }} vous attend depuis le {{ time }}. Connectez-vous.",
    ),
    "result.critical_overdue": Message(
        "Personne n'a confirmé un résultat critique",
        "un résultat critique de la demande {{ reference }} à {{ facility }} devait être confirmé avant le {{ time }}. "
        "Veillez à ce que quelqu'un agisse.",
        "Personne n'a confirmé un résultat à {{ facility }}, attendu le {{ time }}. Connectez-vous.",
    ),
    "sample.rejected": Message(
        "Un prélèvement est à refaire",
        "un prélèvement à {{ facility }} a été refusé le {{ time }}. La nouvelle demande est {{ reference }}.",
        "Un prélèvement à {{ facility }} est à refaire. Connectez-vous.",
    ),
    "note.cosign_requested": Message(
        "Une note attend votre signature",
        "la note {{ reference }} d'un étudiant à {{ facility }} demande une seconde signature avant le {{ time }}.",
        "Une note à {{ facility }} demande une seconde signature avant le {{ time }}.",
    ),
    "note.cosign_overdue": Message(
        "Une note attend une signature depuis trop longtemps",
        "la note {{ reference }} à {{ facility }} devait avoir sa seconde signature avant le {{ time }}.",
        "Une note à {{ facility }} devait être signée avant le {{ time }}.",
    ),
    "bed.request_waiting": Message(
        "Quelqu'un attend un lit",
        "le séjour {{ reference }} à {{ facility }} attend un lit depuis le {{ time }}.",
        "Quelqu'un attend un lit à {{ facility }} depuis le {{ time }}.",
    ),
    "ward.full": Message(
        "Un service est complet",
        "depuis le {{ time }}, les {{ capacity }} lits d'un service de {{ facility }} sont tous occupés.",
        "Un service de {{ facility }} est complet depuis le {{ time }}.",
    ),
    "refund.failed": Message(
        "Un remboursement a échoué",
        "un remboursement de {{ amount }} du paiement {{ reference }} à {{ facility }} a échoué. Quelqu'un doit s'en occuper.",
        "Un remboursement à {{ facility }} a échoué. Connectez-vous.",
    ),
    "dispute.opened": Message(
        "Un paiement est contesté",
        "le paiement {{ reference }} de {{ amount }} à {{ facility }} est contesté. Les preuves sont dues avant le {{ time }}.",
        "Un paiement à {{ facility }} est contesté. Les preuves sont dues avant le {{ time }}.",
    ),
    "dispute.lost": Message(
        "Un litige est perdu",
        "le litige sur le paiement {{ reference }} de {{ amount }} à {{ facility }} est perdu.",
        "Un litige à {{ facility }} est perdu. Connectez-vous.",
    ),
    "reconciliation.mismatched": Message(
        "Un règlement diffère de nos livres",
        "le rapprochement {{ reference }} a trouvé un paiement à {{ facility }} qui diffère. Quelqu'un doit le regarder.",
        "Un règlement à {{ facility }} diffère de nos livres. Connectez-vous.",
    ),
}
