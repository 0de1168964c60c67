"""Somebody had their hands in the databases: every replica finds what differs from its owner, and mends it (flow 26)."""

from __future__ import annotations

from uuid import uuid4

import pytest

from broker._replica_runs import Place, Purpose, Run, begin, drift_of, run_of
from tests.flows.hospital import Hospital
from tests.flows.running import Running
from tests.flows.test_26_replica_truth import compared, replicas
from tests.waiting import until

KEEPERS = ("billing", "ehr", "facility", "lab", "notification", "payment", "operations")
"""The services that keep a copy of patients."""

PATIENTS = "patient_reference"


async def run(running: Running, service: str, purpose: Purpose) -> tuple[Run, set[tuple[str, str]]]:
    """A run over a service's patients, to its end; and the keys that differed, with how."""
    runtime = running.runtimes[service]
    (replica,) = [each for each in runtime.service.replicated if each.__tablename__ == PATIENTS]
    async with runtime.database.transaction() as session:
        id_ = await begin(session, Place(service, replica), purpose, "amani")

    async def is_over() -> bool:
        async with runtime.database.transaction() as session:
            found = await run_of(session, id_)
            assert found is not None
            return found.state != "running"

    await until(is_over)
    async with runtime.database.transaction() as session:
        ended = await run_of(session, id_)
        assert ended is not None
        return ended, {(key, drift) for key, drift, _ in await drift_of(session, id_)}


@pytest.mark.parametrize("service", KEEPERS)
async def test_damage_is_mended_exactly(running: Running, hospital: Hospital, service: str) -> None:
    """Of a lost, an aged and an added row each is named for what it is; afterwards all is as it was, to the last column."""
    lost, aged, _ = [(await hospital.registers()).id for _ in range(3)]
    await running.settled()
    held, added = await replicas(running), str(uuid4())
    columns = [row.name for row in await running.rows(service, COLUMNS, table=PATIENTS) if row.name != "id"]
    engine = running.runtimes[service].database.engine
    async with engine.begin() as connection:
        for statement in (
            f"INSERT INTO {PATIENTS} (id, {', '.join(columns)}) SELECT '{added}', {', '.join(columns)} FROM {PATIENTS} LIMIT 1",
            f"DELETE FROM {PATIENTS} WHERE id = '{lost}'",
            f"UPDATE {PATIENTS} SET state_version = 0 WHERE id = '{aged}'",
        ):
            await connection.exec_driver_sql(statement)
    expected = {(lost, "missing"), (aged, "stale"), (added, "surplus")}
    checked, found = await run(running, service, "check")
    assert (found, checked.repaired) == (expected, 0)
    mended, found = await run(running, service, "repair")
    assert (found, mended.repaired) == (expected, 3)
    await running.settled()
    assert [each for each in (await compared(running)).values() if not each.in_step] == []
    assert await run(running, service, "check")
    after = await replicas(running)
    other = {name: digest for name, digest in held.items() if after[name] != digest}
    assert set(other) <= {f"{service} public.{PATIENTS}"}, "times of arrival, in this replica alone"


COLUMNS = """
    SELECT column_name AS name FROM information_schema.columns WHERE table_schema = 'public' AND table_name = :table
"""


async def test_a_wiped_replica_fills_itself_again(running: Running, hospital: Hospital) -> None:
    """Nobody has to ask for it: what had rows when it was looked at last, and has none, is noticed."""
    await hospital.registers()
    await running.settled()
    await run(running, "lab", "check")
    runtime = running.runtimes["lab"]
    async with runtime.database.engine.begin() as connection:
        await connection.exec_driver_sql(f"TRUNCATE {PATIENTS}")
    assert not (await compared(running))["lab.patient"].in_step
    async with running.down("lab"):
        pass

    async def is_whole() -> bool:
        return (await compared(running))["lab.patient"].in_step

    await until(is_whole)
