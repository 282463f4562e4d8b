/**
 * The fields of a page's forms that are marked with `data-lab-keep`: by what name each is known again, what stands in
 * it, and how that is put back. In the page's renderer.
 *
 * The mark stands on a field, or on what it is in: a form, a fieldset, the body. A field's name is the mark's value, else
 * its `name`, else its `id`, led by the same of the form that is marked. `off` takes a field out again. What is a
 * password, or was one a moment ago, is no field here, nor what a browser fills in for codes and cards.
 */

import * as native from "./natives.js";

const MARK = "data-lab-keep";
const FIELDS = ":is(input,textarea,select)";
const MARKED = `[${MARK}]${FIELDS},[${MARK}] ${FIELDS}`;
/** Types of inputs that hold no words of a person's, and those that nobody is to keep. */
const PASSED_OVER = new Set(["password", "file", "hidden", "submit", "button", "image", "reset"]);
/** What `autocomplete` says of a field whose content is a secret. */
const SECRET = /(^|\s)(current-password|new-password|one-time-code|cc-\S+)(\s|$)/i;
/** Fields of a page that are looked at; more would cost it more than they are worth. */
const MOST_FIELDS = 1_000;

type Field = HTMLInputElement | HTMLTextAreaElement | HTMLSelectElement;
/** Text; of a checkbox whether it is checked, of a group of radio buttons which, of a list of several choices all. */
export type Value = string | boolean | readonly string[];

/** What was a password once: a page may show it, by making another type of the field. */
const passwords = new WeakSet<Element>();

function isSecret(field: Field): boolean {
  if (field.type === "password") passwords.add(field);
  return passwords.has(field) || SECRET.test(field.autocomplete);
}

/** Whether a change of this may be one of a marked field. */
export function isMarked(target: EventTarget | null): boolean {
  if (!(target instanceof Element)) return false;
  // Seen as a password, it stays one.
  if (target instanceof HTMLInputElement && target.type === "password") passwords.add(target);
  return target.closest(`[${MARK}]`) !== null;
}

/** Every marked field with its name, in the order of the page; radio buttons by that of their group. */
export function* marked(): Generator<[name: string, field: Field]> {
  const names = new Map<string, number>();
  let seen = 0;
  for (const field of document.querySelectorAll<Field>(MARKED)) {
    if (++seen > MOST_FIELDS) return;
    if (PASSED_OVER.has(field.type) || isSecret(field)) continue;
    const around = field.closest(`[${MARK}]`)!;
    const mark = around.getAttribute(MARK)!.trim();
    if (mark === "off") continue;
    const lead = around === field ? "" : mark || around.getAttribute("name") || around.id;
    const own = (around === field && mark) || field.name || field.id;
    if (!own) {
      nameless(field);
      continue;
    }
    const name = lead ? `${lead}/${own}` : own;
    // The others of a radio button's group have its name by right.
    const count = field.type === "radio" ? 1 : (names.get(name) ?? 0) + 1;
    names.set(name, count);
    yield [count === 1 ? name : `${name}#${count}`, field];
  }
}

let told = false;
function nameless(field: Field): void {
  if (told) return;
  told = true;
  native.warn(`a ${field.localName} marked with ${MARK} has neither name nor id, by which it could be known again`);
}

/** What stands in a field; `undefined` for a radio button that is not chosen. */
export function valueOf(field: Field): Value | undefined {
  if (field instanceof HTMLSelectElement && field.multiple) return [...field.selectedOptions].map(({ value }) => value);
  if (field instanceof HTMLInputElement) {
    if (field.type === "checkbox") return field.checked;
    if (field.type === "radio") return field.checked ? field.value : undefined;
  }
  return field.value;
}

/**
 * Put this into a field, as a person would: with an `input` and a `change` event, unless it is there already. Whether it
 * is there now.
 */
export function put(field: Field, value: Value): boolean {
  if (isSecret(field)) return false;
  const was = valueOf(field);
  if (same(was, value)) return true;
  if (field instanceof HTMLSelectElement) {
    const wanted = typeof value === "string" ? [value] : value;
    if (typeof wanted === "boolean") return false;
    const there = new Set([...field.options].map((option) => option.value));
    if (!wanted.every((one) => there.has(one))) return false;
    for (const option of field.options) native.setSelected(option, wanted.includes(option.value));
  } else if (field instanceof HTMLInputElement && (field.type === "checkbox" || field.type === "radio")) {
    native.setChecked(field, field.type === "radio" || value === true);
  } else if (typeof value !== "string") {
    return false;
  } else if (field instanceof HTMLInputElement) {
    native.setInput(field, value);
  } else {
    native.setTextArea(field, value);
  }
  // What it does not take, a date that is none, is not there.
  if (same(was, valueOf(field))) return false;
  native.dispatch(field, new native.NativeEvent("input", { bubbles: true, composed: true }));
  native.dispatch(field, new native.NativeEvent("change", { bubbles: true }));
  return true;
}

function same(one: Value | undefined, other: Value | undefined): boolean {
  return native.stringify(one) === native.stringify(other);
}
