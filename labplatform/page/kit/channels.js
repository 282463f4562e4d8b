/* `<lab-channels>`: on which of FDC3's user channels this page is, to see and to choose. In the page's renderer.

   A row of radio buttons, drawn as ringed dots with the channels' numbers and colours as the desktop agent gives them.
   It shows where the page is, whoever put it there. The attribute `says` is what it says beside them while the page is on
   a channel, and `note()` puts something else there, in one line or two, until the page is on another. */
import { fdc3, inWords, opened } from "./fdc3.js";
import { make, put } from "./dom.js";

class Channels extends HTMLElement {
  #radios = new Map(); // by channel id; "" is no channel
  #current = "";
  #asking = 0;
  #said = make("b");
  #below = make("small");
  #group = make("div", { className: "dots", role: "radiogroup" });

  async connectedCallback() {
    if (this.firstChild) return;
    const title = make("span", { className: "title", id: "lab-channels", textContent: "Channel" });
    this.#group.setAttribute("aria-labelledby", title.id);
    this.append(title, this.#group, make("output", { className: "said" }, this.#said, this.#below));
    if (!fdc3) {
      this.note("no platform");
      return;
    }
    try {
      await opened;
      this.#add("", { name: "No channel", glyph: "–" });
      for (const { id, displayMetadata } of await fdc3.getUserChannels()) this.#add(id, displayMetadata ?? {});
      await fdc3.addEventListener("userChannelChanged", ({ details }) => this.#moved(details.currentChannelId));
      this.#moved((await fdc3.getCurrentChannel())?.id);
    } catch (error) {
      this.note("no channels", inWords(error));
    }
  }

  /** The id of the user channel that the page is on; "" is none. */
  get current() {
    return this.#current;
  }

  /** Say something about the channel, until the page is on another one; `below` is for a second, smaller line. */
  note(text, below = "") {
    put(this.#said, text);
    put(this.#below, below);
  }

  #add(id, { name, color, glyph }) {
    const radio = make("input", { type: "radio", name: "lab-channel", value: id });
    const words = [name ?? id, color].filter(Boolean).join(", ");
    radio.setAttribute("aria-label", words);
    radio.addEventListener("change", () => this.#join(id));
    const number = make("span", { className: "number", textContent: glyph ?? id, ariaHidden: "true" });
    const label = make("label", { title: words }, radio, make("i"), number);
    label.dataset.color = color ?? "";
    if (color) label.style.setProperty("--named", color);
    this.#group.append(label);
    this.#radios.set(id, radio);
  }

  async #join(id) {
    this.#asking++;
    try {
      await (id ? fdc3.joinUserChannel(id) : fdc3.leaveCurrentChannel());
    } catch (error) {
      this.note("not moved", inWords(error));
    }
    this.#asking--;
    this.#show();
  }

  /** The platform says where the page is now. */
  #moved(id) {
    const former = this.#current;
    this.#current = id ?? "";
    if (this.#current !== former || !this.#said.textContent) {
      this.note(this.#current ? (this.getAttribute("says") ?? "") : "on its own");
    }
    this.#show();
  }

  #show() {
    // While the person goes from one to the next, the buttons are ahead of the platform's answers.
    const radio = this.#asking ? null : this.#radios.get(this.#current);
    if (radio) radio.checked = true;
  }
}

customElements.define("lab-channels", Channels);
