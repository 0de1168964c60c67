"""What payment can be asked to do. Each command takes the session of its transaction and publishes into it."""

from services.payment.commands.cards import (
    cancel_payment,
    cancel_payments_of,
    capture_payment,
    initiate_card_payment,
    provide_card,
)
from services.payment.commands.certificates import certificate_at, fetch_certificate, keep_certificate
from services.payment.commands.disputes import hear_dispute, hear_of_evidence, submit_evidence
from services.payment.commands.installments import Terms, agree_plan, check_installment, follow_invoice
from services.payment.commands.looks import check_payment
from services.payment.commands.mobile import initiate_mobile_payment
from services.payment.commands.outcomes import hear_answer, hear_provider
from services.payment.commands.patients import merge_patient, surviving_patient, unmerge_patient
from services.payment.commands.recording import record_payment, take_cash, verify_cash
from services.payment.commands.refunds import hear_refund, pay_refund_out, refuse_refund, request_refund
from services.payment.commands.settlements import Settlement, resolve, take_settlement
from services.payment.commands.traces import confirm_trace, refuse_trace, trace_payment
from services.payment.commands.transfers import (
    assign_transfer,
    initiate_transfer_payment,
    note_sent_back,
    read_ledger,
    take_transfers,
)
from services.payment.commands.wallet import initiate_wallet_payment
from services.payment.commands.webhooks import take_webhook

__all__ = [
    "Settlement",
    "Terms",
    "agree_plan",
    "assign_transfer",
    "cancel_payment",
    "cancel_payments_of",
    "capture_payment",
    "certificate_at",
    "check_installment",
    "check_payment",
    "confirm_trace",
    "fetch_certificate",
    "follow_invoice",
    "hear_answer",
    "hear_dispute",
    "hear_of_evidence",
    "hear_provider",
    "hear_refund",
    "initiate_card_payment",
    "initiate_mobile_payment",
    "initiate_transfer_payment",
    "initiate_wallet_payment",
    "keep_certificate",
    "merge_patient",
    "note_sent_back",
    "pay_refund_out",
    "provide_card",
    "read_ledger",
    "record_payment",
    "refuse_refund",
    "refuse_trace",
    "request_refund",
    "resolve",
    "submit_evidence",
    "surviving_patient",
    "take_cash",
    "take_settlement",
    "take_transfers",
    "take_webhook",
    "trace_payment",
    "unmerge_patient",
    "verify_cash",
]
