"""What the publisher says."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from contracts.event import Event, StateEvent


class Posted(Event, name="ledger.posted", version=1, key="account_id"):
    """An amount was posted to an account."""

    entry_id: UUID
    account_id: UUID
    amount: Decimal
    posted_at: datetime
    note: str


class AccountChanged(StateEvent, name="ledger.account.changed", version=1, key="account_id"):
    """An account's whole public state."""

    account_id: UUID
    owner: str
    note: str
