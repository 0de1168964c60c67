"""What a browser sends with a form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated
from urllib.parse import parse_qsl

from fastapi import Depends, HTTPException, Request


async def _fields(request: Request) -> Mapping[str, str]:
    """The fields of the form, each as the last of its name. Raises 422."""
    try:
        return dict(parse_qsl((await request.body()).decode(), keep_blank_values=True, strict_parsing=True, max_num_fields=50))
    except ValueError as wrong:
        raise HTTPException(422, "That is no form.") from wrong


Form = Annotated[Mapping[str, str], Depends(_fields)]
