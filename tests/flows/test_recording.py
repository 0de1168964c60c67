"""A flow of the running hospital is recorded by the command, for whoever owns one of its services."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from broker._recordings import Recorded, contracts_of, read
from broker.testing import Flow
from contracts.billing import InvoiceDue
from nilecare.platform import services
from tests.flows.hospital import POTASSIUM, Hospital
from tests.flows.running import Running

KEPT = Path(__file__).parents[1] / "alone" / "discharge.jsonl"
"""The recording with which billing is tested alone."""


async def recorder(running: Running, *options: object, **more: str) -> Process:
    """The command, listening to this platform, with these variables in its environment."""
    platform = running.deployment.platform
    environment = {
        "NILECARE_POSTGRES_URL": platform.postgres_url,
        "NILECARE_AMQP_URL": platform.amqp_url,
        "NILECARE_MANAGEMENT_URL": platform.management_url,
        "NILECARE_SECRET": platform.secret,
        "NILECARE_PREFIX": platform.prefix,
        **more,
    }
    command = [sys.executable, "-m", "nilecare.cli", "flows", "record", *map(str, options)]
    process = await asyncio.create_subprocess_exec(*command, env=os.environ | environment, stdout=PIPE, stderr=PIPE)
    assert process.stderr is not None
    assert b"listening for" in await process.stderr.readline()
    return process


def reactions(lines: Sequence[Recorded]) -> list[tuple[str, str, str]]:
    """What was said because of what, and by whom."""
    types = {line.number: line.type for line in lines}
    return sorted((types[line.cause] if line.cause is not None else "", line.source, line.type) for line in lines)


def written_into(folder: Path) -> list[str]:
    """The files in a folder."""
    return sorted(each.name for each in folder.iterdir())


async def test_a_discharge_is_recorded(flow: Flow, running: Running, hospital: Hospital, tmp_path: Path) -> None:
    """All that is said in its flow and nothing else, until it is over; and nobody is named."""
    person = await hospital.registers()
    encounter = await hospital.admits(person)
    await hospital.completes(person, POTASSIUM, encounter=encounter)
    file = tmp_path / "discharge.jsonl"
    process = await recorder(running, "--next", "encounter.discharged", "--out", file)
    await hospital.orders(person, POTASSIUM)
    async with flow.started_by(hospital.discharges(encounter)) as f:
        f.scheduled(InvoiceDue, within=timedelta(days=31))
    written, said = await process.communicate()
    assert process.returncode == 0
    assert {line.partition(":")[0] for line in said.decode().splitlines()} <= {f"flow {f.id}"}
    lines, sight = read(file), await f.over()
    assert sorted(line.type for line in lines) == sorted(event.type for event in sight.said)
    assert written.decode().startswith(f"{file}: {len(lines)} messages (")
    assert written.decode().endswith(f", of flow {f.id}\n")
    contracts = contracts_of(services())
    assert [contracts[line.type].model_validate(line.body).subject for line in lines] == [line.subject for line in lines]
    assert [value for value in (*running.personal, person.id, encounter) if value in file.read_text()] == []
    assert reactions(lines) == reactions(read(KEPT)), "tests/alone replays an old one: record it anew"


async def test_without_databases_it_goes_on_until_it_is_interrupted(
    flow: Flow, running: Running, hospital: Hospital, tmp_path: Path
) -> None:
    """Then nobody knows when a flow is over; what was heard is kept."""
    person = await hospital.registers()
    process = await recorder(running, "--out", tmp_path / "order.jsonl", NILECARE_SECRET="")
    async with flow.started_by(hospital.orders(person, POTASSIUM)) as f:
        pass
    assert process.stderr is not None
    line = await process.stderr.readline()
    assert line.decode() == f"flow {f.id}: 1 message; Ctrl-C ends the recording\n"
    process.send_signal(signal.SIGINT)
    written, _ = await process.communicate()
    assert process.returncode == 0
    assert written.decode() == f"{tmp_path}/order.jsonl: 1 message (1 by lab), of flow {f.id}\n"
    assert [each.type for each in read(tmp_path / "order.jsonl")] == ["lab.order.placed"]


async def test_what_is_over_cannot_be_recorded(flow: Flow, running: Running, hospital: Hospital, tmp_path: Path) -> None:
    """Nobody keeps what was said; and whoever is interrupted before anything was said has written nothing."""
    async with flow.started_by(hospital.orders(await hospital.registers(), POTASSIUM)) as f:
        pass
    process = await recorder(running, "--out", tmp_path / "order.jsonl", "--flow", f.id)
    _, said = await process.communicate()
    assert process.returncode == 2
    assert said.decode().splitlines()[-1].startswith(f"nilecare: flow {f.id} is over: ")
    process = await recorder(running, "--out", tmp_path / "order.jsonl")
    process.send_signal(signal.SIGINT)
    _, said = await process.communicate()
    assert process.returncode == 130
    assert said.decode() == "nothing was heard, nothing is written\n"
    assert written_into(tmp_path) == []
