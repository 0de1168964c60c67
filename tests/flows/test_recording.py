"""A flow of the running hospital is recorded by the command, for whoever owns one of its services."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from datetime import timedelta
from pathlib import Path

from broker._recordings import contracts_of, read
from broker.testing import Flow
from contracts.billing import InvoiceDue
from nilecare.platform import services
from tests.flows.hospital import POTASSIUM, Hospital
from tests.flows.running import Running


async def recorder(running: Running, *options: object) -> Process:
    """The command, listening to this platform."""
    platform = running.platform
    environment = {
        "NILECARE_POSTGRES_URL": platform.postgres_url,
        "NILECARE_AMQP_URL": platform.amqp_url,
        "NILECARE_MANAGEMENT_URL": platform.management_url,
        "NILECARE_SECRET": platform.secret,
        "NILECARE_PREFIX": platform.prefix,
    }
    command = [sys.executable, "-m", "nilecare.cli", "flows", "record", *map(str, options)]
    process = await asyncio.create_subprocess_exec(*command, env=os.environ | environment, stdout=PIPE, stderr=PIPE)
    assert process.stderr is not None
    assert b"listening for" in await process.stderr.readline()
    return process


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
    assert (process.returncode, said) == (0, b"")
    lines, sight = read(file), await f.over()
    assert sorted(line.type for line in lines) == sorted(event.type for event in sight.said)
    assert written.decode().startswith(f"{file}: {len(lines)} messages (")
    assert written.decode().endswith(f", of flow {f.id}\n")
    contracts = contracts_of(services())
    assert [contracts[line.type].model_validate(line.body).subject for line in lines] == [line.subject for line in lines]
    assert [value for value in (*running.personal, person.id, encounter) if value in file.read_text()] == []
