"""Who may use a route, and the transaction it works in: what the functions of an `api.py` ask for by annotation."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from typing import Annotated, Any, cast

from fastapi import Depends, HTTPException, Request, Security
from fastapi.dependencies.models import Dependant
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from sqlalchemy import Connection, event, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session, SessionTransaction

from broker._crash_points import CrashPoint, passing
from broker._database import Database
from broker._tokens import Principal, TokenRefused
from broker._trust import Trust
from broker._written import READ_AFTER, WROTE, caught_up
from broker.errors import RuleBroken

CLOSES, OPENS = "__closes_route__", "__opens_route__"

bearer = HTTPBearer(scheme_name="token", bearerFormat="JWT", description="A NileCare token.", auto_error=False)


class RoleMustCountEverywhere(RuleBroken):
    """This concerns all facilities: the role for it has to count at every one."""

    status = 403


class Gate:
    """Lets a request pass if its token is valid and carries one of `roles` (any role, when none is named).

    everywhere: only if the token's roles count at every facility.
    """

    def __init__(self, roles: frozenset[str], *, everywhere: bool = False) -> None:
        self.roles = roles
        self.everywhere = everywhere

    async def __call__(
        self, request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Security(bearer)]
    ) -> Principal:
        principal = await authenticated(request, credentials)
        self.check(principal)
        return principal

    def check(self, principal: Principal) -> None:
        """Raises 403 when the principal has none of the roles, or RoleMustCountEverywhere."""
        if self.roles and not self.roles & principal.roles:
            raise HTTPException(403, f"This needs one of the roles: {', '.join(sorted(self.roles))}.")
        if self.everywhere and principal.facilities is not None:
            raise RoleMustCountEverywhere


def allow(*roles: str) -> Any:
    """Closes a route to all but tokens with one of `roles`: `who: Annotated[Principal, allow("technician")]`."""
    return Depends(Gate(frozenset(roles)))


def allow_everywhere(*roles: str) -> Any:
    """As `allow`, for what all facilities share: a role that counts only at some is refused, RoleMustCountEverywhere."""
    return Depends(Gate(frozenset(roles), everywhere=True))


def verified_by(check: Callable[..., Awaitable[Any]]) -> Any:
    """Closes a route that cannot have a token (a provider's webhook) by a dependency that raises unless it is proven genuine.

    `dependencies=[verified_by(check_signature)]`; what `check` raises should be an HTTPException with status 401.
    """
    setattr(check, CLOSES, True)
    return Depends(check)


def open_to_everybody() -> Any:
    """Leaves a route open on purpose, because nobody can have a token yet: `dependencies=[open_to_everybody()]`.

    For signing in and what leads there, and for public keys; what such a route does it must protect by itself.
    """

    async def passes() -> None:
        """Whoever asks."""

    setattr(passes, OPENS, True)
    return Depends(passes)


async def authenticated(request: Request, credentials: HTTPAuthorizationCredentials | None) -> Principal:
    """The principal of the request's token, looked at once per request. Raises 401."""
    known: Principal | None = getattr(request.state, "principal", None)
    if known is None:
        known = request.state.principal = await _principal(request, credentials)
    return known


async def token_of(request: Request, token: str) -> Principal | None:
    """Whom a token speaks for that is kept on behalf of who asks, as a page's session does; None for one that is not valid."""
    try:
        return await cast("Trust", request.app.state.trust).principal(token)
    except TokenRefused:
        return None


async def _principal(request: Request, credentials: HTTPAuthorizationCredentials | None) -> Principal:
    trust = cast("Trust", request.app.state.trust)
    try:
        if credentials is None:
            raise TokenRefused("there is no token")
        return await trust.principal(credentials.credentials)
    except TokenRefused as refused:
        raise HTTPException(401, "A valid token is needed.", headers={"WWW-Authenticate": "Bearer"}) from refused


def gates_of(dependant: Dependant) -> Iterator[Gate]:
    """The gates among a route's dependencies."""
    for dependency in dependant.dependencies:
        if isinstance(dependency.call, Gate):
            yield dependency.call
        yield from gates_of(dependency)


def says_who_passes(dependant: Dependant) -> bool:
    """Whether nobody passes without a token or a proof of another kind, or the route says that everybody may."""
    return any(
        isinstance(dependency.call, Gate)
        or hasattr(dependency.call, CLOSES)
        or hasattr(dependency.call, OPENS)
        or says_who_passes(dependency)
        for dependency in dependant.dependencies
    )


def _outside_settings(request: Request) -> Mapping[str, str]:
    return cast("Mapping[str, str]", request.app.state.outside)


OutsideSettings = Annotated[Mapping[str, str], Depends(_outside_settings)]
"""`Settings.outside`: the addresses and secrets of the world outside, for who proves a request from there genuine."""


async def _transaction(request: Request) -> AsyncIterator[AsyncSession]:
    database = await _caught_up(request)
    async with database.transaction(CrashPoint.COMMAND_COMMITTED) as session:
        request.state.session = session
        yield session
        passing(CrashPoint.COMMAND_HANDLED)


async def _reading(request: Request) -> AsyncIterator[AsyncSession]:
    database = await _caught_up(request)
    async with database.reading() as session:
        request.state.session = session
        event.listen(session.sync_session, "after_begin", _read_only)
        yield session


async def _caught_up(request: Request) -> Database:
    """The database, once its replicas have what the request wants to read after. Raises 400, 401, 403, ReplicaLag."""
    state = request.app.state
    database = cast("Database", state.database)
    headers = request.headers.getlist(READ_AFTER)
    if headers:
        for gate in gates_of(request.scope["route"].dependant):
            await gate(request, await bearer(request))  # nothing is waited for on behalf of a stranger
        try:
            await caught_up(database, state.copies, headers, state.patience)
        except ValueError as malformed:
            raise HTTPException(400, f"{READ_AFTER} is what an answer's {WROTE} was.") from malformed
    return database


def _read_only(session: Session, transaction: SessionTransaction, connection: Connection) -> None:
    """Not before the session is used: until then it holds no connection, so that a gate behind it can have one."""
    connection.execute(text("SET TRANSACTION READ ONLY"))


Transaction = Annotated[AsyncSession, Depends(_transaction, scope="function")]
"""A session whose transaction, with all that is published in it, commits before the response is sent; an error undoes it."""

Reading = Annotated[AsyncSession, Depends(_reading, scope="function")]
"""A session that the database lets read only."""
