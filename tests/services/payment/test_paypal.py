"""Paying by PayPal: an order that its payer approves, and transmissions that prove where they come from."""

from __future__ import annotations

import json
import zlib
from base64 import b64encode
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from sqlalchemy import select

from contracts.billing import InvoiceVoided
from contracts.payment import PaymentCancelled, PaymentFailed, PaymentSucceeded, RefundSucceeded
from services.payment.commands.certificates import FETCHED_AT_ONCE
from services.payment.errors import WebhookIsNotGenuine
from services.payment.providers.transmissions import AHEAD, HOST, OLDEST, Transmission, check_certificate_url
from services.payment.tables import PaymentRefund, PaymentWebhook
from tests.services.kit import Workplace
from tests.services.payment.given import FACILITY, INVOICE, PATIENT, payment_of, refund_asked, usd
from tests.services.payment.outer import Outer

ORDER, CAPTURE, WEBHOOK = "5O190127TN364715T", "3C679366HH908993F", "9XL90610J3647323C"
PATH = "/v1/notifications/certs/CERT-360caa42-fca2a594-a5cafa77"
URL = f"https://{HOST}{PATH}"
ORDERS, TAKE, BACK = "/v2/checkout/orders", f"/v2/checkout/orders/{ORDER}/capture", f"/v2/payments/captures/{CAPTURE}/refund"
SETTINGS = {"paypal": "https://paypal.test", "paypal_client_id": "id", "paypal_client_secret": "secret"}
KEY, STRANGERS_KEY = (rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2))
NOW = datetime.now(UTC)


def certificate(key: rsa.RSAPrivateKey = KEY, *, until: datetime = NOW + timedelta(days=1)) -> str:
    """A certificate of this key, as PEM."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "messageverificationcerts.paypal.com")])
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
    dated = made.not_valid_before(NOW - timedelta(days=30)).not_valid_after(until)
    return dated.sign(key, SHA256()).public_bytes(Encoding.PEM).decode()


CERTIFICATE = certificate()


def transmitted(body: bytes, *, key: rsa.RSAPrivateKey = KEY, webhook: str = WEBHOOK, at: datetime = NOW) -> Transmission:
    """A transmission of this body, signed."""
    time = at.strftime("%Y-%m-%dT%H:%M:%SZ")
    signed = f"transmission-1|{time}|{webhook}|{zlib.crc32(body)}".encode()
    signature = b64encode(key.sign(signed, PKCS1v15(), SHA256())).decode()
    return Transmission(
        id="transmission-1", time=time, signature=signature, algorithm="SHA256withRSA", certificate_url=URL, body=body
    )


def check(sent: Transmission, *, pem: str = CERTIFICATE, now: datetime = NOW) -> None:
    sent.check_source(HOST, now=now)
    sent.check_signature(pem, WEBHOOK, now=now)


@pytest.fixture
async def paypal(payment: Workplace) -> AsyncIterator[Outer]:
    """It opens orders, has its certificate, and takes and gives back what it is asked for."""
    payment.app.state.outside = {"paypal_webhook_id": WEBHOOK}
    async with Outer.of(payment, SETTINGS) as outer:
        outer.will(ORDERS, 201, id=ORDER, status="PAYER_ACTION_REQUIRED")
        outer.will(TAKE, 201, **order("COMPLETED", capture("COMPLETED")))
        outer.will(BACK, 201, id="1JU08902781691411", status="COMPLETED")
        outer.answers[PATH] = lambda request: httpx.Response(200, text=CERTIFICATE)
        yield outer


def capture(status: str, payment_id: UUID | None = None) -> dict[str, Any]:
    own = {"custom_id": str(payment_id)} if payment_id else {}
    return {"id": CAPTURE, "status": status, "amount": {"currency_code": "USD", "value": "40.00"}} | own


def order(status: str, *captures: dict[str, Any], payment_id: UUID | None = None) -> dict[str, Any]:
    unit = {"payments": {"captures": list(captures)}} | ({"custom_id": str(payment_id)} if payment_id else {})
    return {"id": ORDER, "status": status, "purchase_units": [unit]}


async def opened(payment: Workplace, paypal: Outer) -> UUID:
    """A payment whose order is open, to be approved by its payer."""
    asked = {"invoice_id": str(INVOICE), "amount": {"amount": "40.00", "currency": "USD"}}
    async with payment.client("cashier", at=FACILITY) as cashier:
        reply = await cashier.post("/payments/wallet", json=asked)
    assert (reply.status_code, reply.json()["status"], reply.json()["method"]) == (201, "processing", "wallet")
    await paypal.work()
    payment_id = UUID(reply.json()["payment_id"])
    assert (await payment_of(payment, payment_id)).provider_payment_id == ORDER
    return payment_id


async def tell(payment: Workplace, type_: str, resource: dict[str, Any], *, id_: str = "WH-1", **signed: Any) -> int:
    """The status of our reply to a webhook."""
    body = json.dumps({"id": id_, "event_type": type_, "resource": resource}).encode()
    sent = transmitted(body, **signed)
    headers = {
        "PayPal-Transmission-Id": sent.id,
        "PayPal-Transmission-Time": sent.time,
        "PayPal-Transmission-Sig": sent.signature,
        "PayPal-Auth-Algo": sent.algorithm,
        "PayPal-Cert-Url": sent.certificate_url,
        "Content-Type": "application/json",
    }
    async with httpx.AsyncClient(transport=httpx.ASGITransport(payment.app), base_url="http://payment/api/v1") as caller:
        return (await caller.post("/webhooks/paypal", content=body, headers=headers)).status_code


async def told(payment: Workplace, paypal: Outer, type_: str, resource: dict[str, Any], *, id_: str = "WH-1") -> None:
    """PayPal tells until it is heard."""
    if await tell(payment, type_, resource, id_=id_) == 503:
        await paypal.work()
        assert await tell(payment, type_, resource, id_=id_) == 204
    await paypal.work()


async def webhooks(payment: Workplace) -> list[str]:
    async with payment.transaction() as session:
        return list(await session.scalars(select(PaymentWebhook.status)))


async def test_an_approved_order_is_captured_once(payment: Workplace, paypal: Outer) -> None:
    """However often it is told; what names the payment from then on is the capture, as settlements do."""
    payment_id = await opened(payment, paypal)
    for _ in range(2):
        await told(payment, paypal, "CHECKOUT.ORDER.APPROVED", order("APPROVED", payment_id=payment_id))
    await told(payment, paypal, "PAYMENT.CAPTURE.COMPLETED", capture("COMPLETED", payment_id), id_="WH-2")
    [event] = await payment.published(PaymentSucceeded)
    assert (event.payment_id, event.amount, event.method) == (payment_id, usd("40.00"), "wallet")
    assert (await payment_of(payment, payment_id)).provider_payment_id == CAPTURE
    assert [call.url.path for call in paypal.calls].count(TAKE) == 1
    assert await webhooks(payment) == ["applied", "ignored"]


async def test_a_certificate_is_fetched_outside_the_request(payment: Workplace, paypal: Outer) -> None:
    """The first webhook that names it is to be sent again; it is asked for once."""
    assert [await tell(payment, "PAYMENT.SALE.COMPLETED", {}) for _ in range(2)] == [503, 503]
    assert paypal.calls == []
    await paypal.work()
    assert await tell(payment, "PAYMENT.SALE.COMPLETED", {}) == 204
    assert [str(call.url) for call in paypal.calls] == [URL]
    assert await webhooks(payment) == ["ignored"]


async def test_a_certificate_that_does_not_exist_is_forgotten(payment: Workplace, paypal: Outer) -> None:
    """Strangers who name many do not keep PayPal's own from being fetched."""
    paypal.will(PATH, 404)
    for _ in range(FETCHED_AT_ONCE + 1):
        assert await tell(payment, "PAYMENT.SALE.COMPLETED", {}) == 503
        await paypal.work()
    assert len(paypal.calls) == FETCHED_AT_ONCE + 1


async def test_what_is_not_genuine_leaves_no_trace(payment: Workplace, paypal: Outer) -> None:
    """Signed with another key, for another merchant, or when we have no webhook: 400."""
    payment_id = await opened(payment, paypal)
    resource = capture("COMPLETED", payment_id)
    await tell(payment, "PAYMENT.CAPTURE.COMPLETED", resource)
    await paypal.work()
    assert await tell(payment, "PAYMENT.CAPTURE.COMPLETED", resource, key=STRANGERS_KEY) == 400
    assert await tell(payment, "PAYMENT.CAPTURE.COMPLETED", resource, webhook="ANOTHER") == 400
    payment.app.state.outside = {}
    assert await tell(payment, "PAYMENT.CAPTURE.COMPLETED", resource) == 400
    assert (await webhooks(payment), await payment.published(PaymentSucceeded)) == ([], [])


async def test_a_lost_answer_is_asked_for_again_under_the_same_id(payment: Workplace, paypal: Outer) -> None:
    """PayPal knows the PayPal-Request-Id: the order is opened once."""
    answer = paypal.answers[ORDERS]
    paypal.loses(ORDERS)
    async with payment.client("cashier", at=FACILITY) as cashier:
        asked = {"invoice_id": str(INVOICE), "amount": {"amount": "40.00", "currency": "USD"}}
        await cashier.post("/payments/wallet", json=asked)
    await paypal.workers.run_once()
    await paypal.workers.idle()
    assert await payment.published(PaymentFailed) == []
    paypal.answers[ORDERS] = answer
    await paypal.work()
    first, again = paypal.calls[0], paypal.calls[-1]
    assert len(paypal.calls) > 1
    assert first.headers["PayPal-Request-Id"] == again.headers["PayPal-Request-Id"]
    assert "Nour" not in first.content.decode()


async def test_an_order_captured_before_is_read(payment: Workplace, paypal: Outer) -> None:
    """The refusal to take it twice is no failure: the order says what was taken."""
    payment_id = await opened(payment, paypal)
    paypal.will(TAKE, 422, name="UNPROCESSABLE_ENTITY", details=[{"issue": "ORDER_ALREADY_CAPTURED"}])
    paypal.will(f"{ORDERS}/{ORDER}", **order("COMPLETED", capture("COMPLETED")))
    await told(payment, paypal, "CHECKOUT.ORDER.APPROVED", order("APPROVED", payment_id=payment_id))
    assert (await payment_of(payment, payment_id)).status == "succeeded"


async def test_a_declined_instrument_fails_the_payment(payment: Workplace, paypal: Outer) -> None:
    """With PayPal's issue as the reason."""
    payment_id = await opened(payment, paypal)
    paypal.will(TAKE, 422, name="UNPROCESSABLE_ENTITY", details=[{"issue": "INSTRUMENT_DECLINED"}])
    await told(payment, paypal, "CHECKOUT.ORDER.APPROVED", order("APPROVED", payment_id=payment_id))
    assert [event.reason for event in await payment.published(PaymentFailed)] == ["instrument_declined"]


async def test_an_order_approved_for_a_voided_invoice_is_not_captured(payment: Workplace, paypal: Outer) -> None:
    """Nobody pays an invoice that never counted."""
    payment_id = await opened(payment, paypal)
    await payment.deliver(InvoiceVoided(invoice_id=INVOICE, patient_id=PATIENT, facility_id=FACILITY, reason="wrong"))
    await told(payment, paypal, "CHECKOUT.ORDER.APPROVED", order("APPROVED", payment_id=payment_id))
    assert [event.payment_id for event in await payment.published(PaymentCancelled)] == [payment_id]
    assert TAKE not in [call.url.path for call in paypal.calls]


async def test_a_refund_goes_back_through_paypal(payment: Workplace, paypal: Outer) -> None:
    """Of the capture, and is told once: by the answer or by the webhook."""
    payment_id = await opened(payment, paypal)
    await told(payment, paypal, "CHECKOUT.ORDER.APPROVED", order("APPROVED", payment_id=payment_id))
    refund = await refund_asked(payment, await payment_of(payment, payment_id), "15.00")
    await paypal.work()
    back = {"id": "1JU08902781691411", "status": "COMPLETED", "custom_id": f"{payment_id}:{refund.refund_id}"}
    await told(payment, paypal, "PAYMENT.CAPTURE.REFUNDED", back, id_="WH-2")
    [event] = await payment.published(RefundSucceeded)
    assert (event.refund_id, event.amount) == (refund.refund_id, usd("15.00"))
    async with payment.transaction() as session:
        assert (await PaymentRefund.seen(session, refund.refund_id)).provider_refund_id == "1JU08902781691411"


def test_what_paypal_signed_is_genuine() -> None:
    """For as long as PayPal sends it again, and a little ahead of our clock."""
    for at in (NOW - OLDEST + timedelta(seconds=1), NOW, NOW + AHEAD - timedelta(seconds=1)):
        check(transmitted(b"{}", at=at))


@pytest.mark.parametrize("at", [NOW - OLDEST - timedelta(seconds=1), NOW + AHEAD + timedelta(seconds=1)])
def test_an_old_transmission_is_not_taken(at: datetime) -> None:
    """Nor one from the future."""
    with pytest.raises(WebhookIsNotGenuine):
        check(transmitted(b"{}", at=at))


@pytest.mark.parametrize(
    "change",
    [
        {"id": "transmission-2"},
        {"body": b"{ }"},
        {"time": "yesterday"},
        {"signature": "é"},
        {"signature": ""},
        {"algorithm": "SHA1withRSA"},
    ],
)
def test_a_changed_transmission_is_not_genuine(change: dict[str, Any]) -> None:
    """In its id, body, time, signature or algorithm."""
    with pytest.raises(WebhookIsNotGenuine):
        check(replace(transmitted(b"{}"), **change))


@pytest.mark.parametrize("pem", [certificate(STRANGERS_KEY), certificate(until=NOW - timedelta(days=1)), "no certificate"])
def test_another_or_an_expired_certificate_proves_nothing(pem: str) -> None:
    """Nor does what is none."""
    with pytest.raises(WebhookIsNotGenuine):
        check(transmitted(b"{}"), pem=pem)


@pytest.mark.parametrize(
    "url",
    [
        "",
        f"http://{HOST}{PATH}",
        f"https://{HOST}.evil.test{PATH}",
        f"https://{HOST}@evil.test{PATH}",
        f"https://{HOST}:8443{PATH}",
        f"https://evil.test{PATH}",
        f"https://{HOST}/v1/notifications/certs/../../CERT-1",
        f"{URL}?url=evil",
        f"{URL}#x",
        "https://[",
    ],
)
def test_only_paypals_host_says_what_paypal_signs_with(url: str) -> None:
    """Over TLS, at the place where its certificates are."""
    with pytest.raises(WebhookIsNotGenuine):
        check_certificate_url(url, HOST)
