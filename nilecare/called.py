"""How whoever reads a hint calls this command again."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path


def called() -> str:
    """What was typed: `nilecare` where that is found on the PATH, else the path; a script that calls it in its own place
    says in NILECARE_CALLED what that is called."""
    typed = Path(sys.argv[0])
    if given := os.environ.get("NILECARE_CALLED"):
        return given
    is_found = (found := shutil.which("nilecare")) is not None and Path(found).resolve() == typed.resolve()
    return "nilecare" if is_found or typed.name != "nilecare" else os.path.relpath(typed)
