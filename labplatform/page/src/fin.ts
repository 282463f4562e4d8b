/**
 * `window.fin`, for pages of manifests that are written for OpenFin. In the page's renderer.
 *
 * A few calls of OpenFin's API mean the same here, and those work: who this window or view is, its options, `close()`,
 * and the contexts of `fin.me.interop`, which go through FDC3. Every other call fails with an error that says which one
 * is missing; what is missing is told once in the console, and so in the platform's log.
 * https://resources.here.io/docs/core/develop/apis/
 */

import type { ContextHandler, DesktopAgent } from "@finos/fdc3-standard";
import * as native from "./natives.js";

export interface FinConfig {
  readonly uuid: string;
  readonly name: string;
  readonly entity: "window" | "view";
  /** What `getOptions()` gives, as JSON. */
  readonly options: string;
}

/** Milliseconds in which calls that are missing are gathered into one line of the console. */
const TOGETHER = 250;
/** Functions that are told; a page could make names up for ever. */
const MOST_TOLD = 200;

type Context = Parameters<DesktopAgent["broadcast"]>[0];

/** Tells what is missing, each once. */
class Missing {
  readonly #told = new Set<string>();
  #untold: string[] = [];

  /** A name that is not there: whatever is asked of it is not there either, until it is called. */
  at(path: string): unknown {
    return new native.NativeProxy(() => {}, {
      get: (target, key) => (isNobodysName(target, key) ? Reflect.get(target, key) : this.at(`${path}.${String(key)}`)),
      apply: () => this.#refuse(path),
    });
  }

  /** An object with some of OpenFin's names; the others are not there. */
  around<Known extends object>(path: string, known: Known): Known {
    return new native.NativeProxy(known, {
      get: (target, key) => (isNobodysName(target, key) ? Reflect.get(target, key) : this.at(`${path}.${String(key)}`)),
    });
  }

  #refuse(path: string): Promise<never> {
    this.#tell(path);
    const error = new native.NativeError(
      `${path} is not part of labplatform: of OpenFin's API a page has its own identity, options, close() and ` +
        "interop contexts here, and window.fdc3 for what FDC3 can do",
    );
    // Nearly all of OpenFin's functions return promises; those that do not say so in their names.
    if (path.endsWith("Sync")) throw error;
    return new native.NativePromise((_, reject) => reject(error));
  }

  #tell(path: string): void {
    if (this.#told.has(path) || this.#told.size >= MOST_TOLD) return;
    this.#told.add(path);
    this.#untold.push(path);
    if (this.#untold.length > 1) return;
    native.startTimer(() => {
      native.complain(`not part of labplatform, but called by this page: ${this.#untold.join(", ")}`);
      this.#untold = [];
    }, TOGETHER);
  }
}

/** Names that every object has, and those by which the language itself asks: whether something is a promise, or text. */
function isNobodysName(target: object, key: string | symbol): boolean {
  return typeof key === "symbol" || key === "then" || key === "toJSON" || key in target;
}

export function defineFin(config: FinConfig, agent: DesktopAgent): void {
  const missing = new Missing();
  // Not `agent.…` at each call: a page may wrap what it finds at `window.fdc3`.
  const { broadcast, addContextListener, getUserChannels, joinUserChannel, leaveCurrentChannel } = agent;
  const { uuid, name, entity } = config;
  const groups = async () => (await getUserChannels()).map(({ id, displayMetadata }) => ({ id, displayMetadata }));
  const interop = missing.around("fin.me.interop", {
    setContext: async (context: Context) => broadcast(context),
    addContextHandler: async (handler: ContextHandler, contextType?: string) =>
      addContextListener(contextType ?? null, handler),
    getContextGroups: groups,
    /** By a channel's id, or by its colour, as OpenFin names its groups. */
    joinContextGroup: async (id: string) => {
      const found = (await groups()).find((group) => group.id === id || group.displayMetadata?.color === id);
      return joinUserChannel(found?.id ?? id);
    },
    removeFromContextGroup: async () => leaveCurrentChannel(),
  });
  const entityAt = (path: string, more: object) =>
    missing.around(path, {
      identity: native.freeze({ uuid, name }),
      close: async () => native.closeWindow(),
      getOptions: async () => native.parse(config.options),
      ...more,
    });
  const kinds = { isWindow: entity === "window", isView: entity === "view", isFrame: false, isExternal: false };
  const me = entityAt("fin.me", { uuid, name, entityType: entity, isOpenFin: false, ...kinds, interop });
  const namespace = entity === "window" ? "Window" : "View";
  const current = entityAt(`fin.${namespace}.getCurrentSync()`, {});
  const own = { getCurrent: async () => current, getCurrentSync: () => current };
  const fin = missing.around("fin", { me, [namespace]: missing.around(`fin.${namespace}`, own) });
  native.defineProperty(window, "fin", { value: fin, enumerable: true, configurable: true, writable: true });
}
