"""The rules of payment that can be broken, each named as a sentence.

RuleBroken
├── AmountMustBeAboveZero
├── AmountIsMoreThanTheOpenBalance
├── AmountIsInAnotherCurrency
├── InvoiceCannotBePaid
├── InvoiceIsOfAnotherFacility
├── PaymentCannotBecome
├── ReferenceBelongsToAnotherPayment
└── NotFound
    └── PaymentNotFound

WebhookIsNotGenuine     somebody else than the provider sent it, or it is too old
"""

from __future__ import annotations

from broker import NotFound, RuleBroken


class WebhookIsNotGenuine(Exception):
    """The signature is missing, malformed, too old, or not made with our secret. Says no more, on purpose."""


class PaymentNotFound(NotFound):
    """There is no such payment."""


class AmountMustBeAboveZero(RuleBroken):
    """A payment is of an amount above zero."""

    status = 422


class AmountIsMoreThanTheOpenBalance(RuleBroken):
    """A payment cannot be more than what is open on its invoice and not already being paid."""


class AmountIsInAnotherCurrency(RuleBroken):
    """A payment is in the currency of its invoice."""


class InvoiceCannotBePaid(RuleBroken):
    """An invoice in this state cannot be paid."""


class InvoiceIsOfAnotherFacility(RuleBroken):
    """A payment is recorded at the facility whose invoice it pays."""


class PaymentCannotBecome(RuleBroken):
    """A payment in this state cannot become what is asked."""


class ReferenceBelongsToAnotherPayment(RuleBroken):
    """This reference was already used for a payment that says something else."""
