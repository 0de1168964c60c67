"""The tables that facility owns."""

from services.facility.tables.base import Base
from services.facility.tables.houses import Facility

__all__ = ["Base", "Facility"]
