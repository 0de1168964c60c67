"""A real Chromium without a window: where one is had from, and people who look at operations in it."""

from __future__ import annotations

import asyncio
import fcntl
import os
import re
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from playwright.async_api import Browser, Locator, Page, Request, async_playwright, expect

from broker.servers import apt
from broker.servers.errors import StackError, Unavailable
from broker.servers.home import LOCAL
from tests.flows.running import Running
from tests.flows.staff import Colleague

NAMED = "NILECARE_CHROMIUM"
"""The variable that names a Chromium to use."""

NAMES = ("chromium", "chromium-browser", "google-chrome")

ALONE = (
    "--disable-background-networking",
    "--disable-component-update",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)
"""It asks nobody but this machine."""

PATIENCE = 20_000.0
"""Milliseconds that a page has to show something."""

MOST_STOPS = 60
"""Presses of the tabulator from the top of a page to anything on it, at most."""

FAULTS = """() => {
  const faults = [], root = document.documentElement;
  const shown = element => element.getClientRects().length > 0;
  const begins = element => element.outerHTML.slice(0, 90);
  const all = selector => [...document.querySelectorAll(selector)].filter(shown);
  if (root.scrollWidth > root.clientWidth) {
    const scrolls = element => element && (getComputedStyle(element).overflowX !== "visible" || scrolls(element.parentElement));
    const wide = all("body *").filter(element =>
      element.getBoundingClientRect().right > root.clientWidth && !scrolls(element.parentElement));
    faults.push(`${root.scrollWidth} px wide: ${wide.map(begins)}`);
  }
  for (const field of all("input, textarea, select"))
    if (![...field.labels].some(label => label.textContent.trim())) faults.push(`no label: ${begins(field)}`);
  for (const element of all("a, button, summary"))
    if (!element.textContent.trim()) faults.push(`no text: ${begins(element)}`);
  if (!root.lang || !document.title || all("h1").length !== 1) faults.push("no language, title, or one main heading");

  const channels = colour => colour.match(/[\\d.]+/g).map(Number);
  const luminance = colour => channels(colour).slice(0, 3).reduce((sum, value, place) => {
    const part = value / 255;
    return sum + [0.2126, 0.7152, 0.0722][place] * (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
  }, 0);
  const ground = element => {
    const colour = getComputedStyle(element).backgroundColor;
    return (channels(colour)[3] ?? 1) || !element.parentElement ? colour : ground(element.parentElement);
  };
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    if (!texts.currentNode.textContent.trim() || !shown(element)) continue;
    const style = getComputedStyle(element);
    const [light, dark] = [luminance(element.closest("svg") ? style.fill : style.color), luminance(ground(element))]
      .sort((one, other) => other - one);
    const contrast = (light + 0.05) / (dark + 0.05);
    if (contrast < 4.5) faults.push(`contrast ${contrast.toFixed(1)}: ${begins(element)}`);
  }
  return faults;
}"""
"""What keeps people from reading a page, in words; nothing where all is well. Contrast is meant as in WCAG 2.2, 1.4.3 (AA)."""


class Visitor:
    """Somebody at the pages, in a browser of their own. `complaints` is what it wrote into its console, or did not get."""

    def __init__(self, page: Page, running: Running) -> None:
        self.page, self.running = page, running
        self.complaints: list[str] = []
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("requestfailed", self._missed)

    async def signs_in(self, who: Colleague) -> None:
        """Signs in."""
        await self.page.goto("/sign-in")
        await self.page.get_by_label("E-mail").fill(who.email)
        await self.page.get_by_label("Password").fill(who.password)
        await self.presses("Sign in")
        await expect(self.button("Sign out")).to_be_visible()

    def button(self, name: str) -> Locator:
        """The button that says so."""
        return self.page.get_by_role("button", name=name)

    async def presses(self, name: str) -> None:
        """Presses a button."""
        await self.button(name).click()

    async def follows(self, name: str) -> None:
        """Follows the first link that says so."""
        await self.page.get_by_role("link", name=name).first.click()

    async def unfolds(self, name: str) -> Locator:
        """Opens what is folded away under these words; gives what was in it."""
        await self.page.get_by_text(name, exact=True).filter(visible=True).click()
        return self.page.get_by_role("group").filter(has=self.button(name))

    async def sees(self, words: str | re.Pattern[str]) -> None:
        """Waits until the page, which may come again by itself, says these words."""
        await expect(self.page.get_by_text(words).first).to_be_visible()

    async def sees_in_time(self, words: str) -> None:
        """Asks for the page once more when nothing is under way any more: it says these words."""
        await self.running.settled()
        await self.page.reload()
        await self.sees(words)

    async def goes_on_to(self, target: Locator) -> None:
        """Presses the tabulator until this has the focus, which has to be seen."""
        await self._goes_on(target, MOST_STOPS)
        await expect(target).to_be_focused()
        assert await target.evaluate("element => getComputedStyle(element).outlineStyle") != "none"

    async def _goes_on(self, target: Locator, stops: int) -> None:
        await self.page.keyboard.press("Tab")
        if stops > 1 and not await target.evaluate("element => element === document.activeElement"):
            await self._goes_on(target, stops - 1)

    async def faults(self, width: int, scheme: str) -> list[str]:
        """What is wrong with the page in a window so wide, with all that is folded away open."""
        await self.page.set_viewport_size({"width": width, "height": 900})
        await self.page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        await self.page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true })")
        found: list[str] = await self.page.evaluate(FAULTS)
        return found

    def _missed(self, request: Request) -> None:
        if request.failure != "net::ERR_ABORTED":  # it went to another page before this one was there
            self.complaints.append(f"{request.url}: {request.failure}")


@asynccontextmanager
async def chromium_running() -> AsyncIterator[Browser]:
    """Chromium, until the end of the block. Raises Unavailable where none can be had."""
    path = await asyncio.to_thread(find_chromium)
    expect.set_options(timeout=PATIENCE)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, chromium_sandbox=os.geteuid() != 0, args=ALONE)
        try:
            yield browser
        finally:
            await browser.close()


def find_chromium() -> str:
    """The path of the Chromium that NILECARE_CHROMIUM names; else of one in PATH; else of Debian's, which is installed then.

    Raises Unavailable.
    """
    named = os.environ.get(NAMED)
    if named:
        if not _runs(named):
            raise Unavailable(f"{NAMED} names {named}, which does not run")
        return named
    LOCAL.mkdir(exist_ok=True)
    with (LOCAL / "chromium.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # of two processes, one installs and the other finds
        return _in_path() or _installed()


def _installed() -> str:
    try:
        apt.install(["chromium"])
    except StackError as failure:
        raise Unavailable(f"no Chromium is here ({failure}): install one, or name it in {NAMED}") from failure
    path = _in_path()
    if path is None:
        raise Unavailable(f"the package chromium brought no Chromium that runs: name one in {NAMED}")
    return path


def _in_path() -> str | None:
    found = (shutil.which(name) for name in NAMES)
    return next((path for path in found if path and _runs(path)), None)


def _runs(path: str) -> bool:
    """Whether it says its version; what Ubuntu calls chromium-browser may only ask for another package."""
    try:
        return subprocess.run([path, "--version"], stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode == 0
    except OSError:
        return False
