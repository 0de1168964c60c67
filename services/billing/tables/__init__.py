"""The tables that billing owns."""

from services.billing.tables.accounts import BillingAccount, EncounterBill
from services.billing.tables.base import Base
from services.billing.tables.charges import Charge, ChargeMasterPrice
from services.billing.tables.invoices import Invoice, InvoiceLineItem, InvoiceNumber
from services.billing.tables.receipts import BillingAdjustment, Credit, InvoicePaymentAllocation, Receipt

__all__ = [
    "Base",
    "BillingAccount",
    "BillingAdjustment",
    "Charge",
    "ChargeMasterPrice",
    "Credit",
    "EncounterBill",
    "Invoice",
    "InvoiceLineItem",
    "InvoiceNumber",
    "InvoicePaymentAllocation",
    "Receipt",
]
