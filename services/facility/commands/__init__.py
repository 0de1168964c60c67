"""What facility can be asked to do. Each command takes the session of its transaction and publishes into it."""

from services.facility.commands.houses import put_facility

__all__ = ["put_facility"]
