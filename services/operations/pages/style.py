"""How pages look: one sheet, light and dark, from a telephone to a wall."""

from __future__ import annotations

from pathlib import Path

from fastapi import Response

from broker import Router, open_to_everybody

router = Router(dependencies=[open_to_everybody()])

SHEET = (Path(__file__).parent / "templates" / "style.css").read_text(encoding="utf-8")


@router.get("/style.css")
async def style() -> Response:
    """The style sheet."""
    return Response(SHEET, media_type="text/css")
