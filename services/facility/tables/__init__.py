"""The tables that facility owns."""

from services.facility.tables.base import Base
from services.facility.tables.beds import Bed, BedStay
from services.facility.tables.houses import Department, Facility, FacilitySetting, Ward
from services.facility.tables.requests import BedRequest

__all__ = ["Base", "Bed", "BedRequest", "BedStay", "Department", "Facility", "FacilitySetting", "Ward"]
