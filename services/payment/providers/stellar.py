"""The Stellar network, read through Horizon: nobody is asked for money, and nobody tells; we read on where we stopped.

Settings of the world outside: `stellar` (Horizon's address), `stellar_account` (ours; without it nobody is asked to pay so),
`stellar_asset_code` and `stellar_asset_issuer` (what we take), `stellar_currency` (what one of it counts as; USD when not
given), `stellar_poll_seconds` (between two readings; 15 when not given).

Source: https://developers.stellar.org/docs/data/apis/horizon (Retrieve an Account's Payments; Pagination).
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import httpx
from pydantic import BaseModel, Field

from broker import Later, World
from services.payment.providers.provider import Provider
from services.payment.rules import Asset, Transfer

PAGE = 200
TEXT = "text"
ARRIVALS = frozenset({"payment", "path_payment_strict_send", "path_payment_strict_receive"})


class StellarProvider(Provider):
    """Digital assets. What goes back is sent by hand, to who a second person says it came from."""

    method = "digital_asset"


class TransfersAsked(BaseModel):
    """Read on from here."""

    cursor: int


class TransfersGot(BaseModel):
    """What arrived since, as far as one page goes, and how to go on."""

    transfers: list[Transfer]
    cursor: int
    asset: Asset
    pause: float


class Transaction(BaseModel):
    """What an operation belongs to."""

    memo_type: str = "none"
    memo: str | None = None


class Record(BaseModel):
    """An operation on our account."""

    id: str
    paging_token: int
    type: str
    created_at: datetime
    transaction_successful: bool = True
    to: str | None = None
    asset_code: str | None = None
    asset_issuer: str | None = None
    amount: Annotated[str, Field(max_length=30)] = "0"
    transaction: Transaction = Transaction()

    def transfer(self) -> Transfer:
        """What it is to us. Only a memo of printable text can be ours; what has no asset code is the network's own (XLM)."""
        memo = self.transaction.memo if self.transaction.memo_type == TEXT else None
        return Transfer.model_validate(
            {
                "id": self.id,
                "cursor": self.paging_token,
                "asset": {"code": self.asset_code or "XLM", "issuer": self.asset_issuer},
                "quantity": self.amount,
                "memo": memo if memo and memo.isprintable() else None,
                "at": self.created_at,
            }
        )


async def read_on(asked: TransfersAsked, world: World) -> TransfersGot:
    """What arrived at our account since a cursor, in the ledger's order. Raises Later when Horizon does not answer."""
    account = world["stellar_account"]
    query = {"cursor": str(asked.cursor), "order": "asc", "limit": str(PAGE), "join": "transactions"}
    records = await _records(world, f"accounts/{account}/payments", query)
    arrived = [record for record in records if record.type in ARRIVALS and record.to == account]
    return TransfersGot(
        transfers=[record.transfer() for record in arrived if record.transaction_successful],
        cursor=max([asked.cursor, *(record.paging_token for record in records)]),
        asset=Asset(code=world["stellar_asset_code"], issuer=world["stellar_asset_issuer"]),
        pause=0 if len(records) == PAGE else float(world.settings.get("stellar_poll_seconds", 15)),
    )


async def _records(world: World, path: str, query: dict[str, str]) -> list[Record]:
    try:
        reply = (await world.http.get(f"{world['stellar']}/{path}", params=query)).raise_for_status()
    except httpx.HTTPError as failure:
        raise Later("Horizon does not answer") from failure
    page: dict[str, Any] = reply.json()
    return [Record.model_validate(record) for record in page["_embedded"]["records"]]
