"""The base of every table of auth."""

from __future__ import annotations

from sqlalchemy.orm import DeclarativeBase

from broker import Tables


class Base(Tables, DeclarativeBase):
    """Every table of auth."""
