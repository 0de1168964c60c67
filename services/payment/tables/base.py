"""The base of every table of payment."""

from __future__ import annotations

from decimal import Decimal

from sqlalchemy import Numeric
from sqlalchemy.orm import DeclarativeBase

from broker import Tables


class Base(Tables, DeclarativeBase):
    """Every table of payment."""

    type_annotation_map = {Decimal: Numeric(14, 2)}  # noqa: RUF012 (read by SQLAlchemy from the class)
