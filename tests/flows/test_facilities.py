"""A token of one facility sees nothing of another's, and changes nothing: tried on every route that there is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from tests.flows.asked import ROLES, Route, routes_of_service
from tests.flows.beds import furnish
from tests.flows.hospital import GLUCOSE, Hospital, Person
from tests.flows.running import Running
from tests.flows.staff import engaged
from tests.flows.till import something_of_everything
from tests.flows.told import something_told

COMMON = ("lab /lab-tests", "ehr /retentions", "notification /me", "notification /templates", "notification /topics")
"""What belongs to no facility: routes that begin so are the same for all."""


@dataclass(frozen=True, slots=True)
class Work:
    """What a facility has: a patient, and something of everything that routes are about, by the names of their ids."""

    hospital: Hospital
    ids: dict[str, str]


def routes_of_facilities(service: str) -> list[Route]:
    """The routes of a service that are about what belongs to one facility."""
    return [route for route in routes_of_service(service) if not f"{service} {route.path}".startswith(COMMON)]


async def writes(hospital: Hospital, person: Person, encounter: str) -> dict[str, str]:
    """Something of everything that is written in a health record, by a trainee: a note then waits for a cosignature."""
    trainee = await engaged(hospital, "trainee")
    asked = {"patient_id": person.id, "encounter_id": encounter, "content": {"kind": "progress", "text": "slept well"}}
    note = (await trainee.ask("ehr", "POST", "/notes", asked))["note_id"]
    await trainee.ask("ehr", "POST", f"/notes/{note}/sign")
    problem = await trainee.ask("ehr", "POST", "/problems", {"patient_id": person.id, "code": "I10"})
    referral = {"patient_id": person.id, "title": "Referral", "media_type": "text/plain", "content": "to the eye clinic"}
    document = await trainee.ask("ehr", "POST", "/documents", referral)
    return {"note_id": note, "problem_id": problem["problem_id"], "document_id": document["document_id"], "version": "1"}


@pytest.fixture(scope="module")
async def work(hospital: Hospital) -> Work:
    """A facility in the middle of its work."""
    person, other = await hospital.registers(), await hospital.registers()
    invoice = await hospital.invoices(person)
    payment = await hospital.ask("payment", "POST", "/payments", hospital.card(invoice, None, "2.00"))
    encounter = await hospital.admits(person)
    # 4.2 mg/dL: so critical that somebody has to be called.
    order = await hospital.completes(person, GLUCOSE)
    await hospital.controls(GLUCOSE)
    [result] = (await hospital.ask("lab", "GET", f"/lab-orders/{order}/results")).items
    written = await writes(hospital, person, encounter)
    floor = await furnish(hospital, 2, name="a ward")
    ids = {
        "facility_id": hospital.id,
        "department_id": floor.department,
        "ward_id": floor.ward,
        "bed_id": floor.beds[0],
        "to_bed_id": floor.beds[1],
        "setting": "visiting_from",
        "patient_id": person.id,
        "into_patient_id": other.id,
        "encounter_id": encounter,
        "order_id": order,
        "sample_id": result["sample_id"],
        "result_id": result["result_id"],
        "invoice_id": invoice["invoice_id"],
        **written,
        "payment_id": payment["payment_id"],
        **await something_of_everything(hospital, await hospital.registers()),
        **await something_told(hospital),
    }
    return Work(hospital, ids)


@pytest.fixture(scope="module")
async def stranger(running: Running) -> AsyncIterator[Hospital]:
    """The staff of another facility, with every role that there is."""
    stranger = Hospital(running)
    yield stranger
    await stranger.close()


def test_there_is_something_of_everything(work: Work) -> None:
    """Every id that a route asks for is one of something that the facility has."""
    asked = {place for service in ROLES for route in routes_of_facilities(service) for place in route.places}
    assert asked - work.ids.keys() == set()


@pytest.mark.parametrize("service", ROLES)
async def test_another_facilitys_things_do_not_exist(running: Running, work: Work, stranger: Hospital, service: str) -> None:
    """404 as for an id that nobody has, or an empty list; and nothing is changed, stored or published."""
    before = await running.contents(service)
    for route in routes_of_facilities(service):
        body = route.body(work.ids)
        if route.is_list:
            assert (await stranger.begin(service, "GET", route.path, status=200)).items == [], route.name
        else:
            reply = await stranger.begin(service, route.method, route.filled(work.ids), body, status=404)
            unknown = await stranger.begin(service, route.method, route.filled(), body, status=404)
            assert reply.body == unknown.body, route.name
    assert await running.contents(service) == before


@pytest.mark.parametrize("service", ROLES)
async def test_naming_what_one_looks_for_does_not_help(work: Work, stranger: Hospital, service: str) -> None:
    """A list stays empty for who asks for another facility's patient or invoice by their ids."""
    asked = {name: work.ids[name] for name in ("patient_id", "invoice_id")} | {"limit": "200"}
    for route in routes_of_facilities(service):
        if route.is_list:
            assert (await stranger.begin(service, "GET", route.path, params=asked)).items == [], route.name


@pytest.mark.parametrize("service", ROLES)
async def test_without_the_role_it_is_refused(running: Running, work: Work, service: str) -> None:
    """403 for a token of the facility itself that carries no role which the route is for."""
    headers = {"Authorization": f"Bearer {work.hospital.token(service, 'gardener')}"}
    before = await running.contents(service)
    for route in (each for each in routes_of_service(service) if each.roles):
        asked = (service, route.method, route.filled(work.ids), route.body(work.ids))
        reply = await work.hospital.begin(*asked, status=403, headers=headers)
        assert "one of the roles" in reply["detail"], route.name
    assert await running.contents(service) == before
