"""The base of every table of the lab."""

from __future__ import annotations

from sqlalchemy import ARRAY, Text
from sqlalchemy.orm import DeclarativeBase

from broker import Tables


class Base(Tables, DeclarativeBase):
    """Every table of the lab."""

    type_annotation_map = {list[str]: ARRAY(Text)}  # noqa: RUF012 (read by SQLAlchemy from the class)
