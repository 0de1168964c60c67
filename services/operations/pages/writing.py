"""Writing a page: a template, what is said in it, and what the browser may do with it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from fastapi import Response
from fastapi.responses import HTMLResponse, RedirectResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from broker import Principal, Problem, age
from services.operations import rules

POLICY = "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
"""Content-Security-Policy: no script, nothing from anywhere else, in nobody's frame."""

HEADERS = {"Content-Security-Policy": POLICY, "Referrer-Policy": "same-origin", "X-Frame-Options": "DENY"}

IN_SHORT = {
    404: "There is no such page, or nothing of that name.",
    405: "That is no form of these pages.",
    422: "Something in the address or the form is not as it should be.",
    500: "Something failed that nobody foresaw.",
    503: "It cannot be done now: try again in a moment.",
}
"""Problems that say no more of themselves."""

templates = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
    lstrip_blocks=True,
)  # fmt: skip


def page(name: str, who: Principal | None, *, status: int = 200, refresh: int = 0, **said: Any) -> Response:
    """A page. refresh: after so many seconds the browser asks for it again; 0 is never."""
    able = who.roles if who is not None else frozenset()
    may = {operation for operation, roles in rules.MAY.items() if roles & able}
    text = templates.get_template(name).render(who=who, may=may, refresh=refresh, **said)
    return HTMLResponse(text, status, HEADERS)


def trouble(problem: Problem) -> Response:
    """The page of a request that failed: what is wrong with it, as far as that can be said."""
    told = problem.model_dump()
    fields = [f"{each['field'].rpartition('.')[2]}: {each['message']}" for each in told.get("errors", ())]
    said = problem.detail or IN_SHORT.get(problem.status, problem.title)
    if "id" in told:
        said = f"{said} The log has more under {told['id']}."
    return page(
        "trouble.html", None, status=problem.status, heading="That did not work", trouble=" ".join([said, *fields]), back="/"
    )


def go_to(path: str) -> Response:
    """Sends the browser on, after a form."""
    return RedirectResponse(path, 303, HEADERS)


def moment(at: datetime | str) -> str:
    """A moment, as people read it."""
    return f"{datetime.fromisoformat(at) if isinstance(at, str) else at:%Y-%m-%d %H:%M:%S} UTC"


def breakable(name: str) -> Markup:
    """A long name, which a narrow column may break where it has a joint."""
    return Markup(re.sub(r"([._])", r"\1<wbr>", str(escape(name))))  # noqa: S704 (escaped)


def prose(text: str) -> Markup:
    """A sentence in which `names` of things stand between backquotes."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704 (escaped)


def indented(body: str) -> str:
    """JSON, so that a person can read it; anything else as it is."""
    try:
        return json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    except ValueError:
        return body


def person(subject: str, names: Mapping[str, str]) -> Markup:
    """What somebody is called, with the subject of their token behind it; the subject where nobody knows."""
    name = names.get(subject)
    return escape(subject) if name is None else Markup('<span title="{}">{}</span>').format(subject, name)


templates.filters["age"] = age
templates.filters["breakable"] = breakable
templates.filters["indented"] = indented
templates.filters["moment"] = moment
templates.filters["person"] = person
templates.filters["prose"] = prose
