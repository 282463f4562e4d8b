"""A JupyterLab, a browser that drives it, and the proof that neither leaves a process."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import nbformat
import pytest
from jupyter_lab import ARTEFACTS, LOG_END, TOKEN, VIEWPORT, Jupyter, Notebook, until_kernel_answers
from lessons import LESSONS
from playwright.sync_api import Browser, Error, Page, sync_playwright
from support.processes import become_subreaper, below, until

SHOWN = """async () => {
  const kernel = globalThis.jupyterapp?.shell?.currentWidget?.sessionContext?.session?.kernel;
  const within = (promise) => Promise.race([
    promise.then(() => "yes", String), new Promise((resolve) => setTimeout(resolve, 3000, "not within 3 s")),
  ]);
  const answers = kernel ? await within(kernel.requestKernelInfo()) : "none";
  const handled = kernel?._msgChain ? await within(kernel._msgChain) : "not known";
  const focus = document.activeElement;
  const texts = (all) => [...document.querySelectorAll(all)].map((one) => one.innerText.trim());
  return [
    `kernel: ${kernel?.connectionStatus}, ${kernel?.status}; answers: ${answers}; its messages are handled: ${handled}`,
    `visible: ${document.visibilityState}, with focus: ${document.hasFocus()}`,
    `focus: ${focus?.tagName} .${focus?.className} ${(focus?.innerText ?? "").slice(0, 80)}`,
    `dialogs: ${texts("dialog[open], .jp-Dialog").join("; ")}`,
    `brackets: ${texts(".jp-InputPrompt").join(" ")}`,
    ...texts(".labplatform-box").map((text) => `box: ${text.replace(/\\n+/g, " | ").slice(0, 400)}`),
  ].join("\\n");
}"""
"""What a page shows, in words, for whom its picture does not reach."""


@pytest.fixture(scope="session", params=LESSONS, ids=lambda file: file.stem)
def lesson(request: pytest.FixtureRequest) -> Path:
    """Each lesson, as shipped."""
    return request.param


@pytest.fixture(scope="module")
def ground(runtime_folder: Path) -> Iterator[None]:
    """No process of a module's JupyterLab, kernels, platforms and browser is left when the module ends."""
    become_subreaper()
    before = set(below())

    def left() -> list[str]:
        found = [words for process, words in below().items() if process not in before]
        return found + [path.name for path in runtime_folder.glob("**/platform-*")]

    yield
    until(lambda: not left(), 15, "the end of all processes")


@pytest.fixture(scope="module")
def browser(ground: None) -> Iterator[Browser]:
    """Debian's Chromium, or the one that Playwright brought along."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=shutil.which("chromium") or shutil.which("chromium-browser"),
            args=["--no-sandbox"] if os.geteuid() == 0 else [],
        )
        _browsers.append(chromium)
        yield chromium
        _browsers.clear()
        chromium.close()


_browsers: list[Browser] = []
_servers: list[Jupyter] = []


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Say of a test that failed what its pages show, and keep a picture of each."""
    report = yield
    if report.failed:
        pages = [page for browser in _browsers for context in browser.contexts for page in context.pages]
        for number, page in enumerate(pages):
            try:
                ARTEFACTS.mkdir(parents=True, exist_ok=True)
                page.screenshot(path=ARTEFACTS / f"failed-{item.name}-{number}.png", timeout=10_000)
                report.sections.append((f"page {number}", f"{page.url.split('?')[0]}\n{page.evaluate(SHOWN)}"))
            except Error as error:
                report.sections.append((f"page {number}", str(error)))
        for server in _servers:
            report.sections.append(("the end of JupyterLab's log", server.log()[-LOG_END:]))
    return report


@pytest.fixture(scope="module")
def jupyter(ground: None, runtime_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jupyter]:
    jupyter = Jupyter(tmp_path_factory.mktemp("jupyter"), runtime_folder)
    _servers.append(jupyter)
    yield jupyter
    _servers.remove(jupyter)
    jupyter.close()


@pytest.fixture(scope="module")
def open_notebook(browser: Browser, jupyter: Jupyter) -> Iterator[Callable[..., Notebook]]:
    """Open a notebook of these cells, or a copy of a file."""
    pages: list[Page] = []

    def open_notebook(source: Path | list[str], name: str) -> Notebook:
        target = jupyter.folder / f"{name}.ipynb"
        if isinstance(source, Path):
            shutil.copy(source, target)
        else:
            cells = [nbformat.v4.new_code_cell(text) for text in source]
            metadata = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
            nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=metadata), target)
        page = browser.new_page(viewport=VIEWPORT)
        pages.append(page)
        page.set_default_timeout(30_000)
        page.goto(f"{jupyter.address}lab/workspaces/{name}/tree/{name}.ipynb?token={TOKEN}")
        until_kernel_answers(page)
        return Notebook(page, jupyter)

    yield open_notebook
    for page in pages:
        page.close()
