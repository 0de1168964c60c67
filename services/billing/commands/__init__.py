"""What billing can be asked to do. Each command takes the session of its transaction and publishes into it.

`by` is who decides, for the audit log.
"""

from services.billing.commands.accounts import account_of, open_account
from services.billing.commands.adjustments import (
    approve_write_off,
    post_adjustment,
    refuse_write_off,
    request_write_off,
    write_off,
)
from services.billing.commands.cancellations import cancel_encounter, release_charge, withdraw_charge
from services.billing.commands.charges import (
    bill_encounter,
    capture_charges,
    capture_procedure,
    invoice_what_waited,
    set_price,
)
from services.billing.commands.collections import (
    collect_defaulted,
    look_at_due_invoice,
    recall_from_collections,
    send_to_collections,
)
from services.billing.commands.coupons import expire_coupon, make_coupon, redeem_coupon, revoke_coupon
from services.billing.commands.credit_notes import (
    approve_credit_note,
    issue_credit_note,
    refuse_credit_note,
    request_credit_note,
)
from services.billing.commands.days import day_at
from services.billing.commands.insurance import (
    accept_claim,
    add_policy,
    appeal_claim,
    complete_claim,
    deny_claim,
    draft_claim,
    end_policy,
    post_remittance,
    reject_claim,
    submit_claim,
)
from services.billing.commands.invoices import import_invoice, issue_invoice, void_invoice
from services.billing.commands.merges import merge_patient, unmerge_patient
from services.billing.commands.payments import allocate_payment, apply_credit
from services.billing.commands.returns import hold_what_is_disputed, lose_dispute, take_refund, win_dispute

__all__ = [
    "accept_claim",
    "account_of",
    "add_policy",
    "allocate_payment",
    "appeal_claim",
    "apply_credit",
    "approve_credit_note",
    "approve_write_off",
    "bill_encounter",
    "cancel_encounter",
    "capture_charges",
    "capture_procedure",
    "collect_defaulted",
    "complete_claim",
    "day_at",
    "deny_claim",
    "draft_claim",
    "end_policy",
    "expire_coupon",
    "hold_what_is_disputed",
    "import_invoice",
    "invoice_what_waited",
    "issue_credit_note",
    "issue_invoice",
    "look_at_due_invoice",
    "lose_dispute",
    "make_coupon",
    "merge_patient",
    "open_account",
    "post_adjustment",
    "post_remittance",
    "recall_from_collections",
    "redeem_coupon",
    "refuse_credit_note",
    "refuse_write_off",
    "reject_claim",
    "release_charge",
    "request_credit_note",
    "request_write_off",
    "revoke_coupon",
    "send_to_collections",
    "set_price",
    "submit_claim",
    "take_refund",
    "unmerge_patient",
    "void_invoice",
    "win_dispute",
    "withdraw_charge",
    "write_off",
]
