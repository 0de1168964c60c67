"""Bodies that are none, or have something wrong in them: always a problem document, never a 500, and nothing is stored."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from broker._http import LARGEST_BODY
from tests.flows.asked import ROLES, ROUTES, Route, refusal
from tests.flows.running import Running

WRONG: tuple[object, ...] = ([[]], {"": None}, True, -1, 1e300, float("nan"), "", "\0", "\ud800", "\u202e" * 3000, "9" * 400)
"""What no field asks for, or no database can store."""

TAKEN: dict[str, tuple[object, ...]] = {
    "age_from": (True,),
    "age_to": (True,),
    "low": (-1,),
    "danger_low": (-1,),
}
"""What of that a field means after all."""


RAW: dict[str, tuple[bytes, str, int]] = {
    "nothing": (b"", "application/json", 422),
    "no JSON": (b"{", "application/json", 422),
    "a list": (b"[]", "application/json", 422),
    "a text": (b'"x"', "application/json", 422),
    "null": (b"null", "application/json", 422),
    "nesting": (b"[" * 100_000, "application/json", 400),
    "a number of many digits": (b'{"at": ' + b"9" * 100_000 + b"}", "application/json", 400),
    "no UTF-8": (b'{"reason": "\xff\xfe"}', "application/json", 400),
    "a form": (b"reason=because", "application/x-www-form-urlencoded", 422),
    "XML": (b"<reason/>", "application/xml", 422),
    "too much": (b'{"reason": "' + b"x" * LARGEST_BODY + b'"}', "application/json", 413),
}


def spoiled(body: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """The body with one thing wrong in it, for everything that can be; each with what is wrong."""
    for key in body if isinstance(body, dict) else range(len(body)):
        inside = body[key]
        for wrong in WRONG:
            if any(wrong is taken for taken in TAKEN.get(str(key), ())):
                continue
            other = copy.copy(body)
            other[key] = wrong
            yield f"{name}{key} is {str(wrong)[:10]!r}", other
        if isinstance(inside, dict | list):
            for said, other_inside in spoiled(inside, f"{name}{key}."):
                other = copy.copy(body)
                other[key] = other_inside
                yield said, other
    if isinstance(body, dict):
        yield f"{name} has a surprise", body | {"surprise": 1}


BODIES = [route for route in ROUTES if route.schema is not None and route.asks_for_a_token]


def richest(service: str) -> Route:
    """The route of a service whose body says most."""
    return max((route for route in BODIES if route.service.name == service), key=lambda route: len(str(route.body())))


@pytest.mark.parametrize("service", ROLES)
async def test_a_body_that_is_none(running: Running, anybody: dict[str, httpx.AsyncClient], service: str) -> None:
    """No JSON, other JSON, too deep, too much or of another type: refused by every route, and nothing is stored."""
    before = await running.contents(service)
    for route in BODIES:
        if route.service.name == service:
            wrong = RAW.values() if route is richest(service) else (RAW["no JSON"], RAW["a list"], RAW["a form"])
            for content, media_type, status in wrong:
                headers = {"Content-Type": media_type}
                response = await anybody[service].request(route.method, route.filled(), content=content, headers=headers)
                refusal(running, response, status)
    assert await running.contents(service) == before


@pytest.mark.parametrize("service", ROLES)
async def test_a_body_with_something_wrong_in_it(running: Running, anybody: dict[str, httpx.AsyncClient], service: str) -> None:
    """Each field of the wrong type, out of range, unknown, or with what no database takes: refused, and nothing of it told."""
    route = richest(service)
    before = await running.contents(service)
    for said, body in spoiled(route.body()):
        content = json.dumps(body)
        headers = {"Content-Type": "application/json"}
        response = await anybody[service].request(route.method, route.filled(), content=content, headers=headers)
        assert response.status_code in {404, 409, 422}, f"{said}: {response.status_code}"
        document = refusal(running, response, 404, 409, 422)
        assert "surprise" not in str(document) or "surprise" in said
    assert await running.contents(service) == before
