"""A browser and a stage for the sample pages; proves at the end of each module that no browser process is left."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator

import psutil
import pytest
from playwright.sync_api import Browser, Page, sync_playwright
from sample_stage import SHIM, Stage


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
def stage() -> Iterator[Stage]:
    """Server and running market-data."""
    stage = Stage()
    stage.start_service()
    yield stage
    stage.close()


@pytest.fixture
def open_page(browser: Browser, stage: Stage) -> Iterator[Callable[..., Page]]:
    """Open a sample page; any error on its console fails the test that opened it."""
    contexts, problems = [], []

    def open_page(
        app: str, *, scheme: str = "dark", width: int = 480, height: int = 640, after: str = "", shim: str = SHIM
    ) -> Page:
        context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": height})
        context.set_default_timeout(15_000)
        contexts.append(context)
        context.add_init_script(shim)
        page = context.new_page()
        page.on("pageerror", lambda error: problems.append(f"{app}: {error}"))
        page.on("console", lambda line: problems.append(f"{app}: {line.text}") if line.type == "error" else None)
        page.goto(f"{stage.address}/{app}/index.html{after}")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert problems == []
