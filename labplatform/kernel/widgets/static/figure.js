// The page side of Figure: draws the model that fits the page's theme.

function render({ model, el }) {
  const box = make("figure", "figure", el);
  const plot = make("div", "plot", box);
  plot.setAttribute("role", "img");
  plot.setAttribute("aria-label", `${model.get("name")}. ${model.get("words")}`);
  make("figcaption", "words", box).textContent = model.get("words");

  let wanted = null; // the theme that is shown, or on its way
  let drawn = null;
  let under = Promise.resolve(); // one drawing after the other

  async function draw(theme) {
    if (theme !== wanted) return;
    drawn?.end();
    drawn = null;
    drawn = await embed(model, model.get("items")[theme], plot);
  }

  const failed = (error) => (plot.textContent = `The plot cannot be drawn: ${error.message}`);
  const endWatching = watchTheme(el, (theme) => {
    wanted = theme;
    under = under.then(() => draw(theme)).catch(failed);
  });
  return () => {
    wanted = null;
    endWatching();
    under.then(() => drawn?.end());
  };
}

export default { render };
