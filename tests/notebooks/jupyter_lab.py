"""A JupyterLab server in a folder of its own, and a notebook open in it: what a person sees there and does there."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

from playwright.sync_api import Page
from support.processes import until

ARTEFACTS = Path(__file__).parents[2] / "artefacts" / "notebooks"
TOKEN = "lesson-test-token"
VIEWPORT = {"width": 1360, "height": 1000}
LOG_END = 2000
"""Characters of JupyterLab's log that a failure tells."""
LOADS = 3
"""How often a page is loaded, at most, until its kernel answers."""


def plain_text(outputs: list[dict[str, Any]]) -> str:
    """All that a cell printed or returned, as plain text."""
    parts = (output.get("text") or output.get("data", {}).get("text/plain", "") for output in outputs)
    return "".join("".join(part) for part in parts)


ANSWERS = """async () => {
  const kernel = globalThis.jupyterapp?.shell?.currentWidget?.sessionContext?.session?.kernel;
  if (kernel?.connectionStatus !== "connected" || kernel.status !== "idle") return false;
  const late = new Promise((resolve) => setTimeout(resolve, 2000, false));
  return Promise.race([kernel.requestKernelInfo().then(() => true), late]);
}"""


def until_kernel_answers(page: Page) -> None:
    """Wait until what this page asks of its notebook's kernel is answered.

    A kernel in which no platform has been made yet may leave a request lying, and then all that come after it (see
    `labplatform.kernel.shell_requests`); the page is loaded again then, as the README advises.
    """
    for _ in range(LOADS - 1):
        try:
            return until(lambda: page.evaluate(ANSWERS), 20, "the kernel to answer")
        except AssertionError:
            page.reload()
    until(lambda: page.evaluate(ANSWERS), 60, "the kernel to answer")


class Notebook:
    """A notebook open in JupyterLab, and what a person does with it."""

    def __init__(self, page: Page, jupyter: Jupyter) -> None:
        self.page = page
        self.jupyter = jupyter

    def run_from(self, index: int) -> None:
        """Run this cell and all below, without waiting."""
        self.page.evaluate(
            "index => { jupyterapp.shell.currentWidget.content.activeCellIndex = index;"
            " jupyterapp.commands.execute('notebook:run-all-below') }",
            index,
        )

    def command(self, name: str, **args: Any) -> None:
        """Run one of JupyterLab's commands, and do not wait for its end."""
        self.page.evaluate("([name, args]) => { jupyterapp.commands.execute(name, args) }", [name, args])

    def run(self, index: int) -> None:
        """Select a cell and run it, without waiting."""
        self.page.evaluate(
            "index => { jupyterapp.shell.currentWidget.content.activeCellIndex = index;"
            " jupyterapp.commands.execute('notebook:run-cell') }",
            index,
        )

    def count(self, index: int) -> str:
        """What stands in a cell's brackets: `*` while it runs or waits."""
        return self.page.evaluate(
            "i => { const c = jupyterapp.shell.currentWidget.content.widgets[i];"
            " return c.promptNode.textContent.replace(/[\\[\\]: ]/g, '') }",
            index,
        )

    def output(self, index: int) -> list[dict[str, Any]]:
        """A cell's outputs as in the file."""
        return self.page.evaluate(
            "i => jupyterapp.shell.currentWidget.content.widgets[i].model.toJSON().outputs ?? []", index
        )

    def text(self, index: int) -> str:
        """All that a cell printed or returned as plain text."""
        return plain_text(self.output(index))

    def finished(self, index: int, timeout: float) -> str:
        """Wait until a cell has run to its end; returns its text. An error in it fails the test."""
        until(lambda: self.count(index).isdigit(), timeout, f"cell {index} to run to its end")
        errors = [output for output in self.output(index) if output["output_type"] == "error"]
        assert not errors, errors
        return self.text(index)

    def stop_cell(self, index: int) -> None:
        """Press the stop button, and wait until the cell has ended by it."""
        self.page.locator(
            'button[data-command="notebook:interrupt-kernel"], [data-command="notebook:interrupt-kernel"]'
        ).first.click()
        until(lambda: self.count(index).isdigit(), 15, "the interrupt to end the cell")
        assert [output.get("ename") for output in self.output(index)] == ["KeyboardInterrupt"]

    def scroll_to(self, index: int) -> None:
        """Bring a cell on the screen."""
        self.page.evaluate("i => jupyterapp.shell.currentWidget.content.scrollToItem(i, 'start')", index)

    def boxes(self) -> list[dict[str, Any]]:
        """Each view now: what it shows in words, and what its picture holds, read back through a canvas."""
        return self.page.evaluate(
            """() => [...document.querySelectorAll(".labplatform-box")].map((box) => {
              const image = box.querySelector(".labplatform-image");
              const canvas = document.createElement("canvas");
              let colours = 0, print = 0;
              if (image.naturalWidth) {
                canvas.width = image.naturalWidth; canvas.height = image.naturalHeight;
                const context = canvas.getContext("2d");
                context.drawImage(image, 0, 0);
                const pixels = new Uint32Array(context.getImageData(0, 0, canvas.width, canvas.height).data.buffer);
                colours = new Set(pixels).size;
                for (const pixel of pixels) print = (Math.imul(print, 31) + pixel) | 0;
              }
              const words = (name) => box.querySelector(`.labplatform-${name}`).textContent;
              return {
                title: words("title"), pid: words("pid"), state: words("state"), aside: words("aside"),
                live: words("live"), alt: image.alt, kind: box.dataset.state,
                gone: box.classList.contains("labplatform-gone"), border: getComputedStyle(box).borderStyle,
                opacity: Number(getComputedStyle(image).opacity),
                width: image.naturalWidth, number: Number(image.dataset.number ?? 0), colours, print,
              };
            })"""
        )

    def photograph(self, name: str, selector: str | None = None) -> None:
        """Keep a screenshot for people to look at."""
        ARTEFACTS.mkdir(parents=True, exist_ok=True)
        target = self.page.locator(selector).first if selector else self.page
        target.screenshot(path=ARTEFACTS / f"{name}.png")

    def theme(self, name: str) -> None:
        """Switch JupyterLab's theme and wait until it is on.

        It lays the page out anew: that may scroll, which closes menus, and take the focus from what had it. So what a
        picture is to show is opened, or given the focus, after this.
        """
        self.command("apputils:change-theme", theme=f"JupyterLab {name}")
        light = "true" if name == "Light" else "false"
        self.page.wait_for_selector(f'body[data-jp-theme-light="{light}"]', state="attached", timeout=10_000)


class Jupyter:
    """A JupyterLab server in a folder of its own."""

    def __init__(self, folder: Path, runtime: Path) -> None:
        self.folder = folder / "lessons"
        self.folder.mkdir()
        self._runtime = folder / "runtime"
        # No question about news in the corner, and no look at the network for a newer version.
        settings = folder / "settings" / "@jupyterlab" / "apputils-extension" / "notification.jupyterlab-settings"
        settings.parent.mkdir(parents=True)
        settings.write_text('{"fetchNews": "false", "checkForUpdates": false}')
        self._log = (folder / "jupyter.log").open("w+")
        environment = os.environ | {
            "JUPYTER_CONFIG_DIR": str(folder / "config"),
            "JUPYTER_DATA_DIR": str(folder / "data"),
            "JUPYTER_RUNTIME_DIR": str(self._runtime),
            "JUPYTERLAB_SETTINGS_DIR": str(folder / "settings"),
            "JUPYTERLAB_WORKSPACES_DIR": str(folder / "workspaces"),
            "JUPYTER_PREFER_ENV_PATH": "1",
            "XDG_RUNTIME_DIR": str(runtime),
        }
        for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
            environment.pop(name, None)
        command = [
            *(sys.executable, "-m", "jupyterlab", "--no-browser", "--ServerApp.port=0", "--ip=127.0.0.1"),
            *(
                f"--IdentityProvider.token={TOKEN}",
                "--LabApp.expose_app_in_browser=True",
                "--JupyterNotebookApp.expose_app_in_browser=True",
                f"--notebook-dir={self.folder}",
            ),
            *(["--allow-root"] if os.geteuid() == 0 else []),
        ]
        self.process = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=self._log, stderr=subprocess.STDOUT
        )
        self.address = until(self._serving, 60, "JupyterLab to serve")

    def _serving(self) -> str | None:
        assert self.process.poll() is None, self.log()
        for file in self._runtime.glob("jpserver-*.json"):
            try:
                address = json.loads(file.read_text())["url"]
                with urllib.request.urlopen(f"{address}api?token={TOKEN}", timeout=2):
                    return address
            except (OSError, ValueError):
                return None
        return None

    def log(self) -> str:
        self._log.flush()
        return Path(self._log.name).read_text()

    def close(self) -> None:
        """End the server and, by it, its kernels."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"JupyterLab did not end within 20 s:\n{self.log()[-LOG_END:]}") from None
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait(5)
            self._log.close()
