/**
 * The browser's own functions, taken before the page's scripts can replace them. In the page's renderer.
 *
 * A page may patch what it likes (fake timers, wrapped sockets, a `toJSON` on every object); what touches the socket and
 * the token goes through this file, so that none of it sees the token. The socket itself is no secret: it speaks for
 * this page, and for nothing that the page could not say through `fdc3`.
 */

const { apply } = Reflect;
const { getOwnPropertyDescriptor } = Object;

/** `method.call(self, …)` without looking up `call`, which a page can replace. */
function uncurried<Self, Args extends unknown[], Value>(
  method: (this: Self, ...args: Args) => Value,
): (self: Self, ...args: Args) => Value {
  return (self, ...args) => apply(method, self, args) as Value;
}

function getterOf<Self, Name extends keyof Self & string>(prototype: Self, name: Name): (self: Self) => Self[Name] {
  const getter = getOwnPropertyDescriptor(prototype, name)?.get;
  if (!getter) throw new TypeError(`this browser has no getter for ${name}`);
  return (self) => apply(getter, self, []) as Self[Name];
}

function setterOf<Self, Name extends keyof Self & string>(prototype: Self, name: Name): (self: Self, value: Self[Name]) => void {
  const setter = getOwnPropertyDescriptor(prototype, name)?.set;
  if (!setter) throw new TypeError(`this browser has no setter for ${name}`);
  return (self, value) => apply(setter, self, [value]) as void;
}

export const Socket = WebSocket;
export const sendText = uncurried<WebSocket, [text: string], void>(WebSocket.prototype.send);
export const bufferedAmount = getterOf(WebSocket.prototype, "bufferedAmount");
export const closeSocket = uncurried<WebSocket, [], void>(WebSocket.prototype.close);
export const listen = uncurried<EventTarget, [type: string, listener: (event: Event) => void, capture?: boolean], void>(
  EventTarget.prototype.addEventListener,
);
export const dispatch = uncurried<EventTarget, [event: Event], boolean>(EventTarget.prototype.dispatchEvent);
const pathOf = uncurried<Event, [], EventTarget[]>(Event.prototype.composedPath);
/** What an event is about, also where that is inside a shadow tree. */
export const targetOf = (event: Event): EventTarget | null => pathOf(event)[0] ?? null;
export const messageData = getterOf(MessageEvent.prototype, "data");
export const closeCode = getterOf(CloseEvent.prototype, "code");
export const eventDetail = getterOf(CustomEvent.prototype, "detail");
export const blockedUri = getterOf(SecurityPolicyViolationEvent.prototype, "blockedURI");
export const violatedDirective = getterOf(SecurityPolicyViolationEvent.prototype, "effectiveDirective");

// The prototypes' own: a page's library may have put a setter on the field itself, to notice what a script writes.
export const setInput = setterOf(HTMLInputElement.prototype, "value");
export const setTextArea = setterOf(HTMLTextAreaElement.prototype, "value");
export const setChecked = setterOf(HTMLInputElement.prototype, "checked");
export const setSelected = setterOf(HTMLOptionElement.prototype, "selected");

export const { parse, stringify } = JSON;
export const indexOf = uncurried<string, [part: string, from: number], number>(String.prototype.indexOf);
export const slice = uncurried<string, [from: number, to: number], string>(String.prototype.slice);
export const { freeze, defineProperty } = Object;
export const NativePromise = Promise;
export const NativeProxy = Proxy;
export const NativeError = Error;
export const NativeEvent = Event;
export const NativeCustomEvent = CustomEvent;
export const NativeMouseEvent = MouseEvent;
export const NativeTarget = EventTarget;

export const startTimer: (action: () => void, milliseconds: number) => number = setTimeout;
export const stopTimer: (timer: number) => void = clearTimeout;
/** Once the code that runs now is done, before anything else. */
export const soon: (action: () => void) => void = queueMicrotask;
export const report: (error: unknown) => void = reportError;

const nativeWarn = console.warn;
export function warn(text: string): void {
  apply(nativeWarn, console, [`labplatform: ${text}`]);
}

const nativeError = console.error;
/** Into the page's console as an error, and by that into the platform's log. */
export function complain(text: string): void {
  apply(nativeError, console, [`labplatform: ${text}`]);
}

const nativeClose = window.close;
export function closeWindow(): void {
  apply(nativeClose, window, []);
}

const monotonic = uncurried<Performance, [], number>(performance.now);
const clock = performance;
/** Milliseconds on a clock that is never set back. */
export function now(): number {
  return monotonic(clock);
}

/** Whether nobody can see the page. */
const hidden = getterOf(Document.prototype, "hidden");
const self = document;
export function isHidden(): boolean {
  return hidden(self);
}

interface Heap {
  readonly usedJSHeapSize: number;
  readonly jsHeapSizeLimit: number;
}
// Chromium's alone, and in no standard: https://developer.mozilla.org/docs/Web/API/Performance/memory
const memory = getOwnPropertyDescriptor(Performance.prototype, "memory")?.get;
/** The JavaScript heap of the page's renderer in bytes; `null` where the browser does not say. */
export function heap(): Heap | null {
  return memory ? (apply(memory, clock, []) as Heap) : null;
}

const NativeDate = Date;
const wall = Date.now;
const isoOf = uncurried<Date, [], string>(Date.prototype.toISOString);
let stamped = 0;
let stamp = "";
/** The present moment as DACP has it. Text, for a Date in a message makes JSON.stringify three times as slow. */
export function timestamp(): string {
  const now = wall();
  if (now !== stamped) {
    stamped = now;
    stamp = isoOf(new NativeDate(now));
  }
  return stamp;
}

const encodeText = uncurried<TextEncoder, [text: string], Uint8Array>(TextEncoder.prototype.encode);
const encoder = new TextEncoder();
/** Bytes of `text` in UTF-8, as far as they matter: exact where they could be more than `limit`. */
export function bytesOf(text: string, limit: number): number {
  return text.length * 3 <= limit ? text.length : encodeText(encoder, text).length;
}

const random = crypto;
const fill = uncurried<Crypto, [bytes: Uint8Array], Uint8Array>(crypto.getRandomValues as never);
/** Every byte as two digits. */
const digits = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));
/** Random bytes, asked for by the page-full: each time costs more than all else about a UUID. */
const pool = new Uint8Array(4096);
let used = pool.length;
/** A UUID of version 4. (`crypto.randomUUID` is missing where the page's origin is not a secure one.) */
export function uuid(): string {
  if (used === pool.length) {
    fill(random, pool);
    used = 0;
  }
  pool[used + 6] = (pool[used + 6]! & 0x0f) | 0x40;
  pool[used + 8] = (pool[used + 8]! & 0x3f) | 0x80;
  let text = "";
  for (let i = 0; i < 16; i++) {
    if (i === 4 || i === 6 || i === 8 || i === 10) text += "-";
    text += digits[pool[used++]!];
  }
  return text;
}
