"""`nilecare replicas erased` proves an erasure, and its exit code tells whether it is one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from uuid import UUID, uuid4

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import text

from broker import Permanent, Retained, Service, Settings, clock
from broker._actions import Asker, begin
from broker._dead_letters import Filter
from nilecare import erased, replicas
from nilecare.dead_letters import access
from tests.broker.consuming import envelope_of
from tests.broker.hotel import Desk, desk_at, state
from tests.broker.test_erasure import arrived, failing

NAME = "Amina Njeri"


@pytest.fixture
async def desk(database: Callable[..., Awaitable[str]], monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    """The only service that the command knows."""
    url = await database()
    desk = await desk_at(url)
    monkeypatch.setattr(erased, "services", lambda: [desk.service])
    monkeypatch.delenv("NILECARE_SECRET", raising=False)
    monkeypatch.setenv("NILECARE_DATABASE_URL", url)
    monkeypatch.setenv("NILECARE_AMQP_URL", "amqp://nobody@127.0.0.1:1/")
    yield desk
    await desk.database.close()


async def run(*arguments: str) -> Result:
    """The command, in a thread, since it brings an event loop of its own."""
    return await asyncio.to_thread(CliRunner().invoke, replicas.group, ("erased", *arguments))


async def lines(guest: UUID) -> tuple[int, list[str]]:
    """The exit code, and what was printed: words alone."""
    result = await run(str(guest))
    return result.exit_code, [" ".join(line.split()) for line in result.output.splitlines()]


async def test_what_was_there_is_gone(desk: Desk) -> None:
    """Each table of each service, with how much was there; the last line says what it comes to."""
    guest = uuid4()
    await desk.hear(state(guest, NAME, 1))
    await desk.says(guest, NAME)
    await desk.erase(guest)
    code, (first, _, *places, last) = await lines(guest)
    assert (code, last) == (0, "nothing is left but what is lawfully kept")
    assert first.startswith(f"{guest} was erased 0 s ago")
    assert places == [
        "desk.backbone.outbox 1 0 gone",
        "desk.backbone.schedule 1 0 gone",
        "desk.guest_reference 1 0 gone",
    ]


async def test_what_is_still_there_is_named(desk: Desk) -> None:
    """Somebody has put it back by hand: status 1."""
    guest = uuid4()
    await desk.hear(state(guest, NAME, 1))
    await desk.erase(guest)
    async with desk.database.transaction() as session:
        await session.execute(text("UPDATE guest_reference SET full_name = :name"), {"name": NAME})
    code, said = await lines(guest)
    assert (code, said[2:]) == (1, ["desk.guest_reference 1 1 still there", "rows that are still there: 1"])


async def test_what_is_lawfully_kept_says_why(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the service's own declaration; it keeps nobody from being erased."""
    guest = uuid4()
    await desk.hear(state(guest, NAME, 1))
    await desk.erase(guest)
    monkeypatch.setitem(vars(desk.service), "retained", (Retained("guest_reference", "id", "the law says so"),))
    code, said = await lines(guest)
    assert (code, said[3]) == (0, "desk.guest_reference 1 1 lawfully kept: the law says so")


async def test_to_whom_it_was_given_out_is_said(desk: Desk) -> None:
    """Who exported messages with data of the person, or saw it, before: files are out of our reach. Afterwards nothing was."""
    guest = uuid4()
    desk.behaviour = failing(Permanent("never"))
    await desk.hear(envelope_of(arrived(guest)), envelope_of(arrived(guest)), envelope_of(arrived(uuid4())))
    for asker in (Asker("amani", "for the auditor"), Asker("otieno", "too late")):
        async with desk.database.transaction() as session:
            await begin(session, "export", Filter(), asker, state="done")
        await desk.erase(guest)
    _, said = await lines(guest)
    given = [line for line in said if line.startswith("given out")]
    assert given == [f"given out of desk: 2 messages, to amani on {clock.now():%Y-%m-%d} (export: for the auditor)"]


async def test_a_service_that_has_not_heard_of_it_is_waited_for(
    desk: Desk, database: Callable[..., Awaitable[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Status 1, and a line that says which."""
    guest, url = uuid4(), await database()
    other = await desk_at(url)
    await desk.erase(guest)
    await other.hear(state(guest, NAME, 1))
    monkeypatch.setattr(erased, "services", lambda: [desk.service, other.service])

    def settings_for(service: Service) -> Settings:
        settings = known(service)
        return settings if service is desk.service else replace(settings, database_url=url)

    known = access.settings_for  # type: ignore[attr-defined]
    monkeypatch.setattr(access, "settings_for", settings_for)
    code, said = await lines(guest)
    assert (code, said[2:]) == (
        1,
        [
            "desk 0 0 had nothing",
            "desk has not heard of it yet",
            "desk.guest_reference 0 1 still there",
            "on its way: desk has not heard of it yet",
            "rows that are still there: 1",
        ],
    )
    await other.database.close()


async def test_nobody_of_that_id_was_erased(desk: Desk) -> None:
    """Status 1: it is no proof of anything."""
    guest = uuid4()
    code, said = await lines(guest)
    assert (code, said) == (1, [f"nobody of the id {guest} was ever erased, as far as any service has heard"])


async def test_a_program_reads_all_of_it(desk: Desk) -> None:
    """As JSON."""
    guest = uuid4()
    await desk.hear(state(guest, NAME, 1))
    await desk.erase(guest)
    result = await run(str(guest), "--json")
    said = json.loads(result.output)
    [service] = said["services"]
    assert (said["person"], said["is_known"], said["is_done"], service["kind"]) == (str(guest), True, True, "guest_id")
    assert service["places"] == [{"table": "guest_reference", "then": 1, "now": 0, "state": "gone", "because": None}]


async def test_what_is_no_id_is_refused() -> None:
    """In one line, with status 2."""
    result = await run("Amina")
    assert result.exit_code == 2
    assert "Error: Invalid value for KEY: a person's id is a UUID, which 'Amina' is not" in result.output
