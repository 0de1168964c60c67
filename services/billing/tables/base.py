"""The base of every table of billing."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

from sqlalchemy import Date, DateTime, MetaData, Numeric, Text
from sqlalchemy.orm import DeclarativeBase

from contracts.billing import InvoiceKind, InvoiceStatus


class Base(DeclarativeBase):
    """Every table of billing."""

    metadata = MetaData(
        naming_convention={
            "pk": "%(table_name)s_pkey",
            "uq": "%(table_name)s_%(column_0_N_name)s_key",
            "ix": "%(table_name)s_%(column_0_N_name)s_idx",
            "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
        }
    )
    type_annotation_map = {  # noqa: RUF012 (read by SQLAlchemy from the class)
        str: Text,
        InvoiceStatus: Text,
        InvoiceKind: Text,
        Decimal: Numeric(14, 2),
        date: Date,
        datetime: DateTime(timezone=True),
    }
