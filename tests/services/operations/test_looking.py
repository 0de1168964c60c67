"""What failed is counted as it changes, and what is counted is what there is."""

from __future__ import annotations

from datetime import timedelta
from random import Random
from typing import Any, get_args
from uuid import uuid4

import pytest
from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from broker import clock
from contracts.backbone import FailedState
from services.operations import looking
from services.operations.looking import Sought
from services.operations.replicas import FailedMessageReference, FailureCount
from tests.services.ehr.given import user
from tests.services.kit import Workplace
from tests.services.operations.given import EARLIER, failed

KINDS = ("service", "heard_by", "type", "state", "fingerprint")


async def counted(operations: Workplace) -> tuple[dict[Any, int], dict[Any, int]]:
    """How many there are of each kind: as the triggers have it, and as the rows are."""
    row = [getattr(FailedMessageReference, name) for name in KINDS]
    kept = [getattr(FailureCount, name) for name in KINDS]
    async with operations.database.transaction() as session:
        there = await session.execute(select(*row, func.count()).where(~FailedMessageReference.deleted).group_by(*row))
        as_kept = await session.execute(select(*kept, FailureCount.count).where(FailureCount.count != 0))
        return {tuple(each[:-1]): each[-1] for each in as_kept}, {tuple(each[:-1]): each[-1] for each in there}


async def test_counts_are_those_of_the_rows(operations: Workplace) -> None:
    """Whatever comes, changes, goes through, and comes again, in any order, older words among it."""
    chance = Random(4711)
    for version in (3, 1, 2, 5, 4, 6):
        for position in range(1, 9):
            await operations.arrive(
                failed(
                    chance.choice(["billing", "lab"]),
                    position,
                    version=version,
                    state=chance.choice(get_args(FailedState)),
                    fingerprint=chance.choice(["one", "other"]),
                    deleted=chance.random() < 0.4,
                )
            )
        kept, there = await counted(operations)
        assert kept == there
        assert there
    async with operations.database.transaction() as session:
        await session.execute(delete(FailedMessageReference).where(FailedMessageReference.service == "lab"))
    assert await counted(operations) == ({key: n for key, n in kept.items() if key[0] == "billing"},) * 2


@pytest.mark.parametrize("near", [500, 0])
async def test_what_is_counted_is_what_is_listed(operations: Workplace, monkeypatch: pytest.MonkeyPatch, near: int) -> None:
    """By kind, from the counts; of one aggregate, by words and by time, from the rows."""
    monkeypatch.setattr(looking, "NEAR", near)
    one = failed("billing", 1, reason="The claim C-2027 is closed, says Étienne.")
    at = EARLIER + timedelta(hours=1)
    for message in (
        one,
        failed("billing", 2, state="held", last_failed_at=at),
        failed("lab", 1, type="specimen.taken", fingerprint="other", reason="x" * 600),
        failed("lab", 2, reason="The claim C-2027 went through.", deleted=True),
    ):
        await operations.arrive(message)
    asked = {
        Sought(): 3,
        Sought(service="billing"): 2,
        Sought(state="dead", subscription=one.subscription): 2,
        Sought(type="specimen.taken"): 1,
        Sought(fingerprint="nothing"): 0,
        Sought(aggregate=one.aggregate): 1,
        Sought(flow=one.flow, state="held"): 0,
        Sought(text="CLAIM c 20"): 1,
        Sought(text="étienne"): 1,
        Sought(text="invoice"): 2,
        Sought(text="invoice", state="held"): 1,
        Sought(text="losed"): 0,
        Sought(text="'!&|_"): 0,
        Sought(text=""): 0,
        Sought(text="x" * 500): 1,
        Sought(since=EARLIER, until=at): 2,
        Sought(since=at): 1,
        Sought(until=EARLIER): 0,
    }
    async with operations.database.transaction() as session:
        for sought, number in asked.items():
            assert await looking.count(session, sought) == number, sought
            found = {each.id for each in await session.scalars(looking.messages(sought))}
            assert {each.id for each in await walked(session, sought)} == found, sought
            assert len(found) == number, sought
            assert sum(group.count for group in await looking.groups(session, sought, clock.now())) == number


async def walked(session: AsyncSession, sought: Sought) -> list[FailedMessageReference]:
    """What is on all pages of one message each, in order."""
    pages: list[FailedMessageReference] = []
    while page := await looking.page(session, sought, pages[-1] if pages else None, 1):
        pages += page
    assert pages == sorted(pages, key=lambda each: (each.first_failed_at, each.id))
    return pages


async def test_many_are_not_counted_one_by_one(operations: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole kinds are counted already; of others it is said that there are more."""
    monkeypatch.setattr(looking, "MOST_COUNTED", 2)
    for position in range(1, 6):
        await operations.arrive(failed("billing", position))
    async with operations.database.transaction() as session:
        counted = [await looking.count(session, sought) for sought in (Sought(), Sought(text="money"), Sought(since=EARLIER))]
    assert counted == [5, 3, 3]


async def test_a_group_tells_of_its_first_and_last(operations: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Since when, until when, why the last one failed, and how many came lately: no more than show that it goes on."""
    monkeypatch.setattr(looking, "MOST_LATELY", 2)
    for position in range(1, 6):
        at = EARLIER + timedelta(minutes=position)
        await operations.arrive(failed("billing", position, first_failed_at=at, last_failed_at=at, reason=f"of {position}"))
    for minute, lately in ((5, 1), (4, 2), (1, 2)):
        async with operations.database.transaction() as session:
            (group,) = await looking.groups(session, Sought(), EARLIER + timedelta(minutes=minute))
        assert (group.oldest, group.newest) == (EARLIER + timedelta(minutes=1), EARLIER + timedelta(minutes=5))
        assert (group.reason, group.count, group.last_hour) == ("of 5", 5, lately)


async def test_what_failed_again_failed_last(operations: Workplace) -> None:
    """The oldest message of a group, tried in vain just now, says until when the group failed, and why last."""
    for position in range(1, 4):
        at = EARLIER + timedelta(minutes=position)
        await operations.arrive(failed("billing", position, first_failed_at=at, last_failed_at=at, reason=f"of {position}"))
    now = EARLIER + timedelta(hours=1)
    again = failed("billing", 1, version=2, first_failed_at=EARLIER, last_failed_at=now, reason="still the same")
    await operations.arrive(again)
    async with operations.database.transaction() as session:
        (group,) = await looking.groups(session, Sought(), EARLIER)
    assert (group.oldest, group.newest, group.reason) == (EARLIER, now, "still the same")


async def test_people_are_called_by_their_names(operations: Workplace) -> None:
    """Those of whom auth told, and who are not erased; of others, programs too, nothing is told."""
    known, gone, stranger = uuid4(), uuid4(), uuid4()
    await operations.arrive(user(known, full_name="Amina Yusuf"))
    await operations.arrive(user(gone, full_name="Baraka Noor"))
    await operations.arrive(user(gone, full_name="Baraka Noor", version=2, deleted=True))
    async with operations.database.transaction() as session:
        names = await looking.names(session, [str(known), str(gone), str(stranger), "a program", ""])
    assert names == {str(known): "Amina Yusuf"}
