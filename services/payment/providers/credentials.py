"""The OAuth 2.0 client credentials grant, by which some providers let us in.

Source: RFC 6749, section 4.4.
"""

from __future__ import annotations

import httpx
from pydantic import BaseModel

from broker import Later, World


class Grant(BaseModel):
    """What lets us in for a while."""

    access_token: str


async def let_in(world: World, request: httpx.Request) -> dict[str, str]:
    """The header that authorises the next call. Raises Later, whatever goes wrong: so far nothing was asked for."""
    try:
        reply = await world.http.send(request)
        grant = Grant.model_validate_json(reply.raise_for_status().content)
    except (httpx.HTTPError, ValueError) as failure:
        raise Later("the provider does not let us in") from failure
    return {"Authorization": f"Bearer {grant.access_token}"}
