"""A facility and its staff, who do their work over the services' HTTP APIs and see nothing of any other facility."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import httpx

from broker._context import cause_in_hand
from tests.flows.asked import ROLES
from tests.flows.running import Running

POTASSIUM, GLUCOSE, CULTURE = "2823-3", "2345-7", "630-4"

CATALOGUE: dict[str, dict[str, Any]] = {
    POTASSIUM: {
        "name": "Potassium",
        "unit": "mmol/L",
        "ranges": [{"low": "3.5", "high": "5.1", "danger_low": "2.5", "danger_high": "6.5"}],
    },
    GLUCOSE: {
        "name": "Glucose",
        "unit": "mg/dL",
        "molar_mass": "180.156",
        "ranges": [{"low": "70", "high": "99", "danger_low": "40", "danger_high": "450"}],
    },
    CULTURE: {"name": "Urine culture", "unit": "1", "normal_text": "no growth"},
}

HOUSE = {"name": "Khartoum General", "kind": "hospital", "time_zone": "Africa/Khartoum", "currency": "USD"}

PRICES = {POTASSIUM: "12.50", GLUCOSE: "7.25", CULTURE: "31.10"}


@dataclass(frozen=True, slots=True)
class Reply:
    """What a service answered: the flow that the request began, and the body."""

    flow: UUID
    status: int
    headers: httpx.Headers
    body: Any

    def __getitem__(self, name: str) -> Any:
        return self.body[name]

    @property
    def items(self) -> list[Any]:
        """Those on the page."""
        found: list[Any] = self.body["items"]
        return found


@dataclass(frozen=True, slots=True)
class Person:
    """A patient, as the registrar wrote them down."""

    id: str
    name: str
    number: str
    born: str

    @property
    def label(self) -> dict[str, str]:
        """What stands on this patient's samples."""
        return {"full_name": self.name, "birth_date": self.born, "medical_record_number": self.number}


class Hospital:
    """One facility.

    What `ask` is asked for is over, in all services, when the answer is given back; so is whatever of the daily work here
    another service has to hear of before the next step can be taken. Within a flow that a test has started, what has to be
    over is the test's to say: there nothing is waited for.
    """

    def __init__(self, running: Running) -> None:
        self.id = str(uuid4())
        self.staff = uuid4()
        self.running = running
        self._clients: dict[str, httpx.AsyncClient] = {}

    def token(self, service: str, *roles: str, user: UUID | None = None) -> str:
        """A token of this facility's staff: with these roles, or all that the service knows; `user` is who."""
        subject = str(user or self.staff)
        return self.running.deployment.token(*(roles or ROLES[service]), facilities=[UUID(self.id)], subject=subject)

    def everywhere(self, role: str) -> dict[str, str]:
        """Says that one of the staff asks whose role counts at every facility."""
        return {"Authorization": f"Bearer {self.running.deployment.token(role, subject=str(self.staff))}"}

    def client(self, service: str) -> httpx.AsyncClient:
        """Speaks to a service for the staff."""
        if service not in self._clients:
            self._clients[service] = self.running.deployment.client(service, self.token(service))
        return self._clients[service]

    async def close(self) -> None:
        """Closes the connections."""
        for client in self._clients.values():
            await client.aclose()

    async def ask(
        self, service: str, method: str, path: str, body: object = None, *, status: int | None = None, **more: Any
    ) -> Reply:
        """The answer to a request, once all that followed is over; it has to be a success, or `status`."""
        reply = await self.begin(service, method, path, body, status=status, **more)
        if method != "GET" and cause_in_hand() is None:
            await self.running.settled(reply.flow)
        return reply

    async def begin(
        self, service: str, method: str, path: str, body: object = None, *, status: int | None = None, **more: Any
    ) -> Reply:
        """As `ask`, without waiting for what follows."""
        given = more if body is None else {"json": body, **more}
        response = await self.client(service).request(method, path, **given)
        if response.is_error:
            self.running.problems.append(response.text)
            assert response.headers["content-type"] == "application/problem+json"
        assert response.is_success if status is None else response.status_code == status, response.text
        flow = UUID(response.headers["X-Correlation-ID"])
        return Reply(flow, response.status_code, response.headers, response.json() if response.content else None)

    def secret(self, begins: str) -> str:
        """Something of a person that begins so and that nothing else can be mistaken for."""
        made = f"{begins}{secrets.randbelow(10**9):09d}"
        self.running.personal.add(made)
        return made

    async def opens(self) -> None:
        """The facility is there for every service; the catalogue and the prices are set."""
        await self.ask("facility", "PUT", f"/facilities/{self.id}", HOUSE)
        for code, test in CATALOGUE.items():
            await self.begin("lab", "PUT", f"/lab-tests/{code}", test, headers=self.everywhere("lab_manager"))
        for code, price in PRICES.items():
            await self.price(code, price)
        await self.running.settled()

    async def price(self, code: str, amount: str) -> Reply:
        """Sets what a test costs here."""
        price = {"amount": amount, "currency": "USD"}
        asked = {"facility_id": self.id, "code": code, "price": price, "effective_from": "2020-01-01"}
        return await self.begin("billing", "PUT", "/prices", asked)

    async def registers(self) -> Person:
        """A new patient, whom every service knows."""
        person, asked = self.new_person()
        reply = await self.ask("clinical", "POST", "/patients", asked)
        return Person(reply["patient_id"], person.name, person.number, person.born)

    def new_person(self) -> tuple[Person, dict[str, str]]:
        """Somebody who is no patient yet, and what the registrar asks for."""
        person = Person("", self.secret("Amal Idris "), self.secret("MRN"), "1957-03-09")
        asked = {
            "facility_id": self.id,
            "medical_record_number": person.number,
            "full_name": person.name,
            "birth_date": person.born,
            "sex": "female",
        }
        return person, asked

    async def admits(self, person: Person) -> str:
        """An encounter that is in progress."""
        asked = {"patient_id": person.id, "encounter_class": "ambulatory"}
        encounter = (await self.begin("clinical", "POST", "/encounters", asked))["encounter_id"]
        await self.begin("clinical", "POST", f"/encounters/{encounter}/arrive", {})
        await self.ask("clinical", "POST", f"/encounters/{encounter}/start", {})
        return str(encounter)

    async def discharges(self, encounter: str) -> Reply:
        """The encounter is over."""
        return await self.ask("clinical", "POST", f"/encounters/{encounter}/discharge", {})

    async def orders(self, person: Person, *tests: str, encounter: str | None = None) -> str:
        """An order for these tests."""
        asked = {"patient_id": person.id, "tests": tests, "encounter_id": encounter}
        return str((await self.begin("lab", "POST", "/lab-orders", asked))["order_id"])

    async def controls(self, test: str) -> Reply:
        """A control that shows what it should."""
        asked = {"facility_id": self.id, "test_code": test, "level": 1, "value": "4.0", "target": "4.1", "sd": "0.1"}
        return await self.ask("lab", "POST", "/controls", asked)

    async def samples(self, order: str, person: Person) -> str:
        """A sample, as it lies in the lab."""
        sample = (await self.begin("lab", "POST", f"/lab-orders/{order}/samples", {"label": person.label}))["sample_id"]
        await self.begin("lab", "POST", f"/samples/{sample}/send")
        await self.begin("lab", "POST", f"/samples/{sample}/receive", {})
        return str(sample)

    async def accepts(self, order: str, person: Person) -> str:
        """A sample that can be measured."""
        sample = await self.samples(order, person)
        await self.begin("lab", "POST", f"/samples/{sample}/accept")
        return sample

    async def measures(self, order: str, test: str, **measured: str) -> str:
        """A result that nobody knows yet."""
        asked = {"test_code": test, **measured}
        return str((await self.begin("lab", "POST", f"/lab-orders/{order}/results", asked))["result_id"])

    async def releases(self, result: str) -> Reply:
        """The result is available."""
        return await self.ask("lab", "POST", f"/lab-results/{result}/verify", {})

    async def corrects(self, result: str, value: str) -> Reply:
        """The lab says of a potassium what it should have said."""
        asked = {"value": value, "unit": CATALOGUE[POTASSIUM]["unit"], "reason": "haemolysed"}
        return await self.ask("lab", "POST", f"/lab-results/{result}/correct", asked)

    async def completes(self, person: Person, *tests: str, encounter: str | None = None) -> str:
        """An order, with all its results."""
        order = await self.orders(person, *tests, encounter=encounter)
        await self.accepts(order, person)
        for test in tests:
            text = {"text_value": self.secret("flora ")}
            measured = text if test == CULTURE else {"value": self.secret("4.2"), "unit": CATALOGUE[test]["unit"]}
            await self.releases(await self.measures(order, test, **measured))
        return order

    async def invoices(self, person: Person) -> Any:
        """The one invoice of an encounter in which this patient was measured once."""
        encounter = await self.admits(person)
        await self.completes(person, POTASSIUM, encounter=encounter)
        await self.discharges(encounter)
        [invoice] = await self.owed(person)
        return invoice

    async def owed(self, person: Person) -> list[Any]:
        """The invoices of a patient."""
        return (await self.ask("billing", "GET", "/invoices", params={"patient_id": person.id})).items

    async def pays(self, invoice: Any, token: str, amount: str | None = None) -> Reply:
        """Pays an invoice by card, as far as the provider lets it."""
        return await self.ask("payment", "POST", "/payments", self.card(invoice, token, amount))

    def card(self, invoice: Any, token: str | None, amount: str | None = None) -> dict[str, Any]:
        """What the cashier asks for when an invoice is paid by card: with all that is open, if nothing else is said."""
        money = invoice["balance"] if amount is None else {"amount": amount, "currency": "USD"}
        return {"invoice_id": invoice["invoice_id"], "amount": money, "token": token}

    async def shows(self, service: str, path: str) -> Any:
        """One thing, as a service shows it."""
        return (await self.ask(service, "GET", path)).body

    async def record(self, person: Person) -> tuple[list[Any], list[Any]]:
        """What the patient's record shows, the oldest first: results, and invoices that are paid."""
        results = await self.ask("clinical", "GET", f"/patients/{person.id}/results")
        paid = await self.ask("clinical", "GET", f"/patients/{person.id}/paid-invoices")
        return results.items[::-1], paid.items[::-1]


def money(amount: str | Decimal) -> dict[str, str]:
    """US dollars, as the services show them."""
    return {"amount": str(amount), "currency": "USD"}
