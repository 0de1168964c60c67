"""Who moves money for us: what is common to all, and an adapter for each.

An adapter is a `Provider`, listed here by its code in the table `payment_providers`. What a provider says of its own accord has
a route of its own in `api/webhooks.py`, which proves it genuine in that provider's way and turns it into a `Notice`.
"""

from __future__ import annotations

from collections.abc import Mapping

from services.payment.errors import ProviderIsUnknown
from services.payment.providers.card import CardProvider
from services.payment.providers.mpesa import MpesaProvider
from services.payment.providers.paypal import PaypalProvider
from services.payment.providers.provider import (
    CARD,
    MPESA,
    PAYPAL,
    STELLAR,
    Authorisation,
    Capture,
    Evidence,
    LookUp,
    Notice,
    Prompt,
    Provider,
    Refund,
    Release,
    Rumour,
)
from services.payment.providers.stellar import StellarProvider, TransfersAsked, TransfersGot

PROVIDERS: Mapping[str, Provider] = {
    CARD: CardProvider(),
    PAYPAL: PaypalProvider(),
    MPESA: MpesaProvider(),
    STELLAR: StellarProvider(),
}


def provider_of(code: str) -> Provider:
    """The adapter. Raises ProviderIsUnknown."""
    if code not in PROVIDERS:
        raise ProviderIsUnknown(provider=code)
    return PROVIDERS[code]


__all__ = [
    "CARD",
    "MPESA",
    "PAYPAL",
    "PROVIDERS",
    "STELLAR",
    "Authorisation",
    "Capture",
    "Evidence",
    "LookUp",
    "Notice",
    "Prompt",
    "Provider",
    "Refund",
    "Release",
    "Rumour",
    "TransfersAsked",
    "TransfersGot",
    "provider_of",
]
