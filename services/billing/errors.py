"""The rules of billing that can be broken, each named as a sentence.

RuleBroken
├── InvoiceCannotBecome
├── OnlyAnUnallocatedInvoiceCanBeVoided
├── ThereIsNothingToInvoice
├── AdjustmentIsMoreThanTheBalance
├── LargeWriteOffNeedsASecondApprover
├── InvoiceIsInAnotherCurrency
├── InvoiceNeedsAtLeastOneLine
├── ReferenceBelongsToAnotherInvoice
├── FacilityPricesInOneCurrency
├── PriceEndsBeforeItBegins
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


class ThereIsNothingToInvoice(RuleBroken):
    """There is no open charge with a price to invoice."""


class AdjustmentIsMoreThanTheBalance(RuleBroken):
    """An adjustment cannot be more than what is still open."""


class LargeWriteOffNeedsASecondApprover(RuleBroken):
    """A write-off above the limit needs the approval of a second person."""


class InvoiceIsInAnotherCurrency(RuleBroken):
    """Money in one currency cannot settle an invoice in another."""


class InvoiceNeedsAtLeastOneLine(RuleBroken):
    """An invoice needs at least one line."""

    status = 422


class ReferenceBelongsToAnotherInvoice(RuleBroken):
    """This external reference was already used for an invoice that says something else."""


class FacilityPricesInOneCurrency(RuleBroken):
    """All prices of a facility are in one currency."""


class PriceEndsBeforeItBegins(RuleBroken):
    """A price cannot end before it begins."""

    status = 422


class PatientCannotMergeIntoThemselves(RuleBroken):
    """A patient cannot be merged into themselves."""
