"""Which services the platform has: one per folder of `services` that holds an `app.py`."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil

import services as _services
from broker import Service


def services() -> list[Service]:
    """Every service, by name."""
    names = sorted(module.name for module in pkgutil.iter_modules(_services.__path__) if module.ispkg)
    found = [name for name in names if importlib.util.find_spec(f"services.{name}.app")]
    return [importlib.import_module(f"services.{name}.app").service for name in found]
