"""Routes that lead to a token, open to everybody: what they tell must help nobody who guesses."""

from __future__ import annotations

from fastapi import Response

from broker import Reading, Router, Transaction, open_to_everybody, refusal
from services.auth import commands
from services.auth.api.access import Address, Sealed
from services.auth.errors import SessionIsOver, SignInFailed
from services.auth.views import (
    AskedLogin,
    AskedProgramToken,
    AskedRefresh,
    AskedRegistration,
    KeySetView,
    RegistrationTaken,
    ShownCode,
    SignedInView,
    TokenView,
    Verified,
)

router = Router(tags=["signing in"], dependencies=[open_to_everybody()])


@router.post("/register", status_code=202)
async def register(asked: AskedRegistration, session: Transaction) -> RegistrationTaken:
    """Takes down who wants an account; a code goes to the address if it has none yet."""
    await commands.register(session, commands.Registration(**dict(asked)))
    return RegistrationTaken()


@router.post("/verify")
async def verify(shown: ShownCode, session: Transaction) -> Verified:
    """Proves an address by the code that came to it."""
    return Verified.model_validate(await commands.verify(session, shown.code))


@router.post("/login", response_model=SignedInView)
async def login(asked: AskedLogin, session: Transaction, vault: Sealed, address: Address) -> SignedInView | Response:
    """Signs a user in. What was wrong is not said."""
    shown = commands.Credentials(email=asked.email, password=asked.password, code=asked.code, address=address)
    signed = await commands.sign_in(session, shown, vault, device=asked.device, facility_id=asked.facility_id)
    return SignedInView.of(signed) if signed else refusal(SignInFailed())


@router.post("/refresh", response_model=SignedInView)
async def refresh(asked: AskedRefresh, session: Transaction, vault: Sealed) -> SignedInView | Response:
    """New tokens for a refresh token, which is good once; shown a second time it ends the session."""
    signed = await commands.refresh(session, asked.refresh_token, vault, facility_id=asked.facility_id)
    return SignedInView.of(signed) if signed else refusal(SessionIsOver())


@router.post("/oauth/token", response_model=TokenView)
async def program_token(asked: AskedProgramToken, session: Transaction, vault: Sealed) -> TokenView | Response:
    """A token for a program."""
    issued = await commands.client_token(session, asked.client_id, asked.client_secret, vault)
    if issued is None:
        return refusal(SignInFailed())
    token, scope = issued
    return TokenView(access_token=token, **TokenView.said(scope))


@router.get("/jwks")
async def jwks(session: Reading) -> KeySetView:
    """The public keys that tokens are verified with (RFC 7517)."""
    return KeySetView.of(list(await commands.public_keys(session)))
