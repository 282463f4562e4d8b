"""A `Figure` in a real JupyterLab: drawn without the network, in the theme's colours, and only once for a theme."""

from __future__ import annotations

from collections.abc import Callable

from jupyter_lab import Notebook
from support.processes import until

CELL = """from bokeh.plotting import figure
from labplatform.kernel.widgets.figure import Figure

def draw(theme):
    plot = figure(width=300, height=200, toolbar_location=None, background_fill_color=None, border_fill_color=None)
    plot.line([0, 1, 2], [0, 2, 1], line_width=12, line_color={"light": "#c00000", "dark": "#00c000"}[theme])
    return plot

Figure(draw, "Zigzag", "It goes up and down.")"""

LINE = """() => {
  const inside = (one) => [one, ...(one.shadowRoot ? all(one.shadowRoot) : [])];
  const all = (root) => [...root.querySelectorAll("*")].flatMap(inside);
  const plots = [...document.querySelectorAll(".labplatform-plot")];
  const canvases = plots.flatMap(all).filter((one) => one.tagName === "CANVAS");
  const seen = {};
  for (const canvas of canvases) {
    if (!canvas.width || !canvas.height) continue;
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    for (let at = 0; at < data.length; at += 4) {
      if (data[at + 3] < 255) continue;
      const name = data[at] > 150 && data[at + 1] < 60 ? "red" : data[at + 1] > 150 && data[at] < 60 ? "green" : "";
      if (name) seen[name] = (seen[name] ?? 0) + 1;
    }
  }
  return Object.keys(seen).filter((name) => seen[name] > 200).join();
}"""


def test_a_plot_is_drawn_in_the_colours_of_the_theme(open_notebook: Callable[..., Notebook]) -> None:
    notebook = open_notebook([CELL], "figure")
    asked: list[str] = []
    notebook.page.on("request", lambda request: asked.append(request.url))
    notebook.run(0)
    assert notebook.finished(0, 30) == "Figure('Zigzag')"
    for theme, color in (("Light", "red"), ("Dark", "green"), ("Light", "red")):
        notebook.theme(theme)
        until(lambda color=color: notebook.page.evaluate(LINE) == color, 20, f"a {color} line, and no other")
    assert notebook.page.locator(".labplatform-words").inner_text() == "It goes up and down."
    assert notebook.page.locator('.labplatform-plot[role="img"]').get_attribute("aria-label").startswith("Zigzag. It")
    assert all(url.startswith(("blob:", "data:", notebook.jupyter.address)) for url in asked), asked
