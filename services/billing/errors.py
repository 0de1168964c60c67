"""The rules of billing that can be broken, each named as a sentence.

RuleBroken
├── an invoice
│   ├── InvoiceCannotBecome
│   ├── OnlyAnUnallocatedInvoiceCanBeVoided
│   ├── InvoiceIsClaimed
│   ├── ThereIsNothingToInvoice
│   ├── InvoiceIsInAnotherCurrency
│   ├── InvoiceNeedsAtLeastOneLine
│   ├── ReferenceBelongsToAnotherInvoice
│   └── FacilityIsNotActive
├── a charge
│   ├── ChargeCannotBecome
│   ├── OnlyAHeldChargeIsDecided
│   ├── FacilityPricesInOneCurrency
│   └── PriceEndsBeforeItBegins
├── what lowers a balance
│   ├── AdjustmentIsMoreThanTheBalance
│   ├── LargeAdjustmentNeedsASecondApprover
│   ├── LargeWriteOffNeedsASecondApprover
│   ├── LargeCreditNoteNeedsASecondApprover
│   ├── RequestCannotBecome
│   ├── AWriteOffIsRequestedAlready
│   ├── ACreditNoteIsRequestedAlready
│   ├── ApproverMustBeAnotherPerson
│   ├── BalanceGrewSinceTheRequest
│   ├── OnlyAnIssuedInvoiceIsClaimedOrCredited
│   ├── OnlyAnIssuedInvoiceIsLowered
│   ├── CreditNoteIsMoreThanWasInvoiced
│   ├── CreditIsLessThanThat
│   ├── CreditIsOfAnotherPatient
│   └── CreditIsDisputed
├── money that goes back
│   ├── MoreWasReturnedThanReceived
│   └── DisputeCannotBecome
├── a coupon
│   ├── CouponCannotBecome
│   ├── CouponCodeIsTaken
│   ├── CouponIsAmountOrPercent
│   ├── CouponEndsBeforeItBegins
│   ├── CouponIsNotActive
│   ├── CouponIsNotValidToday
│   ├── RedemptionKeyIsTaken
│   ├── CouponWasRedeemedOnThisInvoice
│   ├── PatientUsedTheCouponUp
│   ├── CouponsDoNotStack
│   └── NothingIsLeftToDiscount
├── insurance
│   ├── PolicyEndsBeforeItBegins
│   ├── PoliciesOverlap
│   ├── PolicyIsNotInForce
│   ├── PolicyIsOfAnotherPatient
│   ├── ClaimCannotBecome
│   ├── ClaimNeedsADiagnosis
│   ├── InvoiceIsClaimedAlready
│   ├── SecondaryClaimFollowsThePrimary
│   ├── ThereIsNothingToClaim
│   ├── RemittanceNamesOtherLines
│   └── RemittanceDoesNotAddUp
├── collections
│   ├── CollectionCannotBecome
│   ├── AccountIsInCollectionsAlready
│   └── ThereIsNothingToCollect
├── PatientCannotMergeIntoThemselves
└── NotFound
    └── InvoiceNotFound
"""

from __future__ import annotations

from broker import NotFound, RuleBroken


class InvoiceNotFound(NotFound):
    """There is no such invoice."""


class InvoiceCannotBecome(RuleBroken):
    """An invoice in this state cannot become what is asked."""


class OnlyAnUnallocatedInvoiceCanBeVoided(RuleBroken):
    """An invoice on which money was allocated or adjusted cannot be voided."""


class InvoiceIsClaimed(RuleBroken):
    """An invoice that a payer is asked for cannot be voided."""


class ThereIsNothingToInvoice(RuleBroken):
    """There is no open charge with a price to invoice."""


class InvoiceIsInAnotherCurrency(RuleBroken):
    """Money in one currency cannot settle an invoice in another."""


class InvoiceNeedsAtLeastOneLine(RuleBroken):
    """An invoice needs at least one line."""

    status = 422


class ReferenceBelongsToAnotherInvoice(RuleBroken):
    """This external reference was already used for an invoice that says something else."""


class FacilityIsNotActive(RuleBroken):
    """At a facility that is not active no invoice is issued."""


class ChargeCannotBecome(RuleBroken):
    """A charge in this state cannot become what is asked."""


class OnlyAHeldChargeIsDecided(RuleBroken):
    """Only a charge that is held, as its encounter did not take place, is released or withdrawn."""


class FacilityPricesInOneCurrency(RuleBroken):
    """All prices of a facility are in one currency."""


class PriceEndsBeforeItBegins(RuleBroken):
    """A price cannot end before it begins."""

    status = 422


class AdjustmentIsMoreThanTheBalance(RuleBroken):
    """An adjustment cannot be more than what is still open."""


class LargeAdjustmentNeedsASecondApprover(RuleBroken):
    """One person lowers an invoice at their discretion up to the limit: above it, in all, a second person approves."""


class LargeWriteOffNeedsASecondApprover(RuleBroken):
    """A write-off above the limit needs the approval of a second person."""


class LargeCreditNoteNeedsASecondApprover(RuleBroken):
    """A credit note above the limit, with what one person gave up of the invoice before, needs the approval of a second one."""


class RequestCannotBecome(RuleBroken):
    """A request that was decided is not decided again."""


class AWriteOffIsRequestedAlready(RuleBroken):
    """For this invoice a write-off is requested already, and not decided yet."""


class ACreditNoteIsRequestedAlready(RuleBroken):
    """For this invoice a credit note is requested already, and not decided yet."""


class ApproverMustBeAnotherPerson(RuleBroken):
    """Who requested a write-off or a credit note cannot approve it."""


class BalanceGrewSinceTheRequest(RuleBroken):
    """More is open by now than was asked to be written off."""


class OnlyAnIssuedInvoiceIsClaimedOrCredited(RuleBroken):
    """Only an invoice that was issued and counts is claimed, or taken back by a credit note."""


class OnlyAnIssuedInvoiceIsLowered(RuleBroken):
    """Only an invoice that was issued and counts is lowered by an adjustment or a coupon."""


class CreditNoteIsMoreThanWasInvoiced(RuleBroken):
    """A credit note cannot be over more than its invoice still asks for."""


class CreditIsLessThanThat(RuleBroken):
    """There is not as much left of the credit."""


class CreditIsOfAnotherPatient(RuleBroken):
    """A credit settles only invoices of its own patient and facility."""


class CreditIsDisputed(RuleBroken):
    """The payer disputes the payment that this credit comes from: until that is decided, it settles nothing."""


class MoreWasReturnedThanReceived(RuleBroken):
    """More of a payment would have gone back to the payer than had come."""


class DisputeCannotBecome(RuleBroken):
    """A dispute that was decided is not decided otherwise."""


class CouponCannotBecome(RuleBroken):
    """A coupon in this state cannot become what is asked."""


class CouponCodeIsTaken(RuleBroken):
    """The facility has a coupon with this code already."""


class CouponIsAmountOrPercent(RuleBroken):
    """A coupon is either over an amount or over a percentage."""

    status = 422


class CouponEndsBeforeItBegins(RuleBroken):
    """A coupon cannot end before it begins."""

    status = 422


class CouponIsNotActive(RuleBroken):
    """The coupon was used up, has expired or was revoked."""


class CouponIsNotValidToday(RuleBroken):
    """The coupon is valid on other days."""


class RedemptionKeyIsTaken(RuleBroken):
    """This key was already used to redeem the coupon on another invoice."""


class CouponWasRedeemedOnThisInvoice(RuleBroken):
    """A coupon lowers an invoice once."""


class PatientUsedTheCouponUp(RuleBroken):
    """The patient has redeemed this coupon as often as one may."""


class CouponsDoNotStack(RuleBroken):
    """An exclusive coupon is the only one of its invoice."""


class NothingIsLeftToDiscount(RuleBroken):
    """On this invoice nothing is open that a coupon could lower."""


class PolicyEndsBeforeItBegins(RuleBroken):
    """A policy cannot end before it begins."""

    status = 422


class PoliciesOverlap(RuleBroken):
    """A patient has one policy of each coverage order at a time."""


class PolicyIsNotInForce(RuleBroken):
    """On the day of the service the policy did not cover."""


class PolicyIsOfAnotherPatient(RuleBroken):
    """A claim is made under a policy of the invoice's own patient."""


class ClaimCannotBecome(RuleBroken):
    """A claim in this state cannot become what is asked."""


class ClaimNeedsADiagnosis(RuleBroken):
    """A claim needs at least one diagnosis."""


class InvoiceIsClaimedAlready(RuleBroken):
    """For this invoice there is a claim under this policy already."""


class SecondaryClaimFollowsThePrimary(RuleBroken):
    """The secondary payer is asked when the primary one has paid or denied."""


class ThereIsNothingToClaim(RuleBroken):
    """There is no amount that this payer could be asked for."""


class RemittanceNamesOtherLines(RuleBroken):
    """A remittance answers each line of its claim once, and no other."""

    status = 422


class RemittanceDoesNotAddUp(RuleBroken):
    """What is paid, adjusted and left to the patient has to add up to what the line claims."""

    status = 422


class CollectionCannotBecome(RuleBroken):
    """A case of collections that was closed stays closed."""


class AccountIsInCollectionsAlready(RuleBroken):
    """Others ask for what this patient owes already."""


class ThereIsNothingToCollect(RuleBroken):
    """Nothing is overdue that is not on hold."""


class PatientCannotMergeIntoThemselves(RuleBroken):
    """A patient cannot be merged into themselves."""
