"""A recorded flow, replayed to the depot alone."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from broker import Service, clock, publish
from broker._recordings import EPOCH, Recorded, RecordingError, write
from broker.servers import Servers
from broker.testing import Deployment, Flow, FlowFailed, World, deployed, example_of
from tests.broker.testing.depot import app as depot
from tests.broker.testing.depot.depot_says import PalletGone, PalletStored
from tests.broker.testing.depot.haulier_says import LorryChanged, PalletBrought, PalletFetched

PALLET, DELIVERY, LORRY = (f"00000000-0000-4000-8000-00000000000{number}" for number in (1, 2, 3))
LATE = EPOCH + timedelta(hours=1)

Record = Callable[..., Path]


@pytest.fixture(scope="module")
def services_under_test() -> Sequence[Service]:
    """Only the depot."""
    return [depot.service]


@pytest.fixture(scope="module")
async def deployment(servers: Servers, services_under_test: Sequence[Service]) -> AsyncIterator[Deployment]:
    """It at work, with stand-ins for the others."""
    async with deployed(servers, services_under_test, World()) as deployment:
        yield deployment


@pytest.fixture
def record(tmp_path: Path) -> Record:
    """A recording of a pallet that came and went, with other lines where some are given."""

    def write_down(*changed: Recorded, without: int = -1) -> Path:
        brought_at = LATE.isoformat()
        lines = [
            line(1, None, "haulier", "pallet.brought", DELIVERY, delivery_id=DELIVERY, lorry_id=LORRY, brought_at=brought_at),
            line(2, 1, "depot", "pallet.stored", PALLET, pallet_id=PALLET, delivery_id=DELIVERY, brought_at=brought_at),
            line(3, 2, "haulier", "pallet.fetched", PALLET, pallet_id=PALLET),
            line(4, 3, "depot", "pallet.gone", PALLET, pallet_id=PALLET),
        ]
        by_number = {each.number: each for each in (*lines, *changed)}
        by_number.pop(without, None)
        write(tmp_path / "pallet.jsonl", (by_number[number] for number in sorted(by_number)))
        return tmp_path / "pallet.jsonl"

    return write_down


def line(number: int, cause: int | None, source: str, type_: str, subject: str, **body: Any) -> Recorded:
    """A message of a recording."""
    return Recorded(
        number=number, cause=cause, after=number / 10, source=source, type=type_, version=1, subject=subject, body=body
    )


async def test_a_flow_is_replayed_as_often_as_one_likes(flow: Flow, record: Record) -> None:
    """What others said is said again, about new ids, at today's times; an id that the depot makes is known again."""
    recording, seen = record(), set()
    for _ in range(2):
        began = clock.now()
        async with flow.replayed(recording, to=["depot"], presuming=[example_of(LorryChanged)]) as f:
            brought = await f.published(PalletBrought, by="haulier").once()
            stored = await f.published(PalletStored, delivery_id=brought.event.delivery_id).once()
            fetched = await f.published(PalletFetched, pallet_id=stored.event.pallet_id).once()
            await f.published(PalletGone, pallet_id=stored.event.pallet_id).once()
        assert timedelta() <= brought.event.brought_at - began - (LATE - EPOCH) < timedelta(minutes=1)
        causes = {event.id: event.cause for event in (await f.over()).said}
        assert (causes[brought.id], causes[fetched.id]) == (None, stored.id)
        seen |= {brought.event.delivery_id, brought.event.lorry_id, stored.event.pallet_id}
    assert len(seen) == 6
    assert not {str(each) for each in seen} & {PALLET, DELIVERY, LORRY}


async def test_a_replay_is_about_what_a_test_has_set_up(flow: Flow, record: Record) -> None:
    """Where it says which id stands for which; a state that was told is not presumed."""
    lorry = (await flow.told(example_of(LorryChanged, plate="1-KRT"))).event
    async with flow.replayed(record(), ids={LORRY: lorry.lorry_id}) as f:
        assert (await f.published(PalletBrought).once()).event.lorry_id == lorry.lorry_id


async def test_a_state_of_the_recording_is_not_presumed(flow: Flow, record: Record) -> None:
    """It is said where it was said."""
    state = line(0, None, "haulier", "lorry.changed", LORRY, lorry_id=LORRY, plate="2-KRT", state_version=9, deleted=False)
    async with flow.replayed(record(state), presuming=[example_of(LorryChanged, plate="1-KRT")]) as f:
        said = await f.published(LorryChanged).once()
        await f.replica(depot.LorryReference, said.event.lorry_id).reaches(plate="2-KRT", version=said.event.state_version)
        await f.published(PalletGone).once()
    everything = flow.deployment.flows.sight()
    await everything.look()
    assert [event.type for event in everything.said if event.key == str(said.event.lorry_id)] == ["lorry.changed"]


async def test_what_is_not_said_again_is_told(flow: Flow, record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its cause; and nobody waits for it, once it is certain."""
    monkeypatch.setattr(depot, "publish", lambda *_: None)
    with pytest.raises(FlowFailed) as failed:
        async with flow.replayed(record(), presuming=[example_of(LorryChanged)]) as f:
            f.dead_letter("depot.give_out", error="Permanent")
    told = str(failed.value)
    assert "after pallet.brought depot said pallet.stored never, and once in the recording" in told
    assert "after pallet.fetched depot said pallet.gone never, and once in the recording" in told


async def test_what_was_not_said_before_is_told(flow: Flow, record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when it is said too often."""
    monkeypatch.setattr(depot, "publish", lambda *said: [publish(*said) for _ in range(2)])
    with pytest.raises(FlowFailed, match=r"after pallet\.brought depot said pallet\.stored twice, and once in the recording"):
        async with flow.replayed(record(), presuming=[example_of(LorryChanged)]):
            pass
    with pytest.raises(FlowFailed, match=r"after pallet\.fetched depot said pallet\.gone twice, and never in the recording"):
        async with flow.replayed(record(without=4), presuming=[example_of(LorryChanged)]):
            pass


async def test_what_a_command_of_its_own_caused_is_not_expected(flow: Flow, record: Record) -> None:
    """Nobody gives the command again, and nothing follows from it."""
    own = line(5, None, "depot", "pallet.gone", DELIVERY, pallet_id=DELIVERY)
    followed = line(6, 5, "depot", "pallet.gone", LORRY, pallet_id=LORRY)
    async with flow.replayed(record(own, followed), presuming=[example_of(LorryChanged)]):
        pass


async def test_what_no_contract_knows_is_refused(flow: Flow, record: Record) -> None:
    """With its line."""
    broken = line(1, None, "haulier", "pallet.brought", DELIVERY, delivery_id="one")
    with pytest.raises(RecordingError, match=r"^line 1: pallet\.brought v1 does not fit the contract of today$"):
        async with flow.replayed(record(broken)):
            pass
    with pytest.raises(TypeError, match="not under test: haulier"):
        async with flow.replayed(record(), to=["haulier"]):
            pass
