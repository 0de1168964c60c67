"""The base of every table of clinical."""

from __future__ import annotations

from typing import Any, ClassVar

from sqlalchemy import Numeric
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase

from broker import Tables


class Base(Tables, DeclarativeBase):
    """Every table of clinical. Nothing is ever deleted from what is about a patient: the database refuses it."""

    type_annotation_map: ClassVar[dict[Any, Any]] = {dict[str, float]: JSONB, float: Numeric(6, 2, asdecimal=False)}
