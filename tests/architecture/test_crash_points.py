"""No step that cannot be taken back is taken in the backbone without a crash point behind it, and no point is left out."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from broker._crash_points import CrashPoint

ROOT = Path(__file__).parents[2]

APART = ("servers", "testing", "migrations")
"""Folders of the backbone whose code is no part of a service at work."""

EXEMPT = {
    "_acting.ActionLoop._alone": "takes and gives back a lock of its connection, which dies with it; writes nothing",
    "_clock.Clock.move": "a test's own process moves the time, no service does",
    "_clock.ClockFollower._connection": "listens, and reads; writes nothing",
    "_confirms.PublishingChannel.send": "gives what the relay sends to the connection; the relay passes the point",
    "_database.Database.__init__": "makes what loops look for work with; writes nothing",
    "_database.migrate": "one transaction, of whoever deploys before a service starts; tried again, it goes on where it was",
    "_overheard.Overheard.everything": "whoever overhears is no service; what it sends comes back to itself alone",
    "_provision._alone": "takes a lock; whoever deploys does, and no service",
    "_provision._database": "whoever deploys does, and again until all is there",
    "_provision._role": "whoever deploys does, and again until all is there",
    "_relay.Relay._lock": "takes the relay's lock, which its connection loses when it dies",
    "_trust.Trust.__init__": "reads whether a session was revoked; writes nothing",
}
"""Functions that take such a step and pass no point, each with the reason."""

WRITES = frozenset({"execute", "executemany", "copy_records_to_table"})
READS = frozenset({"fetch", "fetchval", "fetchrow"})


@dataclass(frozen=True)
class Step:
    """A call that cannot be taken back, from line to line; `names` says whether it is told the point to pass itself."""

    line: int
    end: int
    names: bool


def functions(tree: ast.Module, module: str) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Every function with its full name."""

    def within(node: ast.AST, path: str) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
        for child in ast.iter_child_nodes(node):
            name = f"{path}.{child.name}" if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) else path
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                yield name, child
            yield from within(child, name)

    yield from within(tree, module)


def own_nodes(function: ast.AST) -> Iterator[ast.AST]:
    """What stands in a function itself, not in one that it defines."""
    for child in ast.iter_child_nodes(function):
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield child
            yield from own_nodes(child)


def last_name(node: ast.AST) -> str:
    """`engine` of `self._database.engine`."""
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def is_point(node: ast.AST) -> bool:
    """Whether an argument is a crash point, or a variable for one."""
    return last_name(node) == "committed" or (isinstance(node, ast.Attribute) and last_name(node.value) == "CrashPoint")


def is_step(call: ast.Call, module: Module) -> bool:
    """Whether a call commits, sends, acknowledges or asks the world outside."""
    if any(last_name(argument) == "_world" for argument in call.args):
        return True
    if not isinstance(call.func, ast.Attribute):
        return False
    verb, whose = call.func.attr, last_name(call.func.value)
    is_text = bool(call.args) and isinstance(call.args[0], ast.Call)
    if module.speaks_to_postgres and not is_text and (verb in WRITES or (verb in READS and not module.only_reads(call))):
        return True
    return (
        verb in ("transaction", "_transaction", "settle", "commit", "basic_ack", "basic_publish")
        or (verb == "begin" and (whose.endswith("engine") or whose == "session"))
        or (verb, whose) in (("send", "channel"), ("put", "write_queue"))
        or (verb == "execution_options" and any(keyword.arg == "isolation_level" for keyword in call.keywords))
    )


class Module:
    """A module's source, as far as it matters here."""

    def __init__(self, source: str) -> None:
        self.tree = ast.parse(source)
        imported = (name.name for node in ast.walk(self.tree) if isinstance(node, ast.Import) for name in node.names)
        self.speaks_to_postgres = "asyncpg" in imported
        self._constants = {
            last_name(node.targets[0]): node.value.value
            for node in self.tree.body
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        }

    def only_reads(self, call: ast.Call) -> bool:
        """Whether the statement that a call makes is a SELECT, and none that takes a lock for good."""
        first = call.args[0] if call.args else None
        if isinstance(first, ast.JoinedStr):
            first = first.values[0]
        said = first.value if isinstance(first, ast.Constant) else self._constants.get(last_name(first or call), "")
        return str(said).split()[:1] == ["SELECT"] and "advisory_lock" not in str(said)

    def steps(self, function: ast.AST) -> list[Step]:
        """The steps that a function takes, in their order. A block is one step, whatever is in it, and ends where it does."""
        blocks = {
            item.context_expr: node.end_lineno
            for node in own_nodes(function)
            if isinstance(node, ast.With | ast.AsyncWith)
            for item in node.items
        }
        found = []
        for node in own_nodes(function):
            if isinstance(node, ast.Call) and is_step(node, self):
                end = blocks.get(node) or node.end_lineno or node.lineno
                found.append(Step(node.lineno, end, any(is_point(argument) for argument in node.args)))
            elif isinstance(node, ast.Call):
                handed_on = [argument for argument in node.args if last_name(argument) == "transaction"]
                found += [Step(node.lineno, node.lineno, names=False) for each in handed_on if isinstance(each, ast.Attribute)]
        return sorted(
            (step for step in found if not any(block.line < step.line <= block.end for block in found)),
            key=lambda step: step.line,
        )

    def unpassed(self, function: ast.AST) -> bool:
        """Whether a function takes a step that no point follows before the next step, or the end."""
        steps = self.steps(function)
        passed = [
            node.lineno for node in own_nodes(function) if isinstance(node, ast.Call) and last_name(node.func) == "passing"
        ]
        for place, step in enumerate(steps):
            after = steps[place + 1].line if place + 1 < len(steps) else sys.maxsize
            if not step.names and not any(step.end < line < after for line in passed):
                return True
        return False


@cache
def modules() -> dict[str, Module]:
    """The backbone's modules, by name."""
    files = (file for file in (ROOT / "broker").rglob("*.py") if file.relative_to(ROOT / "broker").parts[0] not in APART)
    return {file.stem: Module(file.read_text()) for file in files}


def unpassed() -> set[str]:
    """The functions of the backbone that take a step without a point."""
    return {
        name
        for stem, module in modules().items()
        for name, function in functions(module.tree, stem)
        if module.unpassed(function)
    }


def test_no_step_without_a_point() -> None:
    """Who commits, sends, acknowledges or asks the world outside passes a point, or is exempt and says why."""
    assert unpassed() - EXEMPT.keys() == set()


def test_no_exemption_for_nothing() -> None:
    """Each exemption is one of a function that is there and would need a point."""
    assert EXEMPT.keys() - unpassed() == set()


def test_every_point_is_passed() -> None:
    """Each point stands somewhere in the code of a service at work."""
    named = {
        node.attr
        for stem, module in modules().items()
        if stem != "_crash_points"
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Attribute) and last_name(node.value) == "CrashPoint"
    }
    assert named == set(CrashPoint.__members__)


def test_nothing_in_production_arms_a_process() -> None:
    """Only tests can have a process die, or be watched, at its points."""
    files = (file for package in ("contracts", "broker", "services", "nilecare") for file in (ROOT / package).rglob("*.py"))
    arming = {
        str(file.relative_to(ROOT))
        for file in files
        if "testing" not in file.parts
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module == "broker._crash_points"
        if {name.name for name in node.names} - {"CrashPoint", "passing"}
    }
    assert arming == set()


@pytest.mark.parametrize(
    "body",
    [
        "async with self.database.transaction() as session: ...",
        "async with self.database.transaction() as session: passing(CrashPoint.BATCH_TAKEN)",
        "await session.settle()",
        "await session.commit()",
        "async with self.engine.begin() as connection: await connection.execute(WRITE)",
        "await replica.wait_for(self.database.transaction, key)",
        "await self._writer.execute(WRITE)",
        "await self._reader.fetchval('INSERT INTO outbox VALUES (1) RETURNING 1')",
        "await self._channel.basic_ack(tag)",
        "await self.channel.send(messages)",
        "await session.settle(); await session.settle(); passing(CrashPoint.BATCH_TAKEN)",
        "return await function(request, key, self._world)",
    ],
)  # fmt: skip
def test_a_step_without_a_point_is_seen(body: str) -> None:
    """Whatever somebody adds."""
    source = "import asyncpg\nasync def added(self):\n    " + body.replace("; ", "\n    ")
    module = Module(source)
    assert [name for name, function in functions(module.tree, "broker") if module.unpassed(function)] == ["broker.added"]


@pytest.mark.parametrize(
    "body",
    [
        "async with self.database.transaction(CrashPoint.BATCH_COMMITTED) as session: ...",
        "async with self.database.reading() as session: ...",
        "await session.settle(self.committed)",
        "await self._channel.basic_ack(tag); passing(CrashPoint.BATCH_ACKNOWLEDGED)",
        "await self._reader.fetchval('SELECT 1')",
    ],
)
def test_a_step_with_its_point_is_none_to_complain_of(body: str) -> None:
    """Neither is what only reads."""
    module = Module("import asyncpg\nasync def added(self):\n    " + body.replace("; ", "\n    "))
    assert [name for name, function in functions(module.tree, "broker") if module.unpassed(function)] == []
