"""Operations in a real Chromium: what people see, press and type, by names and roles alone; also without a mouse."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from typing import Any
from uuid import UUID

import pytest
from playwright.async_api import Browser, expect

from broker import Permanent, clock
from broker.servers.errors import Unavailable
from services.billing import commands
from services.operations.pages.style import SHEET
from services.operations.rules import OPERATOR, PRIVACY_OFFICER, VIEWER
from tests.flows.broken import SENT, broken
from tests.flows.browser import Visitor, chromium_running
from tests.flows.hospital import Hospital, Person
from tests.flows.running import Running
from tests.flows.staff import Colleague, engaged_everywhere

pytestmark = pytest.mark.timeout(400)  # the first test may have to wait for Chromium's package

SUTURE = "12001"
WIDTHS = (360, 1024, 1920)

PAGES = (
    ("/sign-in", None),
    ("/", None),
    ("/dead-letters", None),
    ("/dead-letters?state=held", None),
    ("/messages?service=billing&text=a&since=2020-01-01T00:00", None),
    ("{group}", None),
    ("/messages/{message}", None),
    ("/messages/{message}", "Try it"),
    ("/actions", None),
    ("/actions/{running}", None),
    ("/actions/{done}", None),
    ("/flows", None),
    ("/flows/{flow}", None),
    ("/events", None),
    ("/events/invoice.issued", None),
)
"""Every page that is looked at for faults: its address, and the button to press on it first."""


class PriceListIsUnreadable(Permanent):
    """The price list cannot be read."""


@contextmanager
def prices_unreadable() -> Iterator[None]:
    """Inside, billing can price nothing."""

    def price_on(*asked: Any) -> Any:
        raise PriceListIsUnreadable(PriceListIsUnreadable.__doc__)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("services.billing.rules.price_on", price_on)
        yield


@contextmanager
def held_up(*, after: int) -> Iterator[None]:
    """Inside, billing charges so many procedures and has the next one in hand."""
    charge, begun, goes_on = commands.capture_procedure, [], asyncio.Event()

    async def capture_procedure(*asked: Any) -> None:
        begun.append(asked)
        if len(begun) > after:
            await goes_on.wait()
        await charge(*asked)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(commands, "capture_procedure", capture_procedure)
        try:
            yield
        finally:
            goes_on.set()


async def sutured(hospital: Hospital, times: int) -> tuple[Person, UUID]:
    """Somebody who was sutured so many times in an encounter that is over; and the flow of their discharge."""
    person = await hospital.registers()
    encounter = await hospital.admits(person)
    done = {"encounter_id": encounter, "code": SUTURE, "description": hospital.secret("suture of the left hand ")}
    for _ in range(times):
        await hospital.ask("clinical", "POST", f"/patients/{person.id}/procedures", done)
    return person, (await hospital.discharges(encounter)).flow


@pytest.fixture(scope="module")
async def chromium() -> AsyncIterator[Browser]:
    """The browser of all tests here."""
    async with AsyncExitStack() as stack:
        try:
            yield await stack.enter_async_context(chromium_running())
        except Unavailable as failure:
            pytest.fail(str(failure))


@pytest.fixture(scope="module")
async def staff(hospital: Hospital) -> dict[str, Colleague]:
    """Somebody of each role."""
    await hospital.price(SUTURE, "80.00")
    return {role: await engaged_everywhere(hospital, role) for role in (OPERATOR, VIEWER, PRIVACY_OFFICER)}


@pytest.fixture
async def visitors(running: Running, chromium: Browser) -> AsyncIterator[Callable[[], Awaitable[Visitor]]]:
    """Makes visitors who have not signed in."""
    async with AsyncExitStack() as stack:

        async def make() -> Visitor:
            address = running.deployment.addresses["operations"]
            context = await stack.enter_async_context(await chromium.new_context(base_url=address))
            return Visitor(await context.new_page(), running)

        yield make


@pytest.fixture
async def operator(visitors: Callable[[], Awaitable[Visitor]], staff: dict[str, Colleague]) -> Visitor:
    """An operator, signed in."""
    visitor = await visitors()
    await visitor.signs_in(staff[OPERATOR])
    return visitor


@pytest.fixture
async def nothing_left(running: Running) -> AsyncIterator[None]:
    """What is dead at the end is let go."""
    yield
    await let_go(running)


@pytest.fixture
async def message(running: Running, nothing_left: None) -> str:
    """A message that billing cannot read, by its name."""
    return await broken(running)


async def let_go(running: Running) -> None:
    """Nothing of billing's is dead any more, and operations knows."""
    asked = {"service": "billing", "operation": "discard", "messages": {"states": ["dead"]}, "why": "the test is over"}
    async with running.deployment.client("operations", running.deployment.token(OPERATOR)) as client:
        (await client.post("/requests", json=asked)).raise_for_status()
        await running.settled()
        assert (await client.get("/failed-messages", params={"service": "billing"})).json()["items"] == []


async def listed(running: Running, what: str) -> list[Any]:
    """What operations shows a viewer."""
    async with running.deployment.client("operations", running.deployment.token(VIEWER)) as client:
        found: list[Any] = (await client.get(f"/{what}", params={"service": "billing"})).json()["items"]
        return found


@pytest.mark.usefixtures("nothing_left")
async def test_an_operator_sees_a_cure_through(
    running: Running, hospital: Hospital, staff: dict[str, Colleague], operator: Visitor
) -> None:
    """From the group to a message, tried before and after the cure; then all of them, with a canary, to the history."""
    page, why = operator.page, "the price list is repaired"
    with prices_unreadable():
        person, _ = await sutured(hospital, 3)
        await operator.follows("Dead letters")
        await operator.sees_in_time("PriceListIsUnreadable")
        await operator.follows("PriceListIsUnreadable")
        await operator.follows("billing/")
        await operator.presses("Try it")
        await operator.sees("fails the same way")
    await operator.presses("Try it")
    await operator.sees("takes effect")
    await operator.sees(re.compile(r"Would write:.* charges \(1 inserted"))
    await operator.sees(re.compile(r"Would publish:.*1 × invoice\.issued"))
    assert await hospital.owed(person) == []

    await operator.follows("PriceListIsUnreadable")
    await operator.sees_in_time("3 dead messages")
    replay = await operator.unfolds("Replay them")
    await replay.get_by_label("Tried first").fill("1")
    await replay.get_by_label("Why").fill(why)
    with held_up(after=1):
        await operator.presses("Replay them: 3")
        await expect(page.get_by_role("heading", name="billing: replay running")).to_be_visible()
        await operator.sees("1 of 3")
        assert len(await hospital.owed(person)) == 1
    await expect(page.get_by_role("heading", name="billing: replay done")).to_be_visible()
    await operator.sees("3 of 3")

    await operator.follows("Dead letters")
    await operator.sees_in_time("No message is dead.")
    await operator.follows("History")
    row = page.get_by_role("row").filter(has_text=why)
    await expect(row).to_contain_text("replay done")
    await expect(row.get_by_title(str(staff[OPERATOR].user_id))).to_have_text(staff[OPERATOR].full_name)
    await expect(row).to_contain_text("3 took effect")
    await running.settled()
    assert len(await hospital.owed(person)) == 3


async def test_a_viewer_changes_nothing(
    running: Running, staff: dict[str, Colleague], visitors: Callable[[], Awaitable[Visitor]], message: str
) -> None:
    """There is no button for it; and a form that was tampered with is refused."""
    viewer = await visitors()
    await viewer.signs_in(staff[VIEWER])
    await viewer.follows("Dead letters")
    await viewer.sees_in_time("breaks its contract")
    await viewer.follows("Permanent in")
    await expect(viewer.page.get_by_text("Replay them")).to_have_count(0)
    await viewer.follows(message)
    await expect(viewer.page.get_by_role("main").get_by_role("button")).to_have_text(["Try it"])
    await viewer.button("Try it").evaluate(
        """button => {
            button.form.action = button.form.action.replace(/try$/, "replay");
            button.form.append(Object.assign(document.createElement("input"), {name: "why", value: "because"}));
        }"""
    )
    async with viewer.page.expect_response(f"**/messages/{message}/replay") as sent:
        await viewer.presses("Try it")
    assert (await sent.value).status == 403
    await running.settled()
    assert str(staff[VIEWER].user_id) not in {action["asked_by"] for action in await listed(running, "failure-actions")}


async def test_a_body_is_shown_to_a_privacy_officer(
    operator: Visitor, staff: dict[str, Colleague], visitors: Callable[[], Awaitable[Visitor]], message: str
) -> None:
    """With a reason, which is written down for all to see; to an operator it stays masked."""
    await operator.page.goto(f"/messages/{message}")
    await operator.sees('"sent_by": "•••"')
    await expect(operator.page.get_by_text("Show personal data")).to_have_count(0)
    officer = await visitors()
    await officer.signs_in(staff[PRIVACY_OFFICER])
    await officer.page.goto(f"/messages/{message}")
    await officer.sees('"sent_by": "•••"')
    reveal = await officer.unfolds("Show personal data")
    await reveal.get_by_label("Why").fill("the clinic called")
    await officer.presses("Show personal data")
    await officer.sees(SENT)
    await operator.sees_in_time("(the clinic called)")
    await expect(operator.page.get_by_text(SENT)).to_have_count(0)
    await operator.follows("reveal")
    await operator.sees(staff[PRIVACY_OFFICER].full_name)


async def test_a_correction_has_to_keep_the_contract(
    running: Running, hospital: Hospital, operator: Visitor, message: str
) -> None:
    """One that does not is refused beside what was written, which stays; one that does takes effect when it is replayed."""
    person = await hospital.registers()
    [kept] = await listed(running, "failed-messages")
    right = {
        "procedure_id": kept["aggregate"],
        "patient_id": person.id,
        "facility_id": hospital.id,
        "encounter_id": None,
        "code": SUTURE,
        "description": hospital.secret("suture of the right hand "),
        "performed_at": clock.now().isoformat(),
    }
    await operator.page.goto(f"/messages/{message}")
    correction = await operator.unfolds("Correct it")
    await correction.get_by_label("Why").fill("clinical's release notes say so")
    wrong = {name: value for name, value in right.items() if name != "patient_id"}
    for refused, sentence in (("{", "not JSON"), (json.dumps(wrong), r"patient_id \(missing\)")):
        await correction.get_by_label("New body").fill(refused)
        await operator.presses("Correct it")
        body = operator.page.get_by_label("New body")
        await expect(body).to_have_accessible_description(re.compile(sentence))
        await expect(body).to_have_value(refused)
        await expect(body).to_be_focused()
        await expect(correction.get_by_label("Why")).to_have_value("clinical's release notes say so")
    await expect(operator.page.get_by_role("heading", name="Body before correction 1")).to_have_count(0)
    await body.fill(json.dumps(right))
    await operator.presses("Correct it")
    await expect(operator.page.get_by_role("heading", name="Body before correction 1")).to_be_visible()
    replay = await operator.unfolds("Replay it")
    await replay.get_by_label("Why").fill("it is corrected")
    await operator.presses("Replay it")
    await expect(operator.page.get_by_role("row", name="took effect 1", exact=True)).to_be_visible()
    charges = await hospital.ask("billing", "GET", "/charges", params={"patient_id": person.id})
    assert [(charge["code"], charge["status"]) for charge in charges.items] == [(SUTURE, "open")]


async def test_a_keyboard_is_enough(
    staff: dict[str, Colleague], visitors: Callable[[], Awaitable[Visitor]], message: str
) -> None:
    """To sign in, skip what every page begins with, and try a message; and what has the focus is seen to have it."""
    visitor = await visitors()
    page, main = visitor.page, visitor.page.get_by_role("main")
    await page.goto("/sign-in")
    await expect(page.get_by_label("E-mail")).to_be_focused()
    await page.keyboard.type(staff[OPERATOR].email)
    await page.keyboard.press("Tab")
    await page.keyboard.type(staff[OPERATOR].password)
    await page.keyboard.press("Enter")
    await expect(visitor.button("Sign out")).to_be_visible()
    await visitor.goes_on_to(page.get_by_role("link", name="Dead letters").first)
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Dead letters")).to_be_visible()
    await visitor.sees_in_time("breaks its contract")
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    await page.keyboard.press("Enter")
    await page.keyboard.press("Tab")
    assert await main.evaluate("main => main.contains(document.activeElement)")
    for link in ("Permanent in", message):
        await visitor.goes_on_to(main.get_by_role("link", name=link).first)
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", level=1)).to_contain_text(link)
    await visitor.goes_on_to(visitor.button("Try it"))
    await page.keyboard.press("Space")
    await visitor.sees("not valid")


@pytest.mark.usefixtures("nothing_left")
async def test_every_page_is_read_anywhere(running: Running, hospital: Hospital, operator: Visitor) -> None:
    """On a telephone, a desk and a wall, by day and by night: nothing is too wide, pale, or unnamed, or in the console."""
    await broken(running)
    await let_go(running)
    message = await broken(running)
    with prices_unreadable():
        _, flow = await sutured(hospital, 3)
    await operator.follows("Dead letters")
    await operator.sees_in_time("PriceListIsUnreadable")
    await operator.follows("PriceListIsUnreadable")
    await operator.sees_in_time("3 dead messages")
    group = operator.page.url
    faults = {}
    with held_up(after=1):
        replay = await operator.unfolds("Replay them")
        await replay.get_by_label("Why").fill("it is repaired")
        await operator.presses("Replay them: 3")
        await operator.sees("1 of 3")
        done = next(action["id"] for action in await listed(running, "failure-actions") if action["state"] == "done")
        names = {
            "message": message,
            "group": group,
            "flow": flow,
            "running": operator.page.url.rpartition("/")[2],
            "done": done,
        }
        for address, button in PAGES:
            await operator.page.goto(address.format(**names))
            if button is not None:
                await operator.presses(button)
            await operator.page.evaluate("stop()")  # it does not come again while it is looked at
            for width in WIDTHS:
                for scheme in ("light", "dark"):
                    faults[address, button, width, scheme] = await operator.faults(width, scheme)
    assert {where: found for where, found in faults.items() if found} == {}
    assert operator.complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_can_be_told_from_its_ground(scheme: str) -> None:
    """Whatever stands on whatever: a contrast of 4.5 to 1 at least (WCAG 2.2, 1.4.3)."""
    by_day, by_night = (
        dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", block)) for block in re.findall(r":root \{(.*?)\}", SHEET, re.DOTALL)
    )
    colours = by_day | (by_night if scheme == "dark" else {})
    pairs = [(text, ground) for text in ("text", "soft", "link", "bad", "good") for ground in ("ground", "raised", "note")]
    pale = {pair: contrast(*(colours[name] for name in pair)) for pair in (*pairs, ("ground", "link"))}
    assert {pair: found for pair, found in pale.items() if found < 4.5} == {}


def contrast(one: str, other: str) -> float:
    """Of two colours, as #rrggbb: from 1 to 21."""
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    """Relative luminance, from 0 to 1 (WCAG 2.2)."""
    red, green, blue = (_linear(int(colour[place : place + 2], 16) / 255) for place in (1, 3, 5))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _linear(value: float) -> float:
    return value / 12.92 if value <= 0.04045 else float(((value + 0.055) / 1.055) ** 2.4)
