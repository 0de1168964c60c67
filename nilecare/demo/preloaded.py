"""Importing this imports every service."""

from __future__ import annotations

from nilecare.loading import loading
from nilecare.platform import services

with loading():
    services()
