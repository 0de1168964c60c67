"""The runbook is what happens: its commands, in their order, end a night that began with dead letters."""

from __future__ import annotations

import asyncio
import re
import shlex
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import update

from broker import Permanent
from broker._tables import failed_message
from nilecare import dead_letters, replicas
from tests.broker.failing import Desk, make_desk, raising
from tests.broker.test_replica_runs import damage, person
from tests.commanded import give_to_commands
from tests.nilecare.test_replicas import at_work

PAGE = (Path(__file__).parents[2] / "docs" / "operations.md").read_text(encoding="utf-8")


@pytest.fixture
async def desk(database: Callable[..., Awaitable[str]], monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    url = await database()
    desk = await make_desk(url)
    give_to_commands(desk, url, monkeypatch)
    yield desk
    await desk.database.close()


def commands(chapter: str) -> list[str]:
    """The commands of a chapter, without the program's name."""
    text = re.split(r"^##+ ", PAGE.partition(f"# {chapter}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]
    blocks = re.findall(r"^```\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    return [re.sub(r"^nilecare (dead-letters|replicas) ", "", line) for block in blocks for line in block.splitlines()]


async def run(command: str, **names: str) -> Result:
    """A command of the page, where only the desk's address is known; what it asks is answered with yes."""
    for name, value in names.items():
        command = command.replace(name, value)
    verb, *rest = shlex.split(command)
    words = [verb, *rest] if verb == "edit" else [verb, "--service", "desk", *rest]
    return await asyncio.to_thread(CliRunner().invoke, dead_letters.group, words, "y\n")


async def test_the_night_ends(desk: Desk) -> None:
    """Of two reasons the larger is found, looked at, tried, replayed once its cause is gone, and everything follows."""
    steps = dict(zip(("groups", "show", "try", "replay", "is all well", "history"), commands(
        "It is 3 a.m. and the alarm says dead letters"), strict=True))  # fmt: skip
    for number in range(1, 21):
        desk.behaviour[number] = raising(*[KeyError("price")] * 3)
        position = await desk.fail(f"key-{number}", number, Permanent("never"), attempts=10)
        await desk.hold(f"key-{number}", 100 + number)
        await desk.retry(position)
    await desk.fail("other", 99, Permanent("a sample without a label"))
    groups = await run(steps["groups"])
    reason = groups.output.splitlines()[1].strip()
    assert reason.startswith("KeyError in ")
    names = {"$REASON": reason}
    shown = await run(steps["show"], **names)
    assert "next       somebody must act" in shown.output
    assert (await run(steps["try"], **names)).exit_code == 1
    halted = await run(steps["replay"], **names)
    assert (halted.exit_code, "1 failed again, 19 not tried" in halted.output) == (1, True)
    desk.behaviour.clear()
    assert (await run(steps["try"], **names)).exit_code == 0
    assert (await run(steps["replay"], **names)).exit_code == 0
    for number in range(1, 21):
        assert await desk.effects(f"key-{number}") == [number, 100 + number]
    left = await run(steps["is all well"])
    assert "1 message for 1 reason" in left.output
    history = await run(steps["history"])
    assert "replay done" in history.output
    assert "replay halted" in history.output
    assert history.output.count("the price list is repaired") == 2


async def test_a_wrong_message_is_corrected(desk: Desk) -> None:
    """Edited, tried, replayed: as the page says."""
    position = await desk.fail("a", 1, Permanent("never"))
    async with desk.database.transaction() as session:
        await session.execute(update(failed_message).values(body=b'{"item":"a","number":"5"}'))
    edit, tried, replayed = commands("When the message itself is wrong")
    for command in (edit, tried, replayed):
        result = await run(command, **{"billing/17": f"desk/{position}"})
        assert result.exit_code == 0, result.output
    assert await desk.effects("a") == [5]


async def test_a_damaged_replica_is_mended(database: Callable[..., Awaitable[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    """Listed, checked, repaired, filled once more: the statuses are those that the page says."""
    async with at_work(database, monkeypatch) as ferry:
        listed, checked, repaired, refilled = commands("A replica is not as its owner has it")
        await mend(refilled)
        await damage(ferry, "DELETE FROM person_reference WHERE id = :id", id=person(2).person_id)
        assert "ledger.person_reference" in (await mend(listed)).output
        assert [(await mend(each)).exit_code for each in (checked, repaired, checked, refilled)] == [1, 1, 0, 0]


async def mend(command: str) -> Result:
    """A command of the chapter, about the replica that there is."""
    words = shlex.split(command.replace("lab", "ledger").replace("patient_reference", "person_reference"))
    return await asyncio.to_thread(CliRunner().invoke, replicas.group, words)
