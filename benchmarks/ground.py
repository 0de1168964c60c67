"""What both ways stand on: the same servers, the same event, the same effect."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from decimal import Decimal
from types import ModuleType
from urllib.parse import urlsplit
from uuid import UUID, uuid4

from sqlalchemy import MetaData, Text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from broker import Replica, Service, Settings, on
from broker._database import engine_for
from contracts.event import Event, StateEvent
from nilecare.addresses import Platform
from nilecare.provision import provision
from nilecare.stack import Servers


class Posted(Event, name="ledger.posted", version=1, key="account_id", publisher="ledger"):
    """An amount was posted to an account."""

    entry_id: UUID
    account_id: UUID
    amount: Decimal
    note: str


class AccountChanged(StateEvent, name="ledger.account.changed", version=1, key="account_id", publisher="ledger"):
    """An account's whole public state."""

    account_id: UUID
    owner: str
    note: str


class Base(DeclarativeBase):
    """The subscriber's tables."""

    metadata = MetaData()


class Entry(Base):
    """The effect of one posting."""

    __tablename__ = "entry"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    account_id: Mapped[UUID]
    amount: Mapped[Decimal]
    note: Mapped[str] = mapped_column(Text)


class AccountReference(Replica[AccountChanged], Base):
    """The subscriber's copy of an account."""

    __tablename__ = "account_reference"

    owner: Mapped[str] = mapped_column(Text)
    note: Mapped[str] = mapped_column(Text)


@on(Posted)
async def enter(event: Posted, session: AsyncSession) -> None:
    """Enters a posting."""
    session.add(Entry(id=event.entry_id, account_id=event.account_id, amount=event.amount, note=event.note))


def posting() -> Posted:
    """One posting, with about 430 bytes of data."""
    return Posted(entry_id=uuid4(), account_id=uuid4(), amount=Decimal("12.50"), note="n" * 280)


def account(version: int) -> AccountChanged:
    """One state of an account, with about 430 bytes of data."""
    return AccountChanged(account_id=uuid4(), owner="o" * 30, note="n" * 280, state_version=version)


def _module(name: str, **members: object) -> ModuleType:
    module = ModuleType(name)
    for member in members.values():
        member.__module__ = name  # type: ignore[attr-defined]
    vars(module).update(members)
    return module


LEDGER = Service(name="ledger", port=1, contracts=_module("ledger_contracts", posted=Posted, changed=AccountChanged))
READER = Service(
    name="reader",
    port=2,
    contracts=ModuleType("reader_contracts"),
    handlers=_module("reader_handlers", enter=enter),
    replicas=_module("reader_replicas", account=AccountReference),
)


@dataclass(frozen=True, slots=True)
class Ground:
    """Fresh databases and a virtual host, with a publisher's and a subscriber's accounts."""

    platform: Platform
    ledger: Settings
    reader: Settings

    @classmethod
    async def lay(cls, servers: Servers) -> Ground:
        """Makes them on these servers."""
        name = f"bench_{secrets.token_hex(4)}"
        platform = Platform(
            postgres_url=servers.postgres_url,
            amqp_url=urlsplit(servers.amqp_url)._replace(path=f"/{name}").geturl(),
            management_url=servers.management_url,
            secret=secrets.token_hex(16),
            prefix=name,
        )
        await provision(platform, [LEDGER, READER])
        ground = cls(platform, platform.settings_for(LEDGER), platform.settings_for(READER))
        engine = engine_for(ground.reader.database_url)
        async with engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        await engine.dispose()
        return ground
