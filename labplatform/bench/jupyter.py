"""JupyterLab with one notebook open, in a window of its own off screen: what a person has before them, on the bench.

The window is an app of the bench's own platform, so that the page can be asked what it shows.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import psutil

from ..errors import LabTimeout
from ..kernel.app import App
from .rivals import Rival
from .stage import Stage

T = TypeVar("T")
SERVE_SECONDS, OPEN_SECONDS, END_SECONDS = 60.0, 90.0, 20.0
WIDTH, HEIGHT = 1400, 3200
"""Of the window: as high as a notebook's cell with the whole panel."""
NAME = "reader"
RUN = """(() => {
  const notebook = globalThis.jupyterapp?.shell.currentWidget;
  if (!notebook?.sessionContext?.session?.kernel || !notebook.content.widgets?.length) return false;
  jupyterapp.commands.execute("notebook:run-all-cells");
  return true;
})()"""
ENDED = """(() => {
  const outputs = jupyterapp.shell.currentWidget.content.widgets.map((cell) => cell.model.toJSON().outputs ?? []);
  const error = outputs.flat().find((output) => output.output_type === "error");
  return error ? `${error.ename}: ${error.evalue}` : "";
})()"""


class Reader:
    """A notebook as its reader has it. `page`: the window it is in; `kernel`: the process of its kernel."""

    def __init__(self, page: App, kernel: psutil.Process) -> None:
        self.page = page
        self.kernel = kernel

    def ask(self, script: str) -> Any:
        """What this JavaScript gives in JupyterLab's page."""
        return self.page.evaluate_js(script, timeout=20)

    def until(self, script: str, seconds: float, what: str) -> None:
        """Wait until it gives something true. Raises `LabTimeout`, with the error of a cell if there is one."""
        _until(lambda: self.ask(script), seconds, what, self._error)

    def _error(self) -> str:
        return self.ask(ENDED)


@contextmanager
def notebook(stage: Stage, code: str) -> Iterator[Reader]:
    """Run this one cell in a notebook; all of it is ended afterwards."""
    folder = stage.folder / "jupyter"
    with _served(folder, code) as (server, address), stage.platform(_app(folder, address)) as platform:
        page = platform.launch(NAME, timeout=60)
        _until(lambda: page.evaluate_js(RUN, timeout=20), OPEN_SECONDS, "JupyterLab to open the notebook")
        yield Reader(page, _until(lambda: _kernel(server), 20, "its kernel"))


def _app(folder: Path, address: str) -> Path:
    """A manifest for the window."""
    startup = {"uuid": NAME, "name": "Reader", "url": address, "defaultWidth": WIDTH, "defaultHeight": HEIGHT}
    home = folder / NAME
    home.mkdir()
    (home / "app.json").write_text(json.dumps({"startup_app": startup}), encoding="utf-8")
    return home


def _cell(code: str) -> dict[str, Any]:
    return {"cell_type": "code", "id": "0", "metadata": {}, "outputs": [], "execution_count": None, "source": code}


@contextmanager
def _served(folder: Path, code: str) -> Iterator[tuple[Rival, str]]:
    """A server for this cell alone, and the address of the notebook that it is in."""
    notebooks, settings = folder / "notebooks", folder / "settings" / "@jupyterlab" / "apputils-extension"
    notebooks.mkdir(parents=True)
    settings.mkdir(parents=True)
    # No question about news in a corner, and no look at the network for a newer version.
    (settings / "notification.jupyterlab-settings").write_text('{"fetchNews": "false", "checkForUpdates": false}')
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    content = {"cells": [_cell(code)], "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    (notebooks / "panel.ipynb").write_text(json.dumps(content), encoding="utf-8")
    token = secrets.token_hex(16)
    places = {"CONFIG": "config", "DATA": "data", "RUNTIME": "runtime"}
    environ = {f"JUPYTER_{name}_DIR": str(folder / place) for name, place in places.items()} | {
        "JUPYTERLAB_SETTINGS_DIR": str(folder / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(folder / "workspaces"),
        "JUPYTER_PREFER_ENV_PATH": "1",
        "JUPYTER_TOKEN": token,
    }
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--ip=127.0.0.1", "--ServerApp.port=0"]
    command += ["--LabApp.expose_app_in_browser=True", f"--notebook-dir={notebooks}"]
    if os.geteuid() == 0:
        command.append("--allow-root")
    with Rival(command, environ, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as server:
        try:
            address = _until(lambda: _address(server, folder / "runtime"), SERVE_SECONDS, "JupyterLab to serve")
            yield server, f"{address}lab/tree/panel.ipynb?token={token}"
        finally:
            # It ends its kernels, and they their platforms; only what is left then is killed.
            server.process.send_signal(signal.SIGTERM)
            try:
                server.process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                pass


def _address(server: Rival, runtime: Path) -> str:
    if server.process.poll() is not None:
        raise OSError(f"JupyterLab ended while it started, with code {server.process.returncode}")
    for file in runtime.glob("jpserver-*.json"):
        try:
            return json.loads(file.read_text())["url"]
        except ValueError:
            pass  # it is being written
    return ""


def _kernel(server: Rival) -> psutil.Process | None:
    return next((one for one in server.processes() if "ipykernel_launcher" in one.cmdline()), None)


def _until(met: Callable[[], T], seconds: float, what: str, error: Callable[[], str] = str) -> T:
    deadline = time.monotonic() + seconds
    while not (answer := met()):
        if problem := error():
            raise OSError(f"the notebook's cell failed: {problem}")
        if time.monotonic() > deadline:
            raise LabTimeout(f"waited {seconds:g} s for {what}")
        time.sleep(0.1)
    return answer
