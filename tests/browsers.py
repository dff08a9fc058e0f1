"""Chromium for tests: Debian's own, driven by Playwright. Skipped where either is missing."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")


@dataclass(frozen=True)
class Chromium:
    """A browser that is started for one test."""

    path: str

    @asynccontextmanager
    async def page(self, **options: Any) -> AsyncIterator[tuple[Any, list[str]]]:
        """A page, and whatever it complained about: console errors, uncaught exceptions, requests to anywhere."""
        from playwright.async_api import async_playwright

        trouble: list[str] = []
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=self.path, args=["--no-sandbox"])
            context = await browser.new_context(**{"viewport": {"width": 1440, "height": 940}, **options})
            page = await context.new_page()
            page.set_default_timeout(20_000)
            page.on("console", lambda message: trouble.append(message.text) if message.type == "error" else None)
            page.on("pageerror", lambda error: trouble.append(str(error)))
            try:
                yield page, trouble
            finally:
                await browser.close()


async def main_thread_work(page: Any, script: str) -> float:
    """What a frame costs of the page's own work, which other programs on the machine do not slow down much."""
    session = await page.context.new_cdp_session(page)
    await session.send("Performance.enable")

    async def spent() -> float:
        metrics = (await session.send("Performance.getMetrics"))["metrics"]
        found = {metric["name"]: metric["value"] for metric in metrics}
        return sum(found[name] for name in ("ScriptDuration", "LayoutDuration", "RecalcStyleDuration"))

    before = await spent()
    frames = await page.evaluate(script)
    return 1000 * (await spent() - before) / len(frames)


SCROLL = """async () => {
  const gaps = [];
  let last = performance.now();
  for (let n = 0; n < 400 && scrollY + innerHeight < document.documentElement.scrollHeight - 2; n += 1) {
    scrollBy(0, 300);
    await new Promise(requestAnimationFrame);
    const now = performance.now();
    gaps.push(now - last);
    last = now;
  }
  return gaps;
}"""
"""Milliseconds between frames while the page is scrolled from top to bottom."""
