"""A token of one facility sees nothing of another's, and changes nothing: tried on every route that there is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from tests.flows.asked import ROLES, Route, routes_of_service
from tests.flows.everything import everything
from tests.flows.hospital import Hospital
from tests.flows.running import Running

COMMON = {
    "auth /roles": "which roles there are",
    "clinical /icd10-codes": "the code set",
    "clinical /patients/{patient_id}/break-glass": "meant for other facilities' patients; it is audited and reviewed",
    "lab /lab-tests": "the catalogue",
    "notification /templates": "the platform's texts",
    "notification /topics": "what can be told",
    "operations /": "failed messages belong to the platform, and say nothing of what a facility has",
    "payment /unmatched-transfers": "what came to the platform's own account: for who manages every facility",
}
"""What belongs to no facility: routes that begin so are the same for all; each with what they are about."""


@dataclass(frozen=True, slots=True)
class Work:
    """What a facility has: something of everything that routes are about, by the names of their ids."""

    hospital: Hospital
    ids: dict[str, str]

    @property
    def names(self) -> dict[str, str]:
        """What of it is told apart by a name that everybody knows."""
        return {name: value for name, value in self.ids.items() if not name.endswith("_id")}


def routes_of_facilities(service: str) -> list[Route]:
    """The routes of a service that are about what belongs to one facility, or to one user."""
    routes = [route for route in routes_of_service(service) if not f"{service} {route.path}".startswith(tuple(COMMON))]
    return [route for route in routes if route.roles or route.places or route.is_list]


def refused_by(route: Route) -> str:
    """The rule that keeps out who has all roles, but elsewhere: there is no such thing, or it is for who is everywhere."""
    if route.service.name != "auth" or not route.roles:
        return "NotFound"
    if "facility_manager" not in route.roles:
        return "RoleMustCountEverywhere"
    gives = route.path.endswith(("/roles", "/roles/{role}", "/invitations")) and route.method != "GET"
    return "RoleMayNotBeGranted" if gives else "NotFound"


@pytest.fixture(scope="module")
async def work(hospital: Hospital) -> Work:
    """A facility in the middle of its work."""
    return Work(hospital, await everything(hospital))


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
        rule, body = refused_by(route), route.body(work.ids)
        if route.is_list and rule == "NotFound":
            assert (await stranger.begin(service, "GET", route.path, status=200)).items == [], route.name
        else:
            status = 404 if rule == "NotFound" else 403
            reply = await stranger.begin(service, route.method, route.filled(work.ids), body, status=status)
            unknown = await stranger.begin(service, route.method, route.filled(work.names), body, status=status)
            assert reply.body == unknown.body, route.name
            assert reply["type"] == f"urn:nilecare:rule:{rule}", route.name
    assert await running.contents(service) == before


@pytest.mark.parametrize("service", ROLES)
async def test_naming_what_one_looks_for_does_not_help(work: Work, stranger: Hospital, service: str) -> None:
    """A list stays empty for who asks for another facility's patient or invoice by their ids."""
    asked = {name: work.ids[name] for name in ("patient_id", "invoice_id")} | {"limit": "200"}
    for route in routes_of_facilities(service):
        if route.is_list and refused_by(route) == "NotFound":
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
