"""docs/testing-flows.md: its tests are put into folders of their own, beside the recording, and pass."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from nilecare.platform import services
from tests.docs.pages import ROOT, Block, blocks

FOLDERS = {"money": 3, "billing_alone": 2}
"""How many tests the page has in each."""


def of(folder: str) -> list[Block]:
    """The files that the page puts into a folder."""
    return [block for block in blocks("docs/testing-flows.md") if (block.file or "").startswith(f"{folder}/")]


@pytest.mark.timeout(300)
@pytest.mark.usefixtures("servers")
@pytest.mark.parametrize(("folder", "tests"), FOLDERS.items())
def test_the_page_works(tmp_path: Path, folder: str, tests: int) -> None:
    """As it stands there, in a folder of its own, on the servers of this run."""
    for block in of(folder):
        block.put_into(tmp_path)
    shutil.copy(ROOT / "tests/alone/discharge.jsonl", tmp_path / folder)
    settings = ["-c", str(ROOT / "pyproject.toml"), f"--rootdir={tmp_path}", "-o", f"pythonpath={tmp_path}"]
    without = ["-p", "no:cacheprovider", "-p", "no:schemathesis"]
    command = [sys.executable, "-m", "pytest", "-q", *without, *settings, str(tmp_path / folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert f"{tests} passed" in done.stdout


def test_the_folders_are_no_services() -> None:
    """Names that the page makes up; it has no other files."""
    assert not FOLDERS.keys() & {service.name for service in services()}
    made = [block.file for block in blocks("docs/testing-flows.md") if block.file]
    assert made == [block.file for folder in FOLDERS for block in of(folder)]
