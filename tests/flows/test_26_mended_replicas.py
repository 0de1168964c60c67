"""Somebody had their hands in the databases: every replica finds what differs from its owner, and mends it (flow 26)."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest

from broker import Service
from broker._replica_keeper import ReplicaKeeper
from broker._replica_runs import Place, Purpose, Run, begin, drift_of, places_of, run_of
from broker.testing import Flow
from contracts.backbone import ReplicaRequested
from services.operations.replicas import ServiceCopyReference
from tests.flows.hospital import Hospital
from tests.flows.running import Running
from tests.flows.test_26_replica_truth import compared, replicas

KEEPERS = ("billing", "ehr", "facility", "lab", "notification", "payment", "operations")
"""The services that keep a copy of patients."""

PATIENTS = "patient_reference"


def place_of(service: Service) -> Place:
    """The patients of a service."""
    (replica,) = [each for each in service.replicated if each.__tablename__ == PATIENTS]
    return Place(service.name, replica)


async def run(running: Running, flow: Flow, service: str, purpose: Purpose) -> tuple[Run, set[tuple[str, str]]]:
    """A run over a service's patients, to its end; and the keys that differed, with how."""
    runtime = running.deployment.runtimes[service]

    async def begun() -> UUID:
        async with runtime.database.transaction() as session:
            return await begin(session, place_of(runtime.service), purpose, "amani")

    async with flow.started_by(begun()) as f:
        await f.handled(await f.published(ReplicaRequested, by=service).first(), by="clinical")
    async with runtime.database.transaction() as session:
        ended = await run_of(session, f.result)
        assert ended is not None
        assert ended.state == "done"
        return ended, {(key, drift) for key, drift, _ in await drift_of(session, f.result)}


@pytest.mark.parametrize("service", KEEPERS)
async def test_damage_is_mended_exactly(running: Running, flow: Flow, hospital: Hospital, service: str) -> None:
    """Of a lost, an aged and an added row each is named for what it is; afterwards all is as it was, to the last column."""
    lost, aged, _ = [(await hospital.registers()).id for _ in range(3)]
    await running.settled()
    held, added = await replicas(running), str(uuid4())
    columns = [row.name for row in await running.rows(service, COLUMNS, table=PATIENTS) if row.name != "id"]
    async with running.deployment.databases[service].engine.begin() as connection:
        for statement in (
            f"INSERT INTO {PATIENTS} (id, {', '.join(columns)}) SELECT '{added}', {', '.join(columns)} FROM {PATIENTS} LIMIT 1",
            f"DELETE FROM {PATIENTS} WHERE id = '{lost}'",
            f"UPDATE {PATIENTS} SET state_version = 0 WHERE id = '{aged}'",
        ):
            await connection.exec_driver_sql(statement)
    expected = {(lost, "missing"), (aged, "stale"), (added, "surplus")}
    checked, found = await run(running, flow, service, "check")
    assert (found, checked.repaired) == (expected, 0)
    mended, found = await run(running, flow, service, "repair")
    assert (found, mended.repaired) == (expected, 3)
    await running.settled()
    assert [each for each in (await compared(running)).values() if not each.in_step] == []
    assert await run(running, flow, service, "check")
    after = await replicas(running)
    other = {name: digest for name, digest in held.items() if after[name] != digest}
    assert set(other) <= {f"{service} public.{PATIENTS}"}, "times of arrival, in this replica alone"


COLUMNS = """
    SELECT column_name AS name FROM information_schema.columns WHERE table_schema = 'public' AND table_name = :table
"""


async def test_a_wiped_replica_fills_itself_again(running: Running, flow: Flow, hospital: Hospital) -> None:
    """Nobody has to ask for it: what had rows when it was looked at last, and has none, is noticed."""
    await hospital.registers()
    await running.settled()
    await run(running, flow, "lab", "check")
    lab = running.deployment.runtimes["lab"]
    async with lab.database.engine.begin() as connection:
        await connection.exec_driver_sql(f"TRUNCATE {PATIENTS}")
    assert not (await compared(running))["lab.patient"].in_step
    keeper = ReplicaKeeper(lab.database, [place_of(lab.service)], check_every=None)
    async with flow.started_by(keeper.run_once()) as f:
        await f.handled(await f.published(ReplicaRequested, by="lab").first(), by="clinical")
    assert (await compared(running))["lab.patient"].in_step


COPIES = "SELECT id, service, described, state_version FROM service_copy_reference ORDER BY id"


async def test_what_services_tell_of_themselves_is_filled_again(running: Running, flow: Flow) -> None:
    """Each is asked for its own: how its copies are doing stands in no table of the business."""
    await running.settled()
    operations = running.deployment.runtimes["operations"]
    places = places_of(operations.service, running.deployment.subscribed)
    copies = [place for place in places if place.replica is ServiceCopyReference]
    keeper = ReplicaKeeper(operations.database, copies, check_every=None)
    await keeper.run_once()  # who had told nothing yet when operations was filled has since: that is noted
    before = [tuple(row) for row in await running.rows("operations", COPIES)]
    assert {service for _, service, *_ in before} == set(running.deployment.services)
    async with operations.database.engine.begin() as connection:
        await connection.exec_driver_sql("TRUNCATE service_copy_reference")
    async with flow.started_by(keeper.run_once()) as f:
        for service in running.deployment.services:
            await f.handled(await f.published(ReplicaRequested, by="operations").first(), by=service)
    assert [tuple(row) for row in await running.rows("operations", COPIES)] == before
