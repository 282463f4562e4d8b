"""A browser and a stage for the sample pages; proves at the end of each module that no browser process is left."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator

import psutil
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright
from sample_stage import Stage

from labplatform.supervisor.slot import Slot

PATIENCE = 30_000
"""Milliseconds that a page has to show what a test waits for; a busy machine is no failure."""
expect.set_options(timeout=PATIENCE)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, or the one that Playwright brought along."""
    before = set(psutil.Process().children(recursive=True))
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=shutil.which("chromium") or shutil.which("chromium-browser"),
            args=["--no-sandbox"] if os.geteuid() == 0 else [],
        )
        yield chromium
        chromium.close()
    _, left = psutil.wait_procs(set(psutil.Process().children(recursive=True)) - before, timeout=10)
    assert not left, f"browser processes are left: {left}"


@pytest.fixture
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    """A platform; market-data runs on it, unless the test is marked as `quiet`."""
    stage = Stage()
    try:
        if not hasattr(request, "param"):
            stage.start_service()
        yield stage
    finally:
        stage.close()


@pytest.fixture
def open_page(browser: Browser, stage: Stage) -> Iterator[Callable[..., Page]]:
    """Open a sample page; any error on its console fails the test that opened it.

    `app`: an app id, or what a test or another page has launched. `agent`: whether labplatform opened the page.
    `before`: a script that runs behind the agent and before the page's own.
    """
    contexts, problems = [], []

    def open_page(
        app: str | Slot,
        *,
        scheme: str = "dark",
        width: int = 480,
        height: int = 637,
        after: str = "",
        agent: bool = True,
        before: str = "",
    ) -> Page:
        slot = stage.launch(app) if isinstance(app, str) else app
        context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": height})
        context.set_default_timeout(PATIENCE)
        contexts.append(context)
        if agent:
            context.add_init_script(stage.agent(slot) + before)
        page = context.new_page()
        page.on("pageerror", lambda error: problems.append(f"{slot.name}: {error}"))
        page.on("console", lambda line: problems.append(f"{slot.name}: {line.text}") if line.type == "error" else None)
        page.goto(stage.address(slot) + after)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert problems == []
