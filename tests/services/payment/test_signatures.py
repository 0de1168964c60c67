"""Who may tell us what became of a payment."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nilecare.simulator.webhooks import signed
from services.payment.errors import WebhookIsNotGenuine
from services.payment.providers.signatures import TOLERANCE, check_signature

SECRET, BODY, NOW = "whsec_1", b'{"id": "evt_1"}', 1_700_000_000


def test_what_the_provider_signed_is_genuine() -> None:
    """Up to five minutes old, and up to five minutes ahead of our clock."""
    for at in (NOW - TOLERANCE, NOW, NOW + TOLERANCE):
        check_signature(SECRET, signed(SECRET, BODY, at), BODY, now=NOW)


@pytest.mark.parametrize("at", [NOW - TOLERANCE - 1, NOW + TOLERANCE + 1])
def test_an_old_signature_is_not_taken(at: int) -> None:
    """Whoever recorded a webhook cannot send it again later."""
    with pytest.raises(WebhookIsNotGenuine):
        check_signature(SECRET, signed(SECRET, BODY, at), BODY, now=NOW)


def test_one_of_several_signatures_is_enough() -> None:
    """While the provider changes secrets, it signs with both."""
    old, new = signed("old", BODY, NOW), signed(SECRET, BODY, NOW).split(",")[1]
    check_signature(SECRET, f"{old},{new}", BODY, now=NOW)


def test_the_known_answer() -> None:
    """HMAC-SHA256 over "<t>.<body>", computed with another tool."""
    header = "t=1700000000,v1=e7b45f5e06ace0f8a5e2419d7ddb3d854ce5a054382a69cae818565769abf60a"
    check_signature(SECRET, header, BODY, now=NOW)


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "t=",
        "v1=abc",
        f"t={NOW}",
        f"t={NOW},v1=",
        f"t={NOW},v0={'0' * 64}",
        f"t={NOW},t={NOW},v1=abc",
        f"t=-{NOW},v1=abc",
        "t=²,v1=abc",
        f"t={NOW},v1=é",
        "t=" + "9" * 2000,
        "t=" + "9" * 900 + ",v1=abc",
        signed("other", BODY, NOW),
        signed(SECRET, BODY + b" ", NOW),
    ],
)
def test_anything_else_is_not_genuine(header: str | None) -> None:
    """Missing, malformed, made with another secret, or over another body."""
    with pytest.raises(WebhookIsNotGenuine):
        check_signature(SECRET, header, BODY, now=NOW)


@given(header=st.text(max_size=100))
def test_no_header_breaks_the_check(header: str) -> None:
    """Whatever it holds, it is refused in one way."""
    with pytest.raises(WebhookIsNotGenuine):
        check_signature(SECRET, header, BODY, now=NOW)
