"""The tables that billing owns."""

from services.billing.tables.accounts import BillingAccount, EncounterBill
from services.billing.tables.adjustments import BillingAdjustment, CreditNote, CreditNoteRequest, WriteOffRequest
from services.billing.tables.audit import Action, BillingAuditEntry
from services.billing.tables.base import Base
from services.billing.tables.charges import Charge, ChargeMasterPrice
from services.billing.tables.collections import CollectionCase
from services.billing.tables.coupons import Coupon, CouponRedemption
from services.billing.tables.disputes import Dispute, InvoiceHold, PaymentReturn, ReturnReason
from services.billing.tables.insurance import ClaimLineItem, InsuranceClaim, InsurancePolicy
from services.billing.tables.invoices import Invoice, InvoiceLineItem
from services.billing.tables.numbers import CreditNoteNumber, InvoiceNumber
from services.billing.tables.receipts import Credit, InvoicePaymentAllocation, Receipt, Source

__all__ = [
    "Action",
    "Base",
    "BillingAccount",
    "BillingAdjustment",
    "BillingAuditEntry",
    "Charge",
    "ChargeMasterPrice",
    "ClaimLineItem",
    "CollectionCase",
    "Coupon",
    "CouponRedemption",
    "Credit",
    "CreditNote",
    "CreditNoteNumber",
    "CreditNoteRequest",
    "Dispute",
    "EncounterBill",
    "InsuranceClaim",
    "InsurancePolicy",
    "Invoice",
    "InvoiceHold",
    "InvoiceLineItem",
    "InvoiceNumber",
    "InvoicePaymentAllocation",
    "PaymentReturn",
    "Receipt",
    "ReturnReason",
    "Source",
    "WriteOffRequest",
]
