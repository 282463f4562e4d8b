// Bokeh for widgets that draw with it: one script for the whole page, asked of the kernel when the first of them draws.

const LIBRARY_WAIT = 20_000; // milliseconds for the kernel to send it

// The library of this version, as a promise; a widget's `model` is whom to ask. Rejected where nobody answers, and then
// the next one asks again.
function bokeh(model, version) {
  const known = (globalThis.labplatformBokeh ??= {});
  return (known[version] ??= fetchBokeh(model, version).catch((error) => {
    delete known[version];
    throw error;
  }));
}

async function fetchBokeh(model, version) {
  const packed = await new Promise((resolve, reject) => {
    const settle = (how, value) => {
      clearTimeout(timer);
      model.off("msg:custom", take);
      how(value);
    };
    const take = (word, buffers) => word?.library === version && settle(resolve, buffers[0]);
    const timer = setTimeout(() => settle(reject, new Error("no answer from the kernel")), LIBRARY_WAIT);
    model.on("msg:custom", take);
    model.send({ library: version });
  });
  const unpacked = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  const code = await new Response(unpacked).arrayBuffer();
  const address = URL.createObjectURL(new Blob([code], { type: "text/javascript" }));
  const script = document.createElement("script");
  await new Promise((resolve, reject) => {
    script.src = address;
    script.onload = resolve;
    script.onerror = () => reject(new Error("the page does not run Bokeh's script"));
    document.head.append(script);
  }).finally(() => {
    URL.revokeObjectURL(address);
    script.remove();
  });
  // Where the page has another version of its own, ours stands below that.
  return globalThis.Bokeh[version] ?? globalThis.Bokeh;
}

// Draws a model as Python's `json_item` gives it; returns its view's root, its document, and what takes both away.
async function embed(model, item, node) {
  const library = await bokeh(model, item.version);
  const views = await library.embed.embed_item(item, node);
  const view = views.roots[0];
  const { document: drawn } = view.model;
  return {
    view,
    document: drawn,
    end() {
      views.clear();
      drawn.clear();
      const at = library.documents.indexOf(drawn);
      if (at >= 0) library.documents.splice(at, 1);
      node.replaceChildren();
    },
  };
}

// Calls `changed(theme)` now, once the widget is in the page, and whenever the page turns dark or light.
const DARK = '[data-jp-theme-light="false"], .theme-dark, .jp-mod-dark';
function watchTheme(el, changed) {
  let known = null;
  const look = () => {
    const theme = el.closest(DARK) ? "dark" : "light";
    if (theme !== known) changed((known = theme));
  };
  const watching = new MutationObserver(look);
  watching.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-light", "class"] });
  const frame = requestAnimationFrame(look);
  return () => {
    cancelAnimationFrame(frame);
    watching.disconnect();
  };
}
