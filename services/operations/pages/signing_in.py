"""Signing in at auth, and out."""

from __future__ import annotations

from fastapi import Request, Response

from broker import Router, Transaction, open_to_everybody
from services.operations.pages import sessions
from services.operations.pages.forms import Form
from services.operations.pages.writing import go_to, page
from services.operations.rules import HERE, SIGNED_IN_FOR

router = Router(dependencies=[open_to_everybody()])

REFUSED = "That is not right, or the account is locked. An authenticator's code is needed where one is set up."
AWAY = "Auth does not answer: nobody can sign in now. Who is signed in already goes on."
NOT_KNOWN = "Auth's key has not arrived here yet. Try again in a moment."
NOT_HERE = f"This account has none of the roles {', '.join(sorted(HERE))} at every facility."


@router.get("/sign-in")
async def sign_in_form() -> Response:
    """Where one signs in."""
    return page("sign_in.html", None, trouble=None)


@router.post("/sign-in")
async def sign_in(request: Request, form: Form, session: Transaction) -> Response:
    """Signs in: auth says who it is, and the browser gets a cookie that says nothing."""
    sessions.check_own_form(request)
    told = {"email": form.get("email"), "password": form.get("password"), "device": "operations"}
    if form.get("code"):
        told["code"] = form.get("code")
    try:
        answer = await sessions.ask_auth(request, "/login", told)
    except sessions.AuthIsAway:
        return page("sign_in.html", None, status=503, trouble=AWAY)
    if answer is None:
        return page("sign_in.html", None, status=403, trouble=REFUSED)
    if not HERE & set(answer["roles"]) or answer["facilities"] != ["*"]:
        return page("sign_in.html", None, status=403, trouble=NOT_HERE)
    tokens = sessions.Tokens.of(answer)
    if not await sessions.is_known(request, tokens):
        return page("sign_in.html", None, status=503, trouble=NOT_KNOWN)
    secret = await sessions.begin(session, tokens)
    response = go_to("/")
    response.set_cookie(
        sessions.COOKIE,
        secret,
        max_age=int(SIGNED_IN_FOR.total_seconds()),
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return response


@router.post("/sign-out")
async def sign_out(request: Request, session: Transaction) -> Response:
    """Ends the session here, and at auth if it can be reached."""
    sessions.check_own_form(request)
    tokens = await sessions.end(session, request.cookies.get(sessions.COOKIE, ""))
    response = go_to("/sign-in")
    response.delete_cookie(sessions.COOKIE)
    if tokens is not None:
        try:
            await sessions.ask_auth(request, "/logout", {}, token=tokens.access)
        except sessions.AuthIsAway:
            return response
    return response
