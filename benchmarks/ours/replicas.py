"""The subscriber's copies, for the workload `replica`."""

from __future__ import annotations

from sqlalchemy import MetaData, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from benchmarks.ours.ledger import AccountChanged
from broker import Replica


class Base(DeclarativeBase):
    """The subscriber's replicas."""

    metadata = MetaData()


class AccountReference(Replica[AccountChanged], Base):
    """A copy of an account."""

    __tablename__ = "account_reference"

    owner: Mapped[str] = mapped_column(Text)
    note: Mapped[str] = mapped_column(Text)
