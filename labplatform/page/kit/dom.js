/* Small things that every sample page does to its document. In the page's renderer. */

const SVG = "http://www.w3.org/2000/svg";

export const byId = (id) => document.getElementById(id);

/** Set text without touching the page when it is the same. */
export function put(node, text) {
  if (node.firstChild?.nodeType === Node.TEXT_NODE) {
    if (node.firstChild.data !== text) node.firstChild.data = text;
  } else {
    node.textContent = text;
  }
}

/** An element with properties, and what is inside it. */
export function make(name, properties = {}, ...inside) {
  const node = Object.assign(document.createElement(name), properties);
  node.append(...inside);
  return node;
}

/** An SVG element with attributes, at the end of `parent` if there is one. */
export function shape(name, attributes = {}, parent = null) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  parent?.append(node);
  return node;
}

/** Say in a `.notice` what is wrong, or nothing; `onClose` puts a button beside it that takes it away. */
export function warn(place, text, onClose = null) {
  if (place.textContent === text) return;
  place.replaceChildren();
  if (!text) return;
  const icon = shape("svg", { width: 16, height: 16, viewBox: "0 0 16 16", "aria-hidden": "true" }, place);
  shape("circle", { cx: 8, cy: 8, r: 6.6, fill: "none", stroke: "currentColor", "stroke-width": 1.6 }, icon);
  shape("path", { d: "M8 4.4v4.2M8 11v.4", stroke: "currentColor", "stroke-width": 1.8, "stroke-linecap": "round" }, icon);
  place.append(make("span", { textContent: text }));
  if (!onClose) return;
  const button = make("button", { type: "button", ariaLabel: "Close", onclick: onClose });
  const cross = shape("svg", { width: 12, height: 12, viewBox: "0 0 12 12", "aria-hidden": "true" }, button);
  shape("path", { d: "M2 2l8 8M10 2l-8 8", stroke: "currentColor", "stroke-width": 1.8, "stroke-linecap": "round" }, cross);
  place.append(button);
}
