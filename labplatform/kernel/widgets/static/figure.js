// The page side of Figure: runs Bokeh's script once for the whole page, and draws the model that fits the page's theme.

const DARK = '[data-jp-theme-light="false"], .theme-dark, .jp-mod-dark';

function bokeh(code) {
  globalThis.labplatformBokeh ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = URL.createObjectURL(new Blob([code], { type: "text/javascript" }));
    script.onload = () => resolve(globalThis.Bokeh);
    script.onerror = () => reject(new Error("the page does not run Bokeh's script"));
    document.head.append(script);
  });
  return globalThis.labplatformBokeh;
}

function render({ model, el }) {
  const box = make("figure", "figure", el);
  const plot = make("div", "plot", box);
  plot.setAttribute("role", "img");
  plot.setAttribute("aria-label", `${model.get("name")}. ${model.get("words")}`);
  make("figcaption", "words", box).textContent = model.get("words");

  let drawn = null; // the theme that is shown, or on its way
  let views = null;

  async function draw() {
    const theme = el.closest(DARK) ? "dark" : "light";
    if (theme === drawn) return;
    drawn = theme;
    const item = model.get("items")[theme];
    const library = await bokeh(model.get("library"));
    if (theme !== drawn) return;
    views?.clear?.();
    plot.replaceChildren();
    views = await (library[item.version] ?? library).embed.embed_item(item, plot);
  }

  const failed = (error) => (plot.textContent = `The plot cannot be drawn: ${error.message}`);
  const watching = new MutationObserver(() => draw().catch(failed));
  watching.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-light", "class"] });
  // Whether the page is dark is known once the widget is in it.
  requestAnimationFrame(() => draw().catch(failed));
  return () => {
    watching.disconnect();
    views?.clear?.();
  };
}

export default { render };
