"""docs/testing-flows.md, "If you own one side": its tests are put into a folder beside its recording, and pass."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from nilecare.platform import services
from tests.docs.pages import ROOT, blocks

FOLDER = "billing_alone"
OWN = [block for block in blocks("docs/testing-flows.md") if (block.file or "").startswith(f"{FOLDER}/")]


@pytest.mark.timeout(300)
@pytest.mark.usefixtures("servers")
def test_the_page_works(tmp_path: Path) -> None:
    """As it stands there, in a folder of its own, on the servers of this run."""
    for block in OWN:
        block.put_into(tmp_path)
    shutil.copy(ROOT / "tests/alone/discharge.jsonl", tmp_path / FOLDER)
    settings = ["-c", str(ROOT / "pyproject.toml"), f"--rootdir={tmp_path}", "-o", f"pythonpath={tmp_path}"]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *settings, str(tmp_path / FOLDER)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "2 passed" in done.stdout


def test_the_folder_is_no_service() -> None:
    """A name that the page makes up."""
    assert FOLDER not in {service.name for service in services()}
    made = ["conftest.py", "test_discharges.py", "test_recorded.py"]
    assert [block.file for block in OWN] == [f"{FOLDER}/{name}" for name in made]
