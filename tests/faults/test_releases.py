"""Releases that change what is subscribed to while events are in flight, old and new code side by side."""

from __future__ import annotations

from tests.faults.house import House
from tests.faults.services import Release
from tests.waiting import until


async def test_old_and_new_version_side_by_side(house: House) -> None:
    """What the old copy cannot read yet waits, with all of its key behind it, and takes effect through the new copy."""
    new = Release(version=2)
    old_archive = house.start("archive")
    old_desk = house.start("desk")
    await house.write()
    await house.grown("archive", by=20)
    house.start("desk", new)

    async def some_wait() -> bool:
        return {"waiting", "held"} <= {state for state, _ in await house.failed()}

    await until(some_wait)
    house.start("archive", new)
    await house.grown("archive", by=50)
    await house.stop(old_archive)
    await house.stop(old_desk)
    await house.grown("archive", by=20)
    await house.write(False)

    async def none_waits() -> bool:
        return not await house.failed()

    await until(none_waits, within=60)
    await house.proven()


async def test_a_subscription_added(house: House) -> None:
    """A subscription that is added under load has an effect of every event from one on, and the others notice nothing."""
    house.start("desk")
    old = house.start("archive")
    await house.write()
    await house.grown("archive", by=20)
    more = Release(counting=True)
    await house.apply(more)
    house.start("archive", more)
    await house.grown("archive", by=20)
    await house.stop(old)
    await house.grown("archive", by=100)
    await house.proven()
    assert await house.rows("archive", "SELECT count(*) > 10 FROM effect WHERE role = 'count'") == [True]


async def test_a_subscription_removed(house: House) -> None:
    """What a removed subscription has not handled stays in its queue, which is pruned only when older code has emptied it."""
    more, fewer = Release(counting=True), Release()
    await house.apply(more)
    house.start("desk", more)
    old = house.start("archive", more)
    await house.write()
    await house.grown("archive", by=20)
    house.start("archive", fewer)
    await house.kill(old)
    await house.grown("archive", by=100)
    assert not [item for item in await house.prune(fewer) if item.startswith("queue ")]
    await house.grown("archive", by=20)
    older = house.start("archive", more)
    await house.proven()
    await house.stop(older)
    assert await house.prune(fewer) == ["queue archive.count"]


async def test_a_subscription_renamed(house: House) -> None:
    """Under load a subscription goes on under its new name where it ended under the old one."""
    house.start("desk")
    old = [house.start("archive"), house.start("archive")]
    await house.write()
    await house.grown("archive", by=20)
    renamed = Release(filing="shelve", formerly=("file",))
    await house.apply(renamed)
    for _ in range(2):
        house.start("archive", renamed)
    await house.grown("archive", by=20)
    await house.kill(old[0])
    await house.grown("archive", by=20)
    await house.stop(old[1])
    await house.grown("archive", by=100)
    await house.proven()
    assert await house.rows("archive", "SELECT count(*) FROM backbone.inbox WHERE subscription = 'file'") == [0]
    assert await house.prune(renamed) == ["queue archive.file"]
