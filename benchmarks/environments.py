"""The peers' virtual environments: made on the first run, made anew when their requirements change."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from benchmarks.contenders import HERE, Contender

REQUIREMENTS = HERE / "peers" / "requirements"


def missing(contenders: Iterable[Contender], say: Callable[[str], None]) -> dict[str, str]:
    """Makes the environments of these contenders; gives, by requirements, the reason for each that cannot be installed."""
    reasons: dict[str, str] = {}
    for requirements in sorted({each.requirements for each in contenders if each.requirements}):
        contender = next(each for each in contenders if each.requirements == requirements)
        say(f"installing {requirements.removesuffix('.txt')}")
        reason = make(contender.environment, REQUIREMENTS / requirements)
        if reason:
            reasons[requirements] = reason
    return reasons


def make(environment: Path, requirements: Path) -> str | None:
    """Makes one, unless it is there as the file asks for; gives pip's last line when that fails."""
    stamp = environment / "requirements.sha256"
    wanted = hashlib.sha256(requirements.read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text() == wanted:
        return None
    shutil.rmtree(environment, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    pip = [str(environment / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    command = [*pip, "--requirement", str(requirements)]
    installed = subprocess.run(command, capture_output=True, text=True, check=False)
    if installed.returncode:
        return (installed.stderr.strip().splitlines() or ["pip failed"])[-1]
    stamp.write_text(wanted)
    return None
