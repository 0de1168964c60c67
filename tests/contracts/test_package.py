"""Another team can use the contracts with pydantic and nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import contracts

OF_PYDANTIC = {"annotated_types", "pydantic", "pydantic_core", "typing_extensions", "typing_inspection"}
OF_THE_MACHINE = {"sitecustomize", "usercustomize"}
IMPORT_ALL = """
import importlib, pkgutil, sys
before = set(sys.modules)
import contracts
for module in pkgutil.iter_modules(contracts.__path__):
    importlib.import_module(f"contracts.{module.name}")
loaded = {name.partition(".")[0] for name in sys.modules.keys() - before} - set(sys.stdlib_module_names)
print(*sorted(name for name in loaded if not name.startswith("_")))
"""


def test_the_contracts_bring_nothing_but_pydantic() -> None:
    """Importing every contract loads no package beyond the standard library and what pydantic itself needs."""
    root = Path(contracts.__file__).parent.parent
    shown = subprocess.run([sys.executable, "-c", IMPORT_ALL], cwd=root, capture_output=True, text=True, check=True)
    assert set(shown.stdout.split()) - OF_PYDANTIC - OF_THE_MACHINE == {"contracts"}
