"""Operations in a browser: people sign in at auth, see what failed, and act as their roles allow; without any script."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta
from html import unescape
from typing import Any
from uuid import uuid4

import httpx
import pytest

from broker._presence import Presence
from broker._tls import authorities
from broker.testing import Flow
from services.operations.pages.sessions import COOKIE
from services.operations.rules import OPERATOR, PRIVACY_OFFICER, VIEWER
from tests.flows.broken import SENT, broken
from tests.flows.hospital import Hospital
from tests.flows.running import Running
from tests.flows.staff import Colleague, administers, engaged_everywhere


class Browser:
    """What a browser without any script does: follows links, sends forms, keeps a cookie."""

    def __init__(self, running: Running) -> None:
        self.running = running
        self.address = running.deployment.addresses["operations"]
        self.client = httpx.AsyncClient(base_url=self.address, follow_redirects=True, timeout=30, verify=authorities())

    async def see(self, path: str) -> str:
        """The page, as text."""
        return unescape((await self.client.get(path)).text)

    async def send(self, path: str, *, origin: str | None = None, **fields: str) -> httpx.Response:
        """Sends a form, from a page of ours unless another origin is given."""
        return await self.client.post(path, data=fields, headers={"Origin": origin or self.address})

    async def signs_in(self, who: Colleague) -> None:
        reply = await self.send("/sign-in", email=who.email, password=who.password)
        assert (reply.status_code, reply.url.path) == (200, "/"), reply.text

    async def sees(self, path: str, words: str) -> str:
        """The page, which says these words at the latest when nothing is under way any more."""
        page = await self.see(path)
        if words not in page:
            await self.running.settled()
            page = await self.see(path)
        assert words in page, path
        return page

    async def finds(self, words: str) -> str:
        """What is found of flows."""
        return unescape((await self.send("/flows", of=words)).text)


@pytest.fixture
async def browsers(running: Running) -> AsyncIterator[Any]:
    """Makes browsers."""
    async with AsyncExitStack() as stack:

        def make() -> Browser:
            browser = Browser(running)
            stack.push_async_callback(browser.client.aclose)
            return browser

        yield make


async def test_an_operator_ends_a_night(running: Running, hospital: Hospital, browsers: Any) -> None:
    """Signs in, finds the reason, looks at a message, tries it, lets it go, and sees it gone and written down."""
    browser, operator = browsers(), await engaged_everywhere(hospital, OPERATOR)
    await browser.signs_in(operator)
    handle = await broken(running)
    home = await browser.sees("/dead-letters", "breaks its contract")
    group = re.search(r'href="(/messages\?service=[^"]+)"', home)
    assert group is not None
    listed = await browser.see(group[1])
    assert f'href="/messages/{handle}"' in listed
    assert "Replay them" in listed
    shown = await browser.see(f"/messages/{handle}")
    assert "somebody must act" in shown
    assert '"sent_by": "•••"' in shown
    assert SENT not in shown
    assert "Show personal data" not in shown
    tried = unescape((await browser.send(f"/messages/{handle}/try")).text)
    assert "Tried, without any effect" in tried
    assert "not valid" in tried
    assert (await browser.send(f"/messages/{handle}/discard", why=" ")).status_code == 409
    begun = await browser.send(f"/messages/{handle}/discard", why="sent by an unknown program")
    assert begun.url.path.startswith("/actions/")
    done = await browser.sees(begun.url.path, "discard done")
    assert "1 of 1" in done
    assert "No message is dead." in await browser.sees("/dead-letters", "No message is dead.")
    history = await browser.see("/actions")
    assert "sent by an unknown program" in history
    assert f'<span title="{operator.user_id}">{operator.full_name}</span>' in history
    assert "no failed message any more" in await browser.see(f"/messages/{handle}")
    restored = await browser.send(begun.url.path.replace("/actions/", "/actions/billing/") + "/restore", why="it was not")
    await browser.sees(restored.url.path, "restore done")
    await browser.sees(f"/messages/{handle}", "somebody must act")
    await browser.send("/groups/discard", service="billing", state="dead", why="sent by an unknown program")
    await browser.sees("/dead-letters", "No message is dead.")


async def test_messages_are_looked_for_and_let_go(running: Running, hospital: Hospital, browsers: Any) -> None:
    """By words, time and key; what is let go then is what was found, and what a form cannot mean is said."""
    browser = browsers()
    await browser.signs_in(await engaged_everywhere(hospital, OPERATOR))
    handles = [await broken(running), await broken(running)]
    await browser.sees("/dead-letters", "breaks its contract")
    listed = await browser.sees(
        "/messages?text=breaks+CONTR&service=billing&state=dead&type=&aggregate=&since=&until=", handles[1]
    )
    assert f'href="/messages/{handles[0]}"' in listed
    assert "2 dead messages of billing that say “breaks CONTR”" in listed
    for nothing in ("text=breaks+nothing", "text=breaks&until=2020-01-01T00:00", "since=2999-12-31T23:59", "aggregate=nobody"):
        assert "No message is like that." in await browser.see(f"/messages?{nothing}"), nothing
    seen = await browser.see("/messages?since=2020-01-01T00:00&until=2999-12-31T23:59&state=dead")
    assert "that failed last at 2020-01-01 00:00:00 UTC or later and before 2999-12-31 23:59:00 UTC" in seen
    assert "Discard them" not in seen
    key = re.search(r'data-label="About"><code>([^<]+)<', listed)
    assert key is not None
    wrong = await browser.send("/groups/discard", service="billing", flow="7", since="soon", why="it was sent by nobody")
    assert (wrong.status_code, "flow, since" in wrong.text) == (422, True)
    asked = {"service": "billing", "state": "dead", "text": "breaks contract", "aggregate": key[1]}
    await browser.send("/groups/discard", **asked, until="2020-01-01 00:00:00+00:00", why="it was sent by nobody")
    begun = await browser.send("/groups/discard", **asked, since="2020-01-01 00:00:00+00:00", why="it was sent by nobody")
    await browser.sees(begun.url.path, "1 of 1")
    await browser.sees("/messages?text=breaks&state=dead", "1 dead message that says")
    await browser.send("/groups/discard", service="billing", state="dead", why="sent by an unknown program")
    await browser.sees("/dead-letters", "No message is dead.")


async def test_a_viewer_looks(running: Running, hospital: Hospital, browsers: Any) -> None:
    """Nothing to replay with is shown, and what is sent all the same is refused."""
    browser = browsers()
    await browser.signs_in(await engaged_everywhere(hospital, VIEWER))
    handle = await broken(running)
    await browser.sees("/dead-letters", "breaks its contract")
    shown = await browser.see(f"/messages/{handle}")
    assert "Try it" in shown
    assert not [words for words in ("Replay it", "Discard it", "Correct it", "Show personal data") if words in shown]
    for operation in ("replay", "discard", "reveal"):
        assert (await browser.send(f"/messages/{handle}/{operation}", why="because")).status_code == 403
    await _discard(running, hospital, browsers, handle)


async def test_personal_data_is_for_privacy_officers(running: Running, hospital: Hospital, browsers: Any) -> None:
    """With a reason, for this page alone, and written down."""
    browser = browsers()
    await browser.signs_in(await engaged_everywhere(hospital, PRIVACY_OFFICER))
    handle = await broken(running)
    await browser.sees("/dead-letters", "breaks its contract")
    assert SENT not in await browser.see(f"/messages/{handle}")
    revealed = unescape((await browser.send(f"/messages/{handle}/reveal", why="the clinic called")).text)
    assert SENT in revealed
    assert "the clinic called" in await browser.sees(f"/messages/{handle}", "the clinic called")
    kept = await running.rows("operations", "SELECT answer::text || coalesce(sealed, '') AS said FROM operation_requests")
    assert SENT not in " ".join(row.said or "" for row in kept)
    await _discard(running, hospital, browsers, handle)


async def test_nobody_else_comes_in(running: Running, hospital: Hospital, browsers: Any) -> None:
    """Without a session, with a wrong password, without a role here, from another site's page, or once it is revoked."""
    browser = browsers()
    for path in ("/", "/messages", "/actions", "/messages/billing/1"):
        assert (await browser.client.get(path)).url.path == "/sign-in"
    operator, nurse = await engaged_everywhere(hospital, OPERATOR), await engaged_everywhere(hospital, "nurse")
    wrong = await browser.send("/sign-in", email=operator.email, password="not it at all, no")
    assert (wrong.status_code, "That is not right" in wrong.text) == (403, True)
    other = await browser.send("/sign-in", email=nurse.email, password=nurse.password)
    assert (other.status_code, "none of the roles" in other.text) == (403, True)
    await browser.signs_in(operator)
    foreign = await browser.send("/groups/replay", origin="https://elsewhere.example", service="billing", why="x")
    assert foreign.status_code == 403
    page = await browser.client.get("/")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "<script" not in page.text
    cookie = next(each for each in browser.client.cookies.jar if each.name == COOKIE)
    assert (cookie.has_nonstandard_attr("HttpOnly"), cookie.get_nonstandard_attr("SameSite")) == (True, "strict")
    await administers(hospital, "POST", f"/users/{operator.user_id}/suspension", {"reason": "left"})
    assert (await browser.client.get("/")).url.path == "/sign-in"


async def test_a_flow_is_seen_from_an_invoices_number(running: Running, hospital: Hospital, browsers: Any) -> None:
    """The number leads to the flows that were about it, and one of them to what happened, in order, over all services."""
    browser = browsers()
    await browser.signs_in(await engaged_everywhere(hospital, VIEWER))
    invoice = await hospital.invoices(await hospital.registers())
    await running.settled()
    found = await browser.finds(invoice["number"])
    links = re.findall(r'href="(/flows/[0-9a-f-]+)"', found)
    pages = [await browser.see(link) for link in links]
    shown = next(each for each in pages if "invoice.issued" in each)
    assert "It is over" in shown or "What it waits for" in shown
    assert shown.index("invoice.issued") > 0
    assert "payment.<wbr>invoice_<wbr>reference" in (await browser.client.get(links[pages.index(shown)])).text
    assert "<svg" in shown
    assert "No service knows this flow" in await browser.see(f"/flows/{uuid4()}")
    assert "Nothing was said about that" in unescape((await browser.send("/flows", of="nothing-like-it")).text)


async def test_signing_out(running: Running, hospital: Hospital, browsers: Any) -> None:
    """The cookie is worth nothing afterwards, whoever kept it."""
    browser = browsers()
    await browser.signs_in(await engaged_everywhere(hospital, VIEWER))
    kept = browser.client.cookies[COOKIE]
    await browser.send("/sign-out")
    browser.client.cookies.set(COOKIE, kept)
    assert (await browser.client.get("/")).url.path == "/sign-in"


async def test_a_service_that_is_away_is_said_so(
    flow: Flow, hospital: Hospital, browsers: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page comes, in time, and says what will happen; nothing is lost by asking."""
    browser = browsers()
    await browser.signs_in(await engaged_everywhere(hospital, VIEWER))
    monkeypatch.setattr("services.operations.pages.asking.PATIENCE", 0.3)
    async with flow.down("billing"):
        reply = await browser.client.get("/messages/billing/1")
    assert (reply.status_code, "has not answered" in unescape(reply.text)) == (503, True)


async def test_what_a_service_cannot_begin_is_seen_and_withdrawn(
    running: Running, flow: Flow, hospital: Hospital, browsers: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is shown with what operations was told of its message; withdrawn it is never begun, otherwise when all is back."""
    monkeypatch.setattr("services.operations.pages.asking.PATIENCE", 0.3)
    monkeypatch.setattr("broker._operating.SLOW", timedelta())
    browser = browsers()
    await browser.signs_in(await engaged_everywhere(hospital, OPERATOR))
    handle = await broken(running)
    asked = {}
    async with flow.down("billing"):
        shown = await browser.see(f"/messages/{handle}")
        assert "has not answered" in shown
        assert "This is what operations was told of it." in shown
        assert "breaks its contract" in shown
        assert (f'action="/messages/{handle}/discard"' in shown, "Try it" in shown) == (True, False)
        for why in ("a mistake", "it is broken"):
            reply = await browser.send(f"/messages/{handle}/discard", why=why)
            assert "It is done if billing begins it by" in reply.text
            asked[why] = reply.url.path
            assert f'href="{reply.url.path}"' in await browser.see("/actions")
            assert f'href="{reply.url.path}"' in await browser.see("/dead-letters")
        assert "withdrew it" in (await browser.send(f"{asked['a mistake']}/withdraw")).text
    await browser.sees(asked["a mistake"], "It was not done")
    done = await browser.client.get(asked["it is broken"])
    assert done.url.path.startswith("/actions/")
    await browser.sees(done.url.path, "discard done")
    history = await browser.see("/actions")
    assert ("it is broken" in history, "a mistake" in history, "not begun" in history) == (True, False, False)
    late = await browser.send(f"{asked['a mistake']}/withdraw")
    assert (late.status_code, "The service has answered" in late.text) == (409, True)


async def test_a_reason_is_tried_and_each_outcome_seen(running: Running, hospital: Hospital, browsers: Any) -> None:
    """The first messages of it, without any effect; and after a discard what became of which."""
    browser = browsers()
    await browser.signs_in(await engaged_everywhere(hospital, OPERATOR))
    handles = [await broken(running), await broken(running)]
    group = {"service": "billing", "state": "dead", "subscription": "charge_procedure"}
    tried = unescape((await browser.send("/groups/try", **group)).text)
    assert "2 not valid" in tried
    assert all(f'href="/messages/{handle}"' in tried for handle in handles)
    assert "Nothing can be looked for" in (await browser.send("/groups/try", **group, flow="7")).text
    begun = await browser.send("/groups/discard", **group, why="sent by an unknown program")
    done = await browser.sees(begun.url.path, "discard done")
    assert all(f'href="/messages/{handle}"' in done for handle in handles)
    assert f'href="{begun.url.path}?outcome=discarded"' in done
    assert handles[0] in await browser.see(f"{begun.url.path}?outcome=discarded")
    assert handles[0] not in await browser.see(f"{begun.url.path}?after=1")
    assert "None." in await browser.see(f"{begun.url.path}?outcome=gone")


async def test_what_is_not_there_is_a_page_too(running: Running, hospital: Hospital, browsers: Any) -> None:
    """An address that is none, or of nothing: said to a person as a page, and to a program as a problem."""
    browser = browsers()
    await browser.signs_in(await engaged_everywhere(hospital, VIEWER))
    handle = await broken(running)
    for path, status in (
        ("/nothing", 404), ("/messages/nobody/1", 404), (f"/actions/{uuid4()}", 404), (f"/requests/{uuid4()}", 404),
        ("/messages/billing/x", 422), ("/messages?flow=7", 422), ("/sign-out", 405),
    ):  # fmt: skip
        reply = await browser.client.get(path, headers={"Accept": "text/html,*/*"})
        assert (reply.status_code, "That did not work" in reply.text) == (status, True), path
        assert "default-src 'none'" in reply.headers["content-security-policy"]
        program = await browser.client.get(path, headers={"Accept": "application/json"})
        assert (program.status_code, program.headers["content-type"]) == (status, "application/problem+json"), path
    assert "flow: " in (await browser.client.get("/messages?flow=7", headers={"Accept": "text/html"})).text
    never = await browser.client.get("/messages/billing/999999")
    assert (never.status_code, "no failed message of this number" in never.text) == (404, True)
    await _discard(running, hospital, browsers, handle)


async def _discard(running: Running, hospital: Hospital, browsers: Any, handle: str) -> None:
    """Lets a message go, so that nothing is left for the next test."""
    browser = browsers()
    await browser.signs_in(await engaged_everywhere(hospital, OPERATOR))
    await browser.send(f"/messages/{handle}/discard", why="the test is over")
    await browser.sees("/dead-letters", "No message is dead.")


async def all_report(running: Running) -> None:
    """Every copy says how it is doing, while all is quiet."""
    await running.settled()
    for runtime in running.deployment.runtimes.values():
        [presence] = [loop for loop in runtime._loops if isinstance(loop, Presence)]
        await presence.run_once()


async def test_the_overview_shows_trouble(running: Running, flow: Flow, hospital: Hospital, browsers: Any) -> None:
    """Who hears whom, and what is wrong: a dead letter, a service that does not run, what waits for it."""
    browser = browsers()
    await browser.signs_in(await engaged_everywhere(hospital, VIEWER))
    await hospital.registers()
    await all_report(running)
    await browser.sees("/", "All is well")
    page = await browser.see("/")
    assert "clinical to billing: patient.changed, " in page
    assert re.search(r'data-label="Effects">\s*[1-9]', page)
    assert "replicas of what others own" in page
    assert "fill done" in page
    handle = await broken(running)
    assert "1 of billing.charge_procedure is dead." in (await browser.sees("/", "What is wrong")).replace("<wbr>", "")
    async with flow.down("ehr"):
        await browser.sees("/", "No copy of ehr has run for")
    await browser.sees("/events", "ehr.<wbr>patient_<wbr>reference")
    assert "Personal data of" in await browser.see("/events/patient.changed")
    assert (await browser.client.get("/events/no.such")).status_code == 404
    await _discard(running, hospital, browsers, handle)
