"""Watching: how every service and queue is doing, and what events there are."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path, Request, Response

from broker import NotFound, Reading, Router
from services.operations import catalogue, overview
from services.operations.pages.mapping import drawn
from services.operations.pages.sessions import Visitor
from services.operations.pages.writing import page

router = Router()

OFTEN = 10
"""Seconds after which the overview is asked for again."""

Type = Annotated[str, Path(pattern=r"^[a-z][a-z0-9_.]{0,100}$")]


@router.get("/")
async def watch(request: Request, who: Visitor, session: Reading, live: bool = True) -> Response:
    """What is wrong, the live map, and every service with its queues. live: whether the page comes again by itself."""
    platform = await overview.look(session, request.app.state.depths)
    return page("overview.html", who, refresh=OFTEN if live else 0, platform=platform, map=drawn(platform))


@router.get("/events")
async def events(who: Visitor, session: Reading) -> Response:
    """What services say to each other."""
    platform = overview.put_together(await overview.told(session), None, {})
    return page("events.html", who, publishers=catalogue.by_publisher(), heard=catalogue.heard(platform))


@router.get("/events/{type_}")
async def event(who: Visitor, session: Reading, type_: Type) -> Response:
    """One event: its versions, its fields, who says it, who hears it, and an example. Raises NotFound."""
    versions = catalogue.versions(type_)
    if not versions:
        raise NotFound
    platform = overview.put_together(await overview.told(session), None, {})
    return page("event.html", who, versions=versions, heard=catalogue.heard(platform).get(type_, []))
