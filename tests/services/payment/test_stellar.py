"""Paying by a transfer on the Stellar network: what pays by itself, and what waits for a person."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import httpx
import pytest

from broker import RuleBroken
from contracts.payment import PaymentStatus, PaymentSucceeded, StellarPollDue
from services.payment.errors import TransferCannotBecome, TransferIsMoreThanThePayment, TransferIsOfAnotherAsset
from services.payment.rules import TRANSFER, Asset, Mismatch, Transfer, check_assigned, mismatch
from services.payment.tables import Payment
from tests.services.kit import Workplace
from tests.services.payment.given import FACILITY, INVOICE, OTHER_FACILITY, payment_of, usd
from tests.services.payment.outer import Outer

ACCOUNT, ISSUER = "GDOURS", "GAISSUER"
OURS = Asset(code="USDC", issuer=ISSUER)
PATH = f"/accounts/{ACCOUNT}/payments"
SETTINGS = {
    "stellar": "https://horizon.test",
    "stellar_account": ACCOUNT,
    "stellar_asset_code": OURS.code,
    "stellar_asset_issuer": ISSUER,
}


class Ledger:
    """The payments of our account, and what was read of them."""

    def __init__(self) -> None:
        self.records: list[dict[str, Any]] = []
        self.read_from: list[int] = []

    def add(self, quantity: str, memo: str | None, **other: Any) -> str:
        """Something arrives; gives its id."""
        id_ = str(1000 + len(self.records))
        record = {
            "id": id_,
            "paging_token": id_,
            "type": "payment",
            "created_at": "2026-03-02T12:00:00Z",
            "transaction_successful": True,
            "to": ACCOUNT,
            "from": "GPAYER",
            "asset_code": OURS.code,
            "asset_issuer": ISSUER,
            "amount": quantity,
            "transaction": {"memo_type": "text", "memo": memo} if memo else {"memo_type": "none"},
        }
        self.records.append(record | other)
        return id_

    def page(self, request: httpx.Request) -> httpx.Response:
        cursor = int(request.url.params["cursor"])
        self.read_from.append(cursor)
        records = [record for record in self.records if int(record["paging_token"]) > cursor]
        return httpx.Response(200, json={"_embedded": {"records": records}})


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


@pytest.fixture
async def stellar(payment: Workplace, ledger: Ledger) -> AsyncIterator[Outer]:
    payment.app.state.outside = SETTINGS
    async with Outer.of(payment, SETTINGS) as outer:
        outer.answers[PATH] = ledger.page
        yield outer


async def begun(payment: Workplace, amount: str = "40.00") -> Payment:
    """A payment that waits for a transfer."""
    asked = {"invoice_id": str(INVOICE), "amount": {"amount": amount, "currency": "USD"}}
    async with payment.client("cashier", at=FACILITY) as cashier:
        reply = await cashier.post("/payments/transfer", json=asked)
    assert (reply.status_code, reply.json()["status"], reply.json()["method"]) == (201, "requires_action", "digital_asset")
    assert 0 < len(reply.json()["memo"]) <= 28
    return await payment_of(payment, UUID(reply.json()["payment_id"]))


async def poll(payment: Workplace, stellar: Outer) -> None:
    """The time to read on has come."""
    await payment.deliver(StellarPollDue(provider="stellar"))
    await stellar.work()


async def waiting(payment: Workplace) -> list[tuple[str, str]]:
    """What waits for a person: why, and how much."""
    async with payment.client("billing_manager", at=None) as manager:
        items = (await manager.get("/unmatched-transfers", params={"status": "unmatched"})).json()["items"]
    return [(item["reason"], item["quantity"]) for item in items]


async def test_a_transfer_pays_the_payment_of_its_memo(payment: Workplace, stellar: Outer, ledger: Ledger) -> None:
    """Once, however often the ledger is read; it is read on from where it ended, by an event to oneself."""
    paid = await begun(payment)
    assert "stellar.poll_due" in await stellar.everything_kept()
    ledger.add("40.0000000", paid.memo)
    for _ in range(2):
        await poll(payment, stellar)
    [event] = await payment.published(PaymentSucceeded)
    assert (event.payment_id, event.amount, event.method) == (paid.payment_id, usd("40.00"), "digital_asset")
    assert ledger.read_from == [0, 1000]
    assert await waiting(payment) == []
    ledger.add("40.0000000", paid.memo)
    await poll(payment, stellar)
    assert await waiting(payment) == [("payment_is_over", "40.0000000")]


async def test_the_same_page_read_twice_has_one_effect(payment: Workplace, stellar: Outer, ledger: Ledger) -> None:
    """Two readings from one cursor, as after a crash: what is before the cursor is passed over."""
    ledger.add("1.0000000", "nobody's")
    for _ in range(2):
        await payment.deliver(StellarPollDue(provider="stellar"))
    await stellar.work()
    assert ledger.read_from == [0, 0]
    assert await waiting(payment) == [("memo_unknown", "1.0000000")]


async def test_what_is_no_transfer_to_us_is_passed_over(payment: Workplace, stellar: Outer, ledger: Ledger) -> None:
    """What we sent, what failed, what is no payment; a memo that is no text is none."""
    paid = await begun(payment)
    for other in ({"to": "GOTHER"}, {"transaction_successful": False}, {"type": "create_account"}):
        ledger.add("40.0000000", paid.memo, **other)
    ledger.add("40.0000000", "bad \x00 memo")
    await poll(payment, stellar)
    assert await waiting(payment) == [("no_memo", "40.0000000")]
    assert await payment.published(PaymentSucceeded) == []


async def test_what_is_too_much_waits_and_the_rest_is_paid(payment: Workplace, stellar: Outer, ledger: Ledger) -> None:
    """To the stroop."""
    paid = await begun(payment)
    ledger.add("41.5000001", paid.memo)
    await poll(payment, stellar)
    assert (await payment_of(payment, paid.payment_id)).captured == usd("40.00")
    assert await waiting(payment) == [("overpaid", "1.5000001")]


async def test_horizon_that_does_not_answer_is_read_later(payment: Workplace, stellar: Outer, ledger: Ledger) -> None:
    """Nothing is lost, and the cursor stays."""
    paid = await begun(payment)
    ledger.add("40.0000000", paid.memo)
    stellar.will(PATH, 503)
    await poll(payment, stellar)
    stellar.answers[PATH] = ledger.page
    await stellar.work()
    assert (await payment_of(payment, paid.payment_id)).status == "succeeded"


async def test_a_person_assigns_what_is_too_little(payment: Workplace, stellar: Outer, ledger: Ledger) -> None:
    """The payment has succeeded with as many cents as arrived; it is assigned once."""
    paid = await begun(payment)
    id_ = ledger.add("39.9999999", paid.memo)
    await poll(payment, stellar)
    assert await waiting(payment) == [("underpaid", "39.9999999")]
    async with payment.client("billing_manager", at=FACILITY) as manager:
        path, asked = f"/unmatched-transfers/{id_}/assign", {"payment_id": str(paid.payment_id)}
        assigned, again = await manager.post(path, json=asked), await manager.post(path, json=asked)
    assert (assigned.status_code, assigned.json()["status"], assigned.json()["decided_by"]) == (200, "assigned", "tester")
    assert (again.status_code, again.json()["type"]) == (409, "urn:nilecare:rule:TransferCannotBecome")
    [event] = await payment.published(PaymentSucceeded)
    assert event.amount == usd("39.99")


async def test_a_person_sends_back_what_is_nobodys(payment: Workplace, stellar: Outer, ledger: Ledger) -> None:
    """Who manages one facility does not see it; a cashier may not."""
    id_ = ledger.add("5.0000000", None)
    await poll(payment, stellar)
    path, asked = f"/unmatched-transfers/{id_}/send-back", {"sent_back_as": "ab" * 32}
    async with payment.client("billing_manager", at=OTHER_FACILITY) as stranger:
        foreign = await stranger.post(path, json=asked)
        listed = (await stranger.get("/unmatched-transfers")).json()["items"]
    async with payment.client("cashier", at=None) as cashier:
        refused = await cashier.post(path, json=asked)
    async with payment.client("billing_manager", at=None) as manager:
        returned = await manager.post(path, json=asked)
    assert (foreign.status_code, listed, refused.status_code) == (404, [], 403)
    assert (returned.status_code, returned.json()["status"]) == (200, "sent_back")
    assert await waiting(payment) == []


async def test_a_transfer_pays_only_what_asks_for_one(payment: Workplace, stellar: Outer, ledger: Ledger) -> None:
    """Not a card payment, whatever a person says."""
    id_ = ledger.add("5.0000000", None)
    await poll(payment, stellar)
    async with payment.client("cashier", "billing_manager", at=None) as manager:
        card = {"invoice_id": str(INVOICE), "amount": {"amount": "5.00", "currency": "USD"}}
        payment_id = (await manager.post("/payments", json=card)).json()["payment_id"]
        reply = await manager.post(f"/unmatched-transfers/{id_}/assign", json={"payment_id": payment_id})
    assert (reply.status_code, reply.json()["type"]) == (409, "urn:nilecare:rule:TransferPaysWhatAsksForOne")


async def test_nobody_waits_for_a_transfer_that_cannot_come(payment: Workplace) -> None:
    """Without an account of ours, or in a currency that the asset does not count as."""
    asked = {"invoice_id": str(INVOICE), "amount": {"amount": "5.00", "currency": "USD"}}
    async with payment.client("cashier", at=FACILITY) as cashier:
        unknown = await cashier.post("/payments/transfer", json=asked)
        payment.app.state.outside = SETTINGS | {"stellar_currency": "EUR"}
        other = await cashier.post("/payments/transfer", json=asked)
    assert unknown.json()["type"] == "urn:nilecare:rule:ProviderIsUnknown"
    assert other.json()["type"] == "urn:nilecare:rule:AmountIsInAnotherCurrency"


@pytest.mark.parametrize(
    ("change", "status", "reason"),
    [
        ({}, "requires_action", None),
        ({"asset": Asset(code="USDC", issuer="GFORGER")}, "requires_action", "another_asset"),
        ({"asset": Asset(code="EURC", issuer=ISSUER)}, "requires_action", "another_asset"),
        ({"asset": Asset(code="USDC", issuer=None)}, "requires_action", "another_asset"),
        ({"memo": None}, None, "no_memo"),
        ({"memo": "?"}, None, "memo_unknown"),
        ({}, "cancelled", "payment_is_over"),
        ({}, "succeeded", "payment_is_over"),
        ({"quantity": Decimal("9.9999999")}, "requires_action", "underpaid"),
        ({"quantity": Decimal("10.0099999")}, "requires_action", None),
        ({"quantity": Decimal("10.0100000")}, "requires_action", "overpaid"),
    ],
)
def test_a_transfer_pays_by_memo_asset_issuer_and_amount(
    change: dict[str, Any], status: PaymentStatus | None, reason: Mismatch | None
) -> None:
    """All of them; with seven decimals, of which less than a cent too much is no money."""
    exact = Transfer(id="1", cursor=1, asset=OURS, quantity=Decimal("10.0000000"), memo="m", at=datetime.now(UTC))
    assert mismatch(exact.model_copy(update=change), OURS, usd("10.00") if status else None, status) == reason


@pytest.mark.parametrize(
    ("reason", "quantity", "rule"),
    [("another_asset", "5", TransferIsOfAnotherAsset), ("memo_unknown", "10.01", TransferIsMoreThanThePayment)],
)
def test_not_everything_can_be_assigned(reason: Mismatch, quantity: str, rule: type[RuleBroken]) -> None:
    """Worthless assets, and more than is asked for, are sent back."""
    with pytest.raises(rule):
        check_assigned(reason, Decimal(quantity), usd("10.00"))


def test_what_was_sent_back_is_not_assigned() -> None:
    """It is over."""
    with pytest.raises(TransferCannotBecome):
        TRANSFER.moved("sent_back", "assigned")
