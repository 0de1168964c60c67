"""The tables that operations owns."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Index, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from broker import Tables
from contracts.operations import Operation
from services.operations.rules import RequestState


class Base(Tables, DeclarativeBase):
    """Every table of operations."""


class PageSession(Base):
    """A browser that is signed in."""

    __tablename__ = "page_sessions"
    __table_args__ = (Index(None, "expires_at"),)

    session_id: Mapped[str] = mapped_column(primary_key=True, comment="hash of what the cookie holds")
    sealed: Mapped[str] = mapped_column(comment="tokens of auth's, for whoever has the cookie")
    expires_at: Mapped[datetime]


class OperationRequest(Base):
    """What somebody asked a service for, and what it answered."""

    __tablename__ = "operation_requests"
    __table_args__ = (Index(None, "asked_at"),)

    request_id: Mapped[UUID] = mapped_column(primary_key=True)
    service: Mapped[str]
    operation: Mapped[Operation]
    asked_by: Mapped[str]
    why: Mapped[str]
    asked_at: Mapped[datetime]
    until: Mapped[datetime] = mapped_column(
        server_default=text("now()"), comment="the service refuses what it has not begun by then"
    )
    withdrawn_by: Mapped[str | None]
    state: Mapped[RequestState]
    refusal: Mapped[str | None]
    answer: Mapped[Any] = mapped_column(JSONB(none_as_null=True), nullable=True)
    sealed: Mapped[str | None] = mapped_column(comment="for the key of whoever asked alone")
