"""What payment can be asked to do. Each command takes the session of its transaction and publishes into it."""

from services.payment.commands.cards import cancel_payment, cancel_payments_of, initiate_card_payment, provide_card
from services.payment.commands.outcomes import hear_provider, take_webhook
from services.payment.commands.patients import merge_patient, surviving_patient
from services.payment.commands.recording import record_payment

__all__ = [
    "cancel_payment",
    "cancel_payments_of",
    "hear_provider",
    "initiate_card_payment",
    "merge_patient",
    "provide_card",
    "record_payment",
    "surviving_patient",
    "take_webhook",
]
