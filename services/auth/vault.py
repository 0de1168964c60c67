"""What auth must be able to read again but nobody else may: sealed under a secret that its database does not have.

Setting: `auth_key_secret`, any long random text. Whoever changes it rotates the key and has users enrol their apps anew.
"""

from __future__ import annotations

import hashlib
import hmac

from joserfc import jwe
from joserfc.jwk import OctKey

SECRET = "auth_key_secret"  # noqa: S105 (its name, not the secret)
HEADER = {"alg": "dir", "enc": "A256GCM"}


class Vault:
    """Seals and opens texts: JWE (RFC 7516), AES-256-GCM."""

    def __init__(self, secret: str) -> None:
        self._key = OctKey.import_key(hmac.digest(secret.encode(), b"nilecare auth vault", hashlib.sha256))

    def seal(self, text: str) -> str:
        """The text, unreadable."""
        return jwe.encrypt_compact(HEADER, text, self._key)

    def open(self, sealed: str) -> str:
        """The text again. Raises JoseError when it was sealed under another secret, or changed."""
        return (jwe.decrypt_compact(sealed, self._key).plaintext or b"").decode()
