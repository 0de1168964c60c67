"""PayPal's webhooks: each transmission is signed with RSA and SHA-256, by a key whose certificate it names.

What is signed is "<transmission id>|<time>|<webhook id>|<CRC-32 of the body>"; the webhook id is ours and never sent, so that
what was signed for another merchant does not fit. Source: https://developer.paypal.com/api/rest/webhooks/rest/ (self
verification).
"""

from __future__ import annotations

import binascii
import re
import zlib
from base64 import b64decode
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509 import Certificate, load_pem_x509_certificate

from services.payment.errors import WebhookIsNotGenuine

ALGORITHM = "SHA256withRSA"

OLDEST = timedelta(days=3)
"""How long PayPal sends again what was not taken. What somebody else repeats in that time is known by its event id."""

AHEAD = timedelta(minutes=5)
"""How far PayPal's clock may be ahead of ours."""

HOST = "api.paypal.com"
"""Whose certificates count, unless the settings name another host, such as the sandbox's."""

CERTIFICATE = re.compile(r"/v1/notifications/certs/CERT-[0-9A-Za-z\-]{1,100}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Transmission:
    """What the headers of a webhook say, and its body."""

    id: str
    time: str
    signature: str
    algorithm: str
    certificate_url: str
    body: bytes

    def check_source(self, host: str, *, now: datetime) -> None:
        """Returns if it is recent, and names a certificate of `host`. Raises WebhookIsNotGenuine."""
        if self.algorithm != ALGORITHM or not -AHEAD <= now - self._at() <= OLDEST:
            raise WebhookIsNotGenuine
        check_certificate_url(self.certificate_url, host)

    def check_signature(self, certificate: str, webhook_id: str, *, now: datetime) -> None:
        """Returns if it was signed with the key of this certificate (PEM), which is valid `now`. Raises WebhookIsNotGenuine."""
        signed = f"{self.id}|{self.time}|{webhook_id}|{zlib.crc32(self.body)}".encode()
        try:
            key = _key_of(load_pem_x509_certificate(certificate.encode()), now)
            key.verify(b64decode(self.signature, validate=True), signed, PKCS1v15(), SHA256())
        except (InvalidSignature, ValueError, binascii.Error) as refused:
            raise WebhookIsNotGenuine from refused

    def _at(self) -> datetime:
        try:
            at = datetime.fromisoformat(self.time)
        except ValueError as malformed:
            raise WebhookIsNotGenuine from malformed
        return at if at.tzinfo else at.replace(tzinfo=UTC)


def check_certificate_url(url: str, host: str) -> None:
    """Nobody but PayPal says with which key PayPal signs. Raises WebhookIsNotGenuine."""
    try:
        parts = urlsplit(url)
    except ValueError as malformed:
        raise WebhookIsNotGenuine from malformed
    if url != f"https://{host}{parts.path}" or not CERTIFICATE.fullmatch(parts.path):
        raise WebhookIsNotGenuine


def _key_of(certificate: Certificate, now: datetime) -> RSAPublicKey:
    """Raises WebhookIsNotGenuine."""
    key = certificate.public_key()
    is_valid = certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc
    if not is_valid or not isinstance(key, RSAPublicKey):
        raise WebhookIsNotGenuine
    return key
