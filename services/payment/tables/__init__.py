"""The tables that payment owns."""

from services.payment.tables.analytics import PaymentAnalyticsDaily
from services.payment.tables.base import Base
from services.payment.tables.certificates import ProviderCertificate
from services.payment.tables.disputes import PaymentDispute
from services.payment.tables.payments import Payment, PaymentProvider, PaymentWebhook
from services.payment.tables.plans import InstallmentPlan, ScheduledInstallment
from services.payment.tables.reconciliation import PaymentReconciliation
from services.payment.tables.refunds import PaymentRefund
from services.payment.tables.traces import PaymentTrace
from services.payment.tables.transfers import ProviderCursor, UnmatchedTransfer

__all__ = [
    "Base",
    "InstallmentPlan",
    "Payment",
    "PaymentAnalyticsDaily",
    "PaymentDispute",
    "PaymentProvider",
    "PaymentReconciliation",
    "PaymentRefund",
    "PaymentTrace",
    "PaymentWebhook",
    "ProviderCertificate",
    "ProviderCursor",
    "ScheduledInstallment",
    "UnmatchedTransfer",
]
