"""What PayPal speaks of, in its answers and in its webhooks: orders, captures, refunds."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, Field, ValidationError

from contracts.money import Money
from services.payment.providers.provider import PAYPAL, Notice
from services.payment.rules import RefundWord, Word

Id = Annotated[str, Field(min_length=1, max_length=200)]
Code = Annotated[str, Field(max_length=100)]


class Amount(BaseModel):
    """An amount, in its words."""

    currency_code: Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
    value: Annotated[Decimal, Field(ge=0, max_digits=14, decimal_places=2)]


class CaptureObject(BaseModel):
    """Money taken of an order; `custom_id` is our payment."""

    id: Id
    status: Code
    amount: Amount
    custom_id: UUID | None = None

    def word(self) -> Word | None:
        """What it means to us; None while it is under way."""
        if self.status in ("COMPLETED", "PARTIALLY_REFUNDED", "REFUNDED"):
            captured = Money.of(self.amount.value, self.amount.currency_code)
            return Word(outcome="captured", provider_payment_id=self.id, captured=captured)
        if self.status in ("DECLINED", "FAILED"):
            return Word(outcome="declined", provider_payment_id=self.id, decline_code=self.status.lower())
        return None


class Payments(BaseModel):
    """What was done with a purchase unit."""

    captures: list[CaptureObject] = []


class PurchaseUnit(BaseModel):
    """What an order is for; `custom_id` is our payment."""

    custom_id: UUID | None = None
    payments: Payments = Payments()


class OrderObject(BaseModel):
    """What a payer is asked to approve."""

    id: Id
    status: Code
    purchase_units: Annotated[list[PurchaseUnit], Field(max_length=10)] = []

    @property
    def payment_id(self) -> UUID | None:
        """Our payment."""
        return next((unit.custom_id for unit in self.purchase_units), None)

    def word(self) -> Word:
        """What it means to us: what its capture says, or how far its payer is."""
        captures = [capture.word() for unit in self.purchase_units for capture in unit.payments.captures]
        decided = [word for word in captures if word is not None]
        if decided:
            return decided[-1]
        if self.status == "VOIDED":
            return Word(outcome="cancelled", provider_payment_id=self.id)
        outcome = "approved" if self.status == "APPROVED" and not captures else "pending"
        return Word.model_validate({"outcome": outcome, "provider_payment_id": self.id})


class PaypalRefund(BaseModel):
    """Money that goes back; `custom_id` is our payment and our refund."""

    id: Id
    status: Code
    custom_id: Annotated[str, Field(max_length=127)] = ""

    def word(self) -> RefundWord:
        """What it means to us."""
        match self.status:
            case "COMPLETED":
                return RefundWord(outcome="succeeded", provider_refund_id=self.id)
            case "FAILED" | "CANCELLED":
                return RefundWord(outcome="failed", provider_refund_id=self.id, failure_code=self.status.lower())
        return RefundWord(outcome="pending", provider_refund_id=self.id)

    @property
    def ours(self) -> tuple[UUID, UUID] | None:
        """Our payment and our refund; None for one that was not asked for here."""
        payment_id, _, refund_id = self.custom_id.partition(":")
        try:
            return UUID(payment_id), UUID(refund_id)
        except ValueError:
            return None


class Issue(BaseModel):
    """One reason of a refusal."""

    issue: Code


class Refusal(BaseModel):
    """PayPal will not do it."""

    name: Code = "refused"
    details: list[Issue] = []

    @property
    def code(self) -> str:
        """Why."""
        return (self.details[0].issue if self.details else self.name).lower()

    @property
    def is_captured_already(self) -> bool:
        """Whether that is because it was done before."""
        return self.code == "order_already_captured"


class PaypalEvent(BaseModel):
    """A webhook of PayPal. What we do not know is taken, and ignored: it need not be sent again."""

    id: Id
    event_type: Code
    resource: dict[str, Any]

    def notice(self) -> Notice:
        """What it means to us; None of it, when its resource is not what its type promises."""
        try:
            return self._notice()
        except ValidationError:
            return self._of()

    def _notice(self) -> Notice:
        match self.event_type:
            case "CHECKOUT.ORDER.APPROVED":
                order = OrderObject.model_validate(self.resource)
                return self._of(payment_id=order.payment_id, word=order.word())
            case "PAYMENT.CAPTURE.COMPLETED" | "PAYMENT.CAPTURE.DENIED" | "PAYMENT.CAPTURE.DECLINED":
                capture = CaptureObject.model_validate(self.resource)
                return self._of(payment_id=capture.custom_id, word=capture.word())
            case "PAYMENT.CAPTURE.REFUNDED":
                refund = PaypalRefund.model_validate(self.resource)
                payment_id, refund_id = refund.ours or (None, None)
                return self._of(payment_id=payment_id, refund_id=refund_id, word=refund.word())
        return self._of()

    def _of(self, **said: Any) -> Notice:
        return Notice(**({"word": None} | said), provider=PAYPAL, event_id=self.id, type=self.event_type)
