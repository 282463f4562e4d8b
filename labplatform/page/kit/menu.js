/* A context menu within the page: by mouse, by the menu key, or by Shift and F10. In the page's renderer. */
import { make } from "./dom.js";

const INSIDE = 4; // px between the menu and the window's edge

/**
 * Offer `items` (pairs of words and action) at a point. The focus then goes to `from`, unless it is a click elsewhere that
 * closes the menu. `about`: what the menu is for, in words.
 */
export function openMenu(about, items, { x, y }, from) {
  const menu = make("div", { className: "menu", role: "menu", ariaLabel: about, popover: "manual" });
  for (const [words, action] of items) {
    const item = make("button", { type: "button", role: "menuitem", textContent: words, tabIndex: -1 });
    item.addEventListener("click", () => {
      close();
      action();
    });
    menu.append(item);
  }
  const all = [...menu.children];
  const close = () => {
    menu.hidePopover();
    from.focus();
  };
  menu.addEventListener("keydown", (event) => {
    const at = all.indexOf(document.activeElement);
    const to = {
      ArrowDown: (at + 1) % all.length,
      ArrowUp: (at + all.length - 1) % all.length,
      Home: 0,
      End: all.length - 1,
    }[event.key];
    if (to === undefined && event.key !== "Escape" && event.key !== "Tab") return;
    event.preventDefault();
    if (to === undefined) close();
    else all[to].focus();
  });
  menu.addEventListener("contextmenu", (event) => event.preventDefault());
  // Closed by hand: where a menu opens when the button goes down, some browsers close an automatic one when it goes up.
  const outside = (event) => menu.contains(event.target) || menu.hidePopover();
  document.addEventListener("pointerdown", outside, true);
  menu.addEventListener("toggle", ({ newState }) => {
    if (newState !== "closed") return;
    document.removeEventListener("pointerdown", outside, true);
    menu.remove();
  });
  document.body.append(menu);
  menu.showPopover();
  const { width, height } = menu.getBoundingClientRect();
  menu.style.left = `${Math.max(INSIDE, Math.min(x, innerWidth - width - INSIDE))}px`;
  menu.style.top = `${Math.max(INSIDE, Math.min(y, innerHeight - height - INSIDE))}px`;
  all[0].focus();
}
