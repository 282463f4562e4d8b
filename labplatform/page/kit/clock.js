/* The second hand: alive and hung differ at a glance. In the page's renderer, on its main thread, for that is what a
   hang stops; an animation of the compositor's would go on turning. */
import { shape } from "./dom.js";

/** Draw a clock's face into `place`; returns the function that turns its hand to the present second. */
export function secondHand(place) {
  const face = shape("svg", { width: 44, height: 44 }, place);
  shape("circle", { cx: 22, cy: 22, r: 20.5, fill: "none", stroke: "var(--line)", "stroke-width": 1.5 }, face);
  for (let hour = 0; hour < 12; hour++) {
    const long = hour % 3 === 0;
    shape(
      "path",
      {
        d: long ? "M22 3.4V7.4" : "M22 3.6V5.6",
        stroke: "var(--line-strong)",
        "stroke-width": long ? 1.6 : 1,
        transform: `rotate(${hour * 30} 22 22)`,
      },
      face,
    );
  }
  const hand = shape("svg", { width: 44, height: 44, class: "hand" }, place);
  shape("path", { d: "M22 27V5", stroke: "var(--app-line)", "stroke-width": 2.2, "stroke-linecap": "round" }, hand);
  shape("circle", { cx: 22, cy: 22, r: 2.6, fill: "var(--app-line)" }, hand);
  const calm = matchMedia("(prefers-reduced-motion: reduce)");
  return () => {
    const seconds = (Date.now() / 1000) % 60;
    hand.style.transform = `rotate(${((calm.matches ? Math.floor(seconds) : seconds) * 6).toFixed(1)}deg)`;
  };
}
