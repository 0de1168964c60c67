"""The demo as a stranger runs it, and each of its proofs: that it finds what it is there to find."""

from __future__ import annotations

import asyncio
import io
import json
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil
import pytest
from rich.console import Console
from sqlalchemy import text

from broker import Envelope, publish
from broker import _inbox as inbox
from broker._batch import BatchProcessor
from broker._context import uuid7
from broker._database import Database, engine_for
from broker._delivery import Delivery
from broker._failures import Failures
from broker._replicas import Replica
from broker._upsert import Arrived, upsert
from broker.servers.processes import MARK
from broker.testing.scratch import Databases
from contracts.clinical import PatientChanged
from contracts.event import StateEvent
from contracts.facility import FacilityChanged
from contracts.lab import LabOrderCompleted, OrderedTest
from nilecare.demo.agreement import Agreement, agreements
from nilecare.demo.board import Board, Pulse
from nilecare.demo.day.people import Town
from nilecare.demo.discretion import Discretion
from nilecare.demo.display import showing
from nilecare.demo.duplicates import duplicated
from nilecare.demo.latency import Latency, Outage, latencies
from nilecare.demo.milestones import Milestones
from nilecare.demo.money import Check, balance
from nilecare.demo.outcome import Outcome
from nilecare.demo.pulse import look
from nilecare.demo.troubles import troubles
from services.billing.app import service as billing
from services.billing.replicas import PatientReference
from services.clinical import commands as clinical_commands
from services.clinical.app import service as clinical
from services.clinical.replicas import FacilityReference
from services.lab.app import service as lab
from services.payment.app import service as payment

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
CHECKOUT = Path(__file__).resolve().parents[2]
FACILITY = FacilityChanged(
    facility_id=uuid4(),
    name="A hospital",
    kind="hospital",
    status="active",
    time_zone="UTC",
    currency="USD",
    state_version=1,
)
SUBSCRIPTIONS = {subscription.name: subscription for subscription in billing.subscriptions}


@pytest.fixture
async def databases(database: Databases) -> AsyncIterator[dict[str, Database]]:
    """A database for each of the four services, with all its tables."""
    made = {}
    for service in (clinical, lab, billing, payment):
        address = await database(tables=service.tables, migrations=service.migrations)
        made[service.name] = Database(engine_for(address, pool_size=2), service.name)
    yield made
    for each in made.values():
        await each.close()


HAPPENS = (
    "bed.assigned",
    "bed.request.waiting",
    "dispute.lost",
    "dispute.won",
    "installment.due",
    "invoice.overdue",
    "invoice.paid",
    "invoice.reopened",
    "lab.result.corrected",
    "lab.result.critical_called",
    "lab.sample.rejected",
    "note.cosign_requested",
    "notification.delivered",
    "patient.merged",
    "payment.failed",
    "refund.succeeded",
    "session.revoked",
)
"""Some of what a day has to show."""

# The whole of it.


def demo(*options: str, **more: str) -> subprocess.Popen[str]:
    """The command in a process of its own, without anybody's servers in its environment.

    A test run in the background of a shell ignores Ctrl-C, and what it starts would too, but for `env`.
    """
    command = ["env", "--default-signal=INT", sys.executable, "-m", "nilecare.cli", "demo", *options]
    return subprocess.Popen(
        command,
        cwd=CHECKOUT,
        env={"PATH": "/usr/bin:/bin", **more},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def running() -> set[int]:
    """The processes of demos in this checkout."""
    return {each.pid for each in psutil.process_iter() if _is_of_demo(each)}


def _is_of_demo(process: psutil.Process) -> bool:
    try:
        return process.environ().get(MARK, "").startswith(str(CHECKOUT / ".local" / "demo"))
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False


@pytest.mark.timeout(240)
def test_a_day_in_which_nothing_is_lost_or_told(tmp_path: Path) -> None:
    """A small day ends well, says so in words and in JSON, tells nobody's name, number or address, and leaves no process."""
    before = running()
    files = ("--json", str(tmp_path / "outcome.json"), "--flows", str(tmp_path / "flows.md"))
    process = demo("--patients", "12", "--seed", "7", "--stop", *files, OTEL_TRACES_EXPORTER="console")
    output, _ = process.communicate(timeout=230)
    assert process.returncode == 0, output
    outcome = json.loads((tmp_path / "outcome.json").read_text())
    assert outcome["events"] > 500
    assert outcome["effects"] > 500
    assert outcome["flows"] > 80
    assert (outcome["lost"], outcome["duplicated"], outcome["out_of_order"]) == (0, 0, 0)
    assert outcome["dead_letters"] == 1
    assert outcome["killed"] == ["rabbitmq", "billing", "auth"]
    assert outcome["money_balanced"] is True
    assert all(replica["in_step"] and replica["rows"] for replica in outcome["replicas"].values())
    assert len({name.partition(".")[0] for name in outcome["replicas"]}) == 9
    assert outcome["latency_ms"]["p99"] > outcome["latency_undisturbed_ms"]["p50"] > 0
    assert outcome["refused_after_ms"] <= 1000
    assert outcome["mails_by_subject"]["A result is ready"] > 0
    assert outcome["disclosed"] == {}
    for event in HAPPENS:
        assert outcome["events_by_type"][event] > 0
    assert "killed (kill -9)" in output
    assert "nothing was lost" in output
    everybody = Discretion([*(town := Town(7)).patients(12), *(person for _, person in town.staff())])
    assert everybody.found_in(output) == 0
    assert everybody.found_in((tmp_path / "flows.md").read_text()) == 0
    drawn = re.findall(r"^## (.+)$", (tmp_path / "flows.md").read_text(), re.MULTILINE)
    assert drawn == re.findall(r"^## (.+)$", (CHECKOUT / "docs" / "flows.md").read_text(), re.MULTILINE)
    assert not running() - before


def test_discretion_finds_what_is_told() -> None:
    """A name, a number or an address in a text is counted, whoever's it is; a text about something else tells nothing."""
    [patient] = Town(3).patients(1)
    discretion = Discretion([patient])
    assert discretion.found_in("invoice.paid took 3 ms") == 0
    for secret in (patient.full_name.split()[0], patient.phone, patient.email, patient.medical_record_number, patient.street):
        assert discretion.found_in(f"{{'error': 'no such patient: {secret}'}}") == 1


@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    ("moment", "options"),
    [
        pytest.param("accounts, databases, topology: done", [], id="while they start"),
        pytest.param("the services and the world outside: done", ["--stop"], id="at work"),
    ],
)
def test_interrupted_demo_leaves_nothing(moment: str, options: list[str]) -> None:
    """Ctrl-C ends servers and services with status 130 and no traceback: while they start, and at work without a broker.

    So it does whether or not the servers would have stayed.
    """
    before = running()
    process = demo("--patients", "1", *options)
    assert process.stdout is not None
    assert any(moment in line for line in process.stdout)
    if moment.startswith("the services"):
        for broker in brokers(but=before):
            broker.kill()
    process.send_signal(signal.SIGINT)
    output = process.stdout.read()
    assert process.wait() == 130, output
    assert "Traceback" not in output
    assert not running() - before


def brokers(*, but: set[int]) -> list[psutil.Process]:
    """The RabbitMQ of each demo in this checkout, except these."""
    found = [each for each in psutil.process_iter(["name"]) if each.info["name"] == "beam.smp" and _is_of_demo(each)]
    assert found
    return [each for each in found if each.pid not in but]


# Doubled effects.


def order_completed() -> LabOrderCompleted:
    return LabOrderCompleted(
        order_id=uuid4(),
        patient_id=uuid4(),
        facility_id=uuid4(),
        encounter_id=uuid4(),
        tests=(OrderedTest(code="718-7", name="Hemoglobin"), OrderedTest(code="777-3", name="Platelets")),
        completed_at=NOW,
    )


def delivery(event: LabOrderCompleted) -> Delivery:
    """The event as it arrives from the lab."""
    contract = event.contract
    envelope = Envelope(
        id=uuid7(),
        type=contract.name,
        source=contract.publisher,
        subject=event.subject,
        version=contract.version,
        sequence=1,
        flow=uuid7(),
        cause=None,
        trace=None,
        time=NOW,
        body=event.model_dump_json().encode(),
    )
    return Delivery(
        exchange=contract.publisher,
        routing_key=contract.name,
        message_id=str(envelope.id),
        headers=envelope.properties("lab").headers or {},
        body=envelope.body,
    )


async def deliver_twice(database: Database) -> None:
    """Billing is told twice of one completed order, whose patient it knows."""
    event = order_completed()
    await keep(database, PatientReference, patient(event))
    message = delivery(event)
    processor = BatchProcessor(database, billing, SUBSCRIPTIONS["charge_what_was_done"], Failures(billing))
    for _ in range(2):
        await processor.process([message])


def patient(event: LabOrderCompleted, version: int = 1) -> PatientChanged:
    return PatientChanged(
        patient_id=event.patient_id,
        facility_id=event.facility_id,
        medical_record_number="1",
        full_name="Nobody",
        birth_date=NOW.date(),
        sex="unknown",
        status="active",
        state_version=version,
        deleted=False,
    )


async def keep(database: Database, replica: type[Replica[Any]], state: StateEvent) -> None:
    envelope = Envelope(
        id=uuid7(),
        type=state.contract.name,
        source=state.contract.publisher,
        subject=state.subject,
        version=1,
        sequence=state.state_version,
        flow=uuid7(),
        cause=None,
        trace=None,
        time=NOW,
        body=b"",
    )
    async with database.transaction() as session:
        await upsert(session, replica, [Arrived.by(envelope, state)])


async def test_inbox_keeps_effects_single(databases: dict[str, Database]) -> None:
    """A redelivered event has its effect once."""
    await deliver_twice(databases["billing"])
    assert await duplicated(databases) == 0


async def test_without_the_inbox_effects_are_found_doubled(
    databases: dict[str, Database], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With an inbox that forgets everything, both charges of a redelivered order are counted as doubled."""

    async def forget(session: object, subscription: str, envelopes: list[Envelope], *, hold: bool) -> inbox.Taken:
        return inbox.Taken(free=frozenset(envelope.id for envelope in envelopes), held=frozenset())

    monkeypatch.setattr(inbox, "take", forget)
    await deliver_twice(databases["billing"])
    assert await duplicated(databases) == 2


# Replicas.


async def test_replicas_are_compared_with_their_owner_row_by_row(databases: dict[str, Database]) -> None:
    """A replica that misses a row, has one too many, an old version or other words is out of step."""
    services = {billing: databases["billing"], clinical: databases["clinical"]}
    facility = FACILITY.facility_id
    await keep(databases["clinical"], FacilityReference, FACILITY)
    async with databases["clinical"].transaction() as session:
        for number in range(3):
            await clinical_commands.register_patient(
                session,
                facility_id=facility,
                medical_record_number=str(number),
                full_name="Nobody",
                birth_date=NOW.date(),
                sex="unknown",
            )
    assert await agreements(services) == {"billing.patient": Agreement(rows=0, missing=3, surplus=0, different=0)}
    await copy_patients(databases)
    assert await agreements(services) == {"billing.patient": Agreement(rows=3, missing=0, surplus=0, different=0)}
    async with databases["billing"].engine.begin() as connection:
        await connection.execute(text("UPDATE patient_reference SET full_name = 'Somebody' WHERE medical_record_number = '0'"))
        await connection.execute(text("UPDATE patient_reference SET state_version = 0 WHERE medical_record_number = '1'"))
    await keep(databases["billing"], PatientReference, patient(order_completed()))
    found = (await agreements(services))["billing.patient"]
    assert found == Agreement(rows=4, missing=0, surplus=1, different=2)
    assert not found.in_step


async def copy_patients(databases: dict[str, Database]) -> None:
    """Brings billing what clinical published."""
    async with databases["clinical"].engine.connect() as connection:
        query = text("SELECT body FROM backbone.outbox WHERE type = 'patient.changed'")
        bodies = list(await connection.scalars(query))
    for body in bodies:
        await keep(databases["billing"], PatientReference, PatientChanged.read(body, 1))


# Money.


async def test_a_test_that_was_done_must_be_charged(databases: dict[str, Database]) -> None:
    """A charge that is on no invoice, for a test that the lab has not done, is wrong."""
    await deliver_twice(databases["billing"])
    given, *others = await balance(databases)
    assert not given.holds
    assert all(check.holds for check in others)


async def test_a_refund_must_leave_the_books(databases: dict[str, Database]) -> None:
    """Money that went back in payment and that billing still counts is wrong."""
    async with databases["billing"].engine.begin() as connection:
        values = {"id": uuid4(), "payment": uuid4(), "at": NOW}
        returned = "INSERT INTO payment_returns VALUES (:id, :payment, 'refund', 5, 'USD', :at)"
        await connection.execute(text(returned), values)
    *others, given_back = await balance(databases)
    assert (given_back.looked_at, given_back.wrong) == (0, 1)
    assert all(check.holds for check in others)


# Latency.


def test_percentiles_are_those_of_the_nearest_rank() -> None:
    """The p99 of a hundred effects is the second slowest, the p50 the fiftieth."""
    latency = Latency.of([number / 1000 for number in range(100, 0, -1)])
    assert (latency.effects, latency.p50, latency.p99) == (100, 50, 99)
    assert Latency.of([]) == Latency(0, 0.0, 0.0)


async def test_outage_is_left_out_only_of_the_undisturbed(databases: dict[str, Database]) -> None:
    """Every effect counts; those that something was down for are left out where it says so."""
    events = {uuid7(): NOW, uuid7(): NOW + timedelta(seconds=10)}
    async with databases["billing"].engine.begin() as connection:
        for position, (id_, at) in enumerate(events.items()):
            values = {"id": id_, "at": at, "position": position, "handled": at + timedelta(seconds=1 + position)}
            await connection.execute(
                text(
                    "INSERT INTO backbone.published (id, position, type, key, sequence, flow, occurred_at, subscriptions) "
                    "VALUES (:id, :position, 'a', 'b', 1, :id, :at, '{}')"
                ),
                values,
            )
            await connection.execute(
                text("INSERT INTO backbone.inbox (id, subscription, key, handled_at) VALUES (:id, 's', 'b', :handled)"), values
            )
    outage = Outage("broker", NOW + timedelta(seconds=9), NOW + timedelta(seconds=11))
    every, undisturbed = await latencies({billing: databases["billing"]}, [outage])
    assert (every.effects, every.p99) == (2, 2000)
    assert (undisturbed.effects, undisturbed.p99) == (1, 1000)


# The outcome.


def well() -> Outcome:
    return Outcome(
        events={"invoice.paid": 2},
        flows=1,
        effects=2,
        lost=0,
        out_of_order=0,
        duplicated=0,
        failed={"dead": 1},
        replicas={"lab.patient": Agreement(rows=1, missing=0, surplus=0, different=0)},
        money=[Check("invoices", 1, 0, Decimal(1))],
        latency=Latency.of([0.1]),
        latency_undisturbed=Latency.of([0.1]),
        killed=["rabbitmq"],
        troubles={},
        incidents=[],
        seen={"were tested": 1},
        asked={"lab": 1},
        cards={"tok_visa": 1},
        declined=0,
        mails={"A result is ready": 1},
        texts=[],
        refused_after=0.1,
        disclosed={},
        diagrams={},
        dead_letter="billing/1",
        key=Path("nilecare"),
        seconds=1.0,
    )


@pytest.mark.parametrize(
    "fault",
    [
        {"lost": 1},
        {"duplicated": 1},
        {"out_of_order": 1},
        {"failed": {"dead": 2}},
        {"failed": {"dead": 1, "waiting": 1}},
        {"replicas": {"lab.patient": Agreement(rows=1, missing=1, surplus=0, different=0)}},
        {"money": [Check("invoices", 1, 1, Decimal(1))]},
        {"disclosed": {"the log of lab": 2}},
        {"refused_after": 1.5},
    ],
)
def test_every_fault_is_named(fault: dict[str, object]) -> None:
    """What must not be is said in one line, and only then."""
    assert well().faults == []
    assert len(replace(well(), **fault).faults) == 1  # type: ignore[arg-type]


# What a person sees meanwhile.


async def test_pulse_of_each_service(databases: dict[str, Database]) -> None:
    """What waits in the outbox, what was relayed to whom, and what has had its effect."""
    await deliver_twice(databases["billing"])
    async with databases["billing"].engine.begin() as connection:
        await connection.execute(text("TRUNCATE backbone.outbox"))
        await connection.execute(
            text(
                "INSERT INTO backbone.published (id, position, type, key, sequence, flow, occurred_at, subscriptions) "
                "VALUES (:id, 1, 'a', 'b', 1, :id, :at, '{lab.one, lab.two, clinical.three}')"
            ),
            {"id": uuid7(), "at": NOW},
        )
    async with databases["clinical"].transaction() as session:
        publish(session, patient(order_completed()))
    pulses, events = await look({service: databases[service.name] for service in (billing, clinical, lab)})
    assert pulses == {"billing": Pulse(effects=1), "clinical": Pulse(outbox=1, queued=1), "lab": Pulse(queued=2)}
    assert events == 2


@pytest.mark.parametrize("watched", [True, False])
def test_pulses_are_for_who_watches(watched: bool) -> None:
    """A terminal shows them; a log does not."""
    with showing(Console(file=io.StringIO(), force_terminal=watched)) as board:
        assert board.watched is watched


# Smaller parts.


async def test_milestones_are_reached_once_passed() -> None:
    """Who waits for a share of the day goes on when it is over, also when it was before."""
    milestones = Milestones()
    waiting = asyncio.create_task(milestones.reached(0.5))
    await milestones.note(0.25)
    assert not waiting.done()
    await milestones.note(0.75)
    await waiting
    await milestones.reached(0.7)


def test_board_ends_a_step_once() -> None:
    """A step lasts until the next one begins, and each end is told once."""
    told: list[str] = []
    board = Board(told=told.append)
    board.step("patients", 1, 1)
    board.step("orders", 0, 2)
    assert [line.partition(":")[0] for line in told] == ["patients"]
    board.end_steps()
    assert [line.partition(":")[0] for line in told] == ["patients", "orders"]


def test_troubles_are_read_from_logs(tmp_path: Path) -> None:
    """Only lines that tell of a trouble are counted, whatever else is in a log."""
    log = tmp_path / "lab.log"
    log.write_text('{"event": "relay.in_doubt"}\nlab http://\n{"event": "service.started"}\n[1]\n{"event": "relay.in_doubt"}\n')
    assert troubles([log]) == {"relay.in_doubt": 2}
