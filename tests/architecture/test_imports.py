"""What the import rules cannot say by themselves, and that they bite."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import grimp
import pytest

import broker

ROOT = Path(__file__).parents[2]
PACKAGES = ("contracts", "broker", "services", "nilecare")

# Imports every module named on the command line and prints what that did to the world outside.
WATCHED_IMPORT = """
import importlib, json, sys
DEEDS = {"socket.connect", "socket.bind", "socket.getaddrinfo", "subprocess.Popen", "os.system", "os.fork",
         "os.mkdir", "os.remove", "os.rename", "_thread.start_new_thread"}
seen, module = [], ""
sys.dont_write_bytecode = True
sys.addaudithook(lambda deed, arguments: deed in DEEDS and seen.append(f"{module}: {deed}"))
for module in sys.argv[1:]:
    importlib.import_module(module)
print(json.dumps(seen))
"""


def modules() -> list[str]:
    """Every module of the project that can be imported; migrations are run, not imported."""
    files = (file for package in PACKAGES for file in (ROOT / package).rglob("*.py"))
    names = (file.relative_to(ROOT).with_suffix("").parts for file in files)
    return sorted(
        ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        for parts in names
        if "migrations" not in parts and parts[-1] != "__main__"
    )


def test_importing_any_module_does_nothing() -> None:
    """An import opens no connection, changes no file, starts no process and no thread."""
    done = subprocess.run(
        [sys.executable, "-c", WATCHED_IMPORT, *modules()], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == []


def test_no_module_of_the_backbone_is_out_of_reach() -> None:
    """Every private module is reached from the door, or from the command."""
    graph = grimp.build_graph("broker", "nilecare", include_external_packages=False)
    private = {module for module in graph.modules if module.startswith("broker._")}
    reached = graph.find_upstream_modules("broker") | graph.find_upstream_modules("nilecare", as_package=True)
    assert {module for module in private - reached if not graph.find_children(module)} == set()


def test_the_door_names_everything_it_offers() -> None:
    """`broker.__all__` is all that one sees on the door, each once."""
    offered = {name for name in vars(broker) if not name.startswith("_")}
    modules_seen = {name for name in offered if type(vars(broker)[name]).__name__ == "module"}
    assert set(broker.__all__) == offered - modules_seen - {"annotations"}
    assert len(broker.__all__) == len(set(broker.__all__))


@pytest.mark.parametrize(
    ("place", "line", "rule"),
    [
        ("services/zeta/app.py", "import services.eta.app", "A service never imports another service"),
        ("services/zeta/app.py", "from broker._publishing import publish", "only door into the backbone"),
        ("services/zeta/app.py", "import nilecare.platform", "Imports run one way"),
        ("broker/_zeta.py", "import services", "Imports run one way"),
        ("contracts/zeta.py", "import contracts.eta", "A contract imports no other contract"),
    ],
)
def test_the_import_rules_bite(tmp_path: Path, place: str, line: str, rule: str) -> None:
    """A forbidden import in a service that the rules do not name is reported under its rule."""
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("services/zeta/__init__.py", "services/eta/__init__.py", "services/eta/app.py", "contracts/eta.py"):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).touch()
    (tmp_path / place).write_text(f"{line}\n")
    lint: list[str | Path] = [Path(sys.executable).with_name("lint-imports"), "--config", ROOT / "pyproject.toml", "--no-cache"]
    done = subprocess.run(lint, cwd=tmp_path, capture_output=True, text=True, check=False)
    broken = [verdict for verdict in done.stdout.splitlines() if " BROKEN" in verdict]
    assert any(rule in verdict for verdict in broken), done.stdout
