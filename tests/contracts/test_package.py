"""Another team can use the contracts with pydantic and nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import contracts

IMPORT_ALL = """
import importlib, pkgutil, sys
before = set(sys.modules)
import pydantic, pydantic.json_schema
allowed = {name.partition(".")[0] for name in sys.modules} | {"contracts"}
import contracts
for module in pkgutil.iter_modules(contracts.__path__):
    importlib.import_module(f"contracts.{module.name}")
brought = {name.partition(".")[0] for name in sys.modules} - allowed - set(sys.stdlib_module_names)
print(sorted(brought))
"""


def test_the_contracts_bring_nothing_but_pydantic() -> None:
    """Importing every contract loads no package beyond the standard library and what pydantic itself needs."""
    root = Path(contracts.__file__).parent.parent
    shown = subprocess.run([sys.executable, "-c", IMPORT_ALL], cwd=root, capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"
