"""Loading Synthea's files through the services' own commands, while the services run.

Each row, or group of rows that belong together, is one transaction and one flow. Ids come from the files, so that whatever was
taken once is recognised: a load that was interrupted goes on where it was, and a second one changes nothing.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import date
from pathlib import Path
from typing import Any, TypeVar, get_args
from uuid import UUID, uuid5

from sqlalchemy import ARRAY, ColumnElement, Text, any_, cast, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from broker import NotYet, RuleBroken, Service
from broker._context import Cause, caused_by, uuid7
from broker._database import Database
from broker._flows import Flows
from contracts.clinical import EncounterClass, Sex
from contracts.money import Money
from contracts.payment import PaymentMethod
from nilecare.synthea.columns import COLUMNS
from nilecare.synthea.orders import Order, orders_in
from nilecare.synthea.ranges import ranges_of
from nilecare.synthea.read import Row, RowRefused, read
from nilecare.synthea.report import Progress, Report
from services.billing import commands as billing
from services.billing.rules import ImportedInvoice, ImportedLine
from services.billing.tables import Invoice
from services.clinical import commands as clinical
from services.clinical.tables import Encounter, Patient
from services.facility import commands as facility
from services.facility.tables import Facility
from services.lab import commands as lab
from services.lab.replicas import PatientReference
from services.lab.tables import LabOrder
from services.payment import commands as payment
from services.payment.rules import RecordedPayment
from services.payment.tables import Payment

T = TypeVar("T")
Files = Mapping[str, Sequence[Row]]

AT_ONCE = 32
"""Transactions under way at once."""

PATIENCE = 600.0
"""Seconds in which the services must have handled what a step caused; an outage in between is waited for."""

NAMESPACE = UUID("6a6b1c1e-52b5-4a53-9b8c-6f2f6b2b7d10")
"""Ids that Synthea does not give are made from this and from what it does give."""

TIME_ZONE = "America/New_York"
"""Of every facility: Synthea's people live in Massachusetts unless it is told otherwise."""

SEX: Mapping[str, Sex] = {"F": "female", "M": "male"}
CLASSES: Mapping[str, EncounterClass] = {name: name for name in get_args(EncounterClass)}
METHODS: Mapping[str, PaymentMethod] = {
    "CASH": "cash",
    "COPAY": "cash",
    "CC": "card",
    "CHECK": "bank_transfer",
    "ECHECK": "bank_transfer",
}


class Loader:
    """Takes the files of one folder.

    files: as `files_of` reads them. databases: of the services, which must be running. prices: by LOINC code; what the lab
    does is charged at these, without them it is not. say: is told how far each step is.
    """

    def __init__(
        self,
        files: Files,
        databases: Mapping[Service, Database],
        *,
        prices: Mapping[str, Money] | None = None,
        say: Callable[[Progress], None] = lambda progress: None,
    ) -> None:
        self._files = files
        self._flows = Flows(databases)
        self._databases = self._flows.databases
        self._prices = prices or {}
        self._say = say
        self._report = Report()
        self._facilities: dict[UUID, UUID] = {}
        self._invoices: dict[tuple[UUID, str], UUID] = {}
        self._payments: set[str] = set()

    async def run(self) -> Report:
        """Takes every row it can. Raises FlowOpen when the services do not handle what comes of it."""
        files = self._files
        self._locate(files)
        orders = orders_in(files["observations"], self._report)
        await self._step("facilities", files["organizations"], self._open)
        await self._define_tests(orders)
        await self._step("patients", files["patients"], self._register)
        await self._step("encounters", files["encounters"], self._start)
        await self._step("orders", orders, self._order)
        await self._step("discharges", files["encounters"], self._discharge)
        await self._step("deaths", files["patients"], self._record_death)
        charges, payments = self._sorted(files["claims_transactions"])
        await self._recognise_invoices(files["claims"])
        await self._step("invoices", files["claims"], lambda row: self._invoice(row, charges.pop(row.values["Id"], [])))
        for row in (row for rows in charges.values() for row in rows):
            self._report.refuse(row, "CLAIMID names no claim in claims.csv")
        await self._recognise_invoices(files["claims"])
        await self._recognise_payments(payments)
        await self._step("payments", payments, self._pay)
        return self._report

    async def _step(self, name: str, items: Sequence[T], take: Callable[[T], Awaitable[None]]) -> None:
        """Takes the items, some at once, and waits until all that follows from them has happened."""
        self._say(Progress(name, 0, len(items)))
        turns = asyncio.Semaphore(AT_ONCE)
        done = 0

        async def one(item: T) -> None:
            nonlocal done
            async with turns:
                with caused_by(Cause(flow=uuid7())):
                    await take(item)
            done += 1
            self._say(Progress(name, done, len(items)))

        async with asyncio.TaskGroup() as tasks:
            for item in items:
                tasks.create_task(one(item))
        await self._flows.settled(seconds=PATIENCE)

    @asynccontextmanager
    async def _taking(self, service: str, *rows: Row) -> AsyncIterator[_Taking]:
        """A transaction for these rows, which are counted at its end: as taken, taken before, or not taken and why."""
        try:
            async with self._databases[service].transaction() as session:
                taking = _Taking(session)
                yield taking
        except (RowRefused, RuleBroken, NotYet) as refused:
            for row in rows:
                self._report.refuse(row, str(refused))
        else:
            for row in rows:
                self._report.take(row, now=not taking.was_there)

    def _locate(self, files: Files) -> None:
        """A patient belongs to the facility that saw them first, of those that are known."""
        known = {row.values["Id"] for row in files["organizations"]}
        for row in sorted(files["encounters"], key=lambda row: row.values["START"]):
            if row.values["ORGANIZATION"] not in known:
                continue
            try:
                self._facilities.setdefault(row.id("PATIENT"), row.id("ORGANIZATION"))
            except RowRefused:
                continue

    def _facility(self, row: Row, column: str) -> UUID:
        facility_id = self._facilities.get(row.id(column))
        if facility_id is None:
            raise RowRefused(f"no encounter says which facility the patient in {column} belongs to")
        return facility_id

    async def _define_tests(self, orders: Iterable[Order]) -> None:
        tests = {result.code: result for order in orders for result in order.results}
        async with self._databases["lab"].transaction() as session:
            for code, test in sorted(tests.items()):
                await lab.define_test(session, code, name=test.name, unit=test.unit, ranges=ranges_of(code))
        async with self._databases["billing"].transaction() as session:
            for facility_id in sorted(set(self._facilities.values())):
                for code, price in sorted(self._prices.items()):
                    await billing.set_price(
                        session, facility_id=facility_id, code=code, price=price, effective_from=date(1900, 1, 1)
                    )

    async def _open(self, row: Row) -> None:
        async with self._taking("facility", row) as taking:
            facility_id = row.id("Id")
            if await taking.is_there(Facility, facility_id):
                return
            await facility.put_facility(
                taking.session,
                facility_id,
                name=row.text("NAME"),
                kind="hospital",
                time_zone=TIME_ZONE,
                currency="USD",
            )

    async def _register(self, row: Row) -> None:
        async with self._taking("clinical", row) as taking:
            patient_id = row.id("Id")
            if await taking.is_there(Patient, patient_id):
                return
            await clinical.register_patient(
                taking.session,
                patient_id=patient_id,
                facility_id=self._facility(row, "Id"),
                medical_record_number=f"SYN-{patient_id.hex[:12].upper()}",
                full_name=f"{row.text('FIRST')} {row.text('LAST')}",
                birth_date=row.day("BIRTHDATE"),
                sex=_one_of(row, "GENDER", SEX),
            )

    async def _start(self, row: Row) -> None:
        async with self._taking("clinical", row) as taking:
            encounter_id, start = row.id("Id"), row.time("START")
            if await taking.is_there(Encounter, encounter_id):
                return
            await clinical.plan_encounter(
                taking.session,
                encounter_id=encounter_id,
                patient_id=row.id("PATIENT"),
                encounter_class=_one_of(row, "ENCOUNTERCLASS", CLASSES),
                planned_at=start,
            )
            await clinical.arrive(taking.session, encounter_id, at=start)
            await clinical.start_encounter(taking.session, encounter_id, at=start, admit=False)

    async def _order(self, order: Order) -> None:
        """Orders, samples, measures and verifies, as the lab would."""
        async with self._taking("lab", *(result.row for result in order.results)) as taking:
            order_id = uuid5(NAMESPACE, f"{order.encounter_id}/{order.at.isoformat()}")
            if await taking.is_there(LabOrder, order_id):
                return
            session = taking.session
            patient = await PatientReference.current(session, order.patient_id)
            await lab.place_order(
                session,
                order_id=order_id,
                patient_id=patient.id,
                tests=[result.code for result in order.results],
                encounter_id=order.encounter_id,
                at=order.at,
            )
            sample = await lab.collect_sample(session, order_id, label=patient.identifiers, at=order.at)
            await lab.send_sample(session, sample.sample_id)
            await lab.receive_sample(session, sample.sample_id, at=order.at)
            await lab.accept_sample(session, sample.sample_id)
            for result in order.results:
                result_id = uuid5(order_id, result.code)
                await lab.enter_result(session, order_id, result.code, result.measured, result_id=result_id)
                await lab.verify_result(session, result_id, at=order.at)

    async def _discharge(self, row: Row) -> None:
        """The row was counted when its encounter started."""
        try:
            encounter_id, stop = row.id("Id"), row.optional_time("STOP")
            async with self._databases["clinical"].transaction() as session:
                encounter = await session.get(Encounter, encounter_id)
                if stop and encounter is not None and encounter.status == "in_progress":
                    await clinical.discharge(session, encounter_id, at=stop)
        except (RowRefused, RuleBroken) as refused:
            self._report.refuse(row, f"the encounter stays open: {refused}")

    async def _record_death(self, row: Row) -> None:
        """After all that was done for the patient. The row was counted when they were registered."""
        try:
            patient_id, died = row.id("Id"), row.optional_day("DEATHDATE")
            async with self._databases["clinical"].transaction() as session:
                patient = await session.get(Patient, patient_id)
                if died and patient is not None and patient.status == "active":
                    await clinical.record_death(session, patient_id, died)
        except (RowRefused, RuleBroken) as refused:
            self._report.refuse(row, f"the patient stays alive: {refused}")

    def _sorted(self, rows: Iterable[Row]) -> tuple[defaultdict[str, list[Row]], list[Row]]:
        """The charges by claim, and the payments."""
        charges: defaultdict[str, list[Row]] = defaultdict(list)
        payments = []
        for row in rows:
            match row.values["TYPE"]:
                case "CHARGE":
                    charges[row.values["CLAIMID"]].append(row)
                case "PAYMENT":
                    payments.append(row)
                case "TRANSFERIN" | "TRANSFEROUT":
                    self._report.refuse(row, "TYPE is a transfer between payers, which changes nothing of what is owed")
                case _:
                    self._report.refuse(row, "TYPE is none that this loader knows")
        return charges, payments

    async def _recognise_invoices(self, claims: Iterable[Row]) -> None:
        """Which invoices are there, by facility and by what the files call them: another facility may call its own the same."""
        async with self._databases["billing"].transaction() as session:
            named = _among(Invoice.external_reference, [row.values["Id"] for row in claims])
            columns = (Invoice.facility_id, Invoice.external_reference, Invoice.invoice_id)
            known = await session.execute(select(*columns).where(named))
            self._invoices = {(facility_id, str(reference)): invoice_id for facility_id, reference, invoice_id in known}

    async def _recognise_payments(self, payments: Iterable[Row]) -> None:
        """Which payments are there, by what the files call them."""
        async with self._databases["payment"].transaction() as session:
            named = _among(Payment.reference, [row.values["ID"] for row in payments])
            self._payments = set(map(str, await session.scalars(select(Payment.reference).where(named))))

    async def _invoice(self, claim: Row, charges: Sequence[Row]) -> None:
        async with self._taking("billing", claim, *charges) as taking:
            reference, facility_id = str(claim.id("Id")), self._facility(claim, "PATIENTID")
            taking.was_there = (facility_id, reference) in self._invoices
            if taking.was_there:
                return
            imported = ImportedInvoice(
                external_reference=reference,
                patient_id=claim.id("PATIENTID"),
                facility_id=facility_id,
                encounter_id=claim.id("APPOINTMENTID"),
                issued_at=claim.time("SERVICEDATE"),
                lines=tuple(
                    ImportedLine(
                        code=row.text("PROCEDURECODE"), description=row.text("NOTES"), amount=Money.of(row.number("AMOUNT"))
                    )
                    for row in charges
                ),
            )
            await billing.import_invoice(taking.session, imported)

    async def _pay(self, row: Row) -> None:
        async with self._taking("payment", row) as taking:
            facility_id = self._facility(row, "PATIENTID")
            invoice_id = self._invoices.get((facility_id, row.values["CLAIMID"]))
            if invoice_id is None:
                raise RowRefused("CLAIMID names no claim that was taken")
            reference = str(row.id("ID"))
            taking.was_there = reference in self._payments
            recorded = RecordedPayment(
                reference=reference,
                invoice_id=invoice_id,
                patient_id=row.id("PATIENTID"),
                facility_id=facility_id,
                amount=Money.of(row.number("PAYMENTS")),
                method=_one_of(row, "METHOD", METHODS),
                received_at=row.time("FROMDATE"),
            )
            await payment.record_payment(taking.session, recorded)


class _Taking:
    """A transaction, and whether what it was to take was there already."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session
        self.was_there = False

    async def is_there(self, table: type[object], id_: UUID) -> bool:
        self.was_there = await self.session.get(table, id_) is not None
        return self.was_there


def files_of(folder: Path) -> Files:
    """The rows of each file that is needed. Raises FolderUnusable."""
    return {name: list(read(folder, name, columns)) for name, columns in COLUMNS.items()}


def _among(column: InstrumentedAttribute[Any], values: Sequence[str]) -> ColumnElement[bool]:
    """Whether a column has one of very many values: as one array, which no limit of parameters holds for."""
    return column == any_(cast(values, ARRAY(Text)))


def _one_of(row: Row, column: str, known: Mapping[str, T]) -> T:
    value = known.get(row.text(column))
    if value is None:
        raise RowRefused(f"{column} is none of {', '.join(sorted(known))}")
    return value
