"""The rules of payment that can be broken, each named as a sentence.

RuleBroken
├── AmountMustBeAboveZero
├── AmountIsInAnotherCurrency
├── AmountIsMoreThanTheOpenBalance
├── AmountIsMoreThanIsHeld
├── AmountIsMoreThanCanBeRefunded
├── MobileMoneyIsPaidInWholeShillings
├── InvoiceCannotBePaid
├── InvoiceIsOfAnotherFacility
├── InvoiceIsBeingPaid
├── InvoiceHasAPlanAlready
├── PaymentCannotBecome
├── CaptureIsUnderWay
├── OnlyHeldMoneyIsCaptured
├── OnlyCashIsVerified
├── CashNeedsASecondPerson
├── ReferenceBelongsToAnotherPayment
├── OnlyALostPaymentIsTraced
├── PaymentIsTracedAlready
├── TraceIsOfAnotherAmount
├── TraceNamesAnotherPayment
├── LostPaymentMayStillBePaid
├── TraceNeedsASecondPerson
├── TraceCannotBecome
├── OnlyMoneyThatWeHaveIsRefunded
├── RefundCannotBecome
├── ProviderPaysThisRefund
├── RefundNeedsASecondPerson
├── DisputeCannotBecome
├── EvidenceIsTooLate
├── EvidenceWasSentAlready
├── PlanCannotBecome
├── InstallmentCannotBecome
├── InstallmentsAreTooSmall
├── FirstInstallmentIsInThePast
├── WebhookCannotBecome
├── FindingCannotBecome
├── SettlementNamesAPaymentTwice
├── TransferCannotBecome
├── TransferIsOfAnotherAsset
├── TransferIsMoreThanThePayment
├── TransferPaysWhatAsksForOne
├── ProviderIsUnknown
└── NotFound
    └── PaymentNotFound

WebhookIsNotGenuine     somebody else than the provider sent it, or it is too old
"""

from __future__ import annotations

from broker import NotFound, RuleBroken


class WebhookIsNotGenuine(Exception):
    """The signature is missing, malformed, too old or not the provider's, or the address is not. Says no more, on purpose."""


class PaymentNotFound(NotFound):
    """There is no such payment."""


class AmountMustBeAboveZero(RuleBroken):
    """A payment, a capture or a refund is of an amount above zero."""

    status = 422


class AmountIsInAnotherCurrency(RuleBroken):
    """An amount is in the currency of what it is for: the invoice that is paid, the payment that is captured or refunded."""


class AmountIsMoreThanTheOpenBalance(RuleBroken):
    """A payment cannot be more than what is open on its invoice and not already being paid."""


class AmountIsMoreThanIsHeld(RuleBroken):
    """No more is captured than the provider still holds for us."""


class AmountIsMoreThanCanBeRefunded(RuleBroken):
    """No more goes back than came in: refunds, with what is disputed, are at most what was captured."""


class MobileMoneyIsPaidInWholeShillings(RuleBroken):
    """M-Pesa moves whole Kenyan shillings, and nothing else."""

    status = 422


class InvoiceCannotBePaid(RuleBroken):
    """An invoice in this state cannot be paid."""


class InvoiceIsOfAnotherFacility(RuleBroken):
    """A payment is recorded at the facility whose invoice it pays."""


class InvoiceIsBeingPaid(RuleBroken):
    """A plan begins with a balance that stands still: no payment of its invoice is under way."""


class InvoiceHasAPlanAlready(RuleBroken):
    """An invoice is paid by one plan at a time."""


class PaymentCannotBecome(RuleBroken):
    """A payment in this state cannot become what is asked."""


class CaptureIsUnderWay(RuleBroken):
    """What the provider holds is captured, or released, once the provider has answered what it was asked before."""


class OnlyHeldMoneyIsCaptured(RuleBroken):
    """Only what a provider holds for us can be captured."""


class OnlyCashIsVerified(RuleBroken):
    """Only cash that was taken at a desk waits for somebody to count it."""


class CashNeedsASecondPerson(RuleBroken):
    """Cash is verified, or given back, by somebody else than who took it."""


class ReferenceBelongsToAnotherPayment(RuleBroken):
    """This reference was already used for a payment that says something else."""


class OnlyALostPaymentIsTraced(RuleBroken):
    """Only a payment whose provider's answer was lost, and cannot be asked for, is traced by hand."""


class PaymentIsTracedAlready(RuleBroken):
    """Somebody has to decide on what was found out of this payment, before something else is."""


class TraceIsOfAnotherAmount(RuleBroken):
    """What was found in the provider's books is of the amount that was asked for."""


class TraceNamesAnotherPayment(RuleBroken):
    """What was found in the provider's books is no other payment of ours."""


class LostPaymentMayStillBePaid(RuleBroken):
    """That a lost payment was not paid is said once the provider's books of its day are closed."""


class TraceNeedsASecondPerson(RuleBroken):
    """What became of a lost payment is confirmed by somebody else than who found it out."""


class TraceCannotBecome(RuleBroken):
    """What was found out of a lost payment is confirmed, or refused, once."""


class OnlyMoneyThatWeHaveIsRefunded(RuleBroken):
    """Only a payment that succeeded can be refunded."""


class RefundCannotBecome(RuleBroken):
    """A refund in this state cannot become what is asked."""


class ProviderPaysThisRefund(RuleBroken):
    """What came through a provider goes back through it: nobody pays it out by hand."""


class RefundNeedsASecondPerson(RuleBroken):
    """Money is paid out, or kept, by somebody else than who asked for the refund."""


class DisputeCannotBecome(RuleBroken):
    """A dispute in this state cannot become what is asked."""


class EvidenceIsTooLate(RuleBroken):
    """The payer's bank takes evidence until a day that it names."""


class EvidenceWasSentAlready(RuleBroken):
    """The payer's bank takes evidence once."""


class PlanCannotBecome(RuleBroken):
    """A plan in this state cannot become what is asked."""


class InstallmentCannotBecome(RuleBroken):
    """An instalment in this state cannot become what is asked."""


class InstallmentsAreTooSmall(RuleBroken):
    """Each instalment is of an amount above zero: the balance cannot be cut into so many."""

    status = 422


class FirstInstallmentIsInThePast(RuleBroken):
    """A plan's first instalment is due today or later."""

    status = 422


class WebhookCannotBecome(RuleBroken):
    """A webhook in this state cannot become what is asked."""


class FindingCannotBecome(RuleBroken):
    """What a settlement was found to say cannot become what is asked from this state."""


class SettlementNamesAPaymentTwice(RuleBroken):
    """Each payment and each refund stands once in a settlement."""

    status = 422


class TransferCannotBecome(RuleBroken):
    """A transfer is assigned, or sent back, once."""


class TransferIsOfAnotherAsset(RuleBroken):
    """Only the asset that we take, of the issuer that we trust, pays anything: all else is sent back."""


class TransferIsMoreThanThePayment(RuleBroken):
    """A transfer is assigned to a payment that asks for at least as much."""


class TransferPaysWhatAsksForOne(RuleBroken):
    """A transfer on the ledger pays a payment that was begun for one."""


class ProviderIsUnknown(RuleBroken):
    """We have no provider of this code."""

    status = 422
