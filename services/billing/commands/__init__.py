"""What billing can be asked to do. Each command takes the session of its transaction and publishes into it."""

from services.billing.commands.accounts import account_of, merge_patient, open_account
from services.billing.commands.charges import bill_encounter, capture_charges, set_price
from services.billing.commands.invoices import import_invoice, issue_invoice, mark_overdue, void_invoice
from services.billing.commands.settlement import allocate_payment, post_adjustment, write_off

__all__ = [
    "account_of",
    "allocate_payment",
    "bill_encounter",
    "capture_charges",
    "import_invoice",
    "issue_invoice",
    "mark_overdue",
    "merge_patient",
    "open_account",
    "post_adjustment",
    "set_price",
    "void_invoice",
    "write_off",
]
