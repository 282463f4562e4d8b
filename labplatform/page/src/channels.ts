/**
 * App channels, and the listeners of this page on them. In the page's renderer.
 *
 * An event comes once per connection; which listeners it is for is decided here, by channel and context type. The
 * supervisor knows a listener per connection, so every new connection registers them all again.
 */

import { type AppIdentifier, type BroadcastEvent, type Context, type Dacp, fdc3Error, REQUEST_DEADLINE } from "./dacp.js";
import * as native from "./natives.js";
import type { Transport } from "./transport.js";

export type ContextHandler = (context: Context, metadata?: { readonly source: AppIdentifier }) => void;

export interface Channel {
  readonly id: string;
  broadcast(context: Context): Promise<void>;
  addContextListener(contextType: string | null, handler: ContextHandler): Promise<{ unsubscribe(): Promise<void> }>;
  getCurrentContext(contextType?: string | null): Promise<Context | null>;
}

class Listener {
  /** The supervisor's name for it on the present connection. */
  uuid: string | null = null;
  confirmed = false;
  /** Counts registrations; an answer to an earlier one, of a connection that is gone, no longer matters. */
  attempt = 0;

  constructor(
    readonly channelId: string,
    readonly contextType: string | null,
    readonly handler: ContextHandler,
    /** Tells the caller of `addContextListener`; the second call and later ones do nothing. */
    readonly settle: (error?: unknown) => void,
  ) {}
}

export class Channels {
  readonly #transport: Transport;
  readonly #dacp: Dacp;
  readonly #listeners = new Set<Listener>();

  constructor(transport: Transport, dacp: Dacp) {
    this.#transport = transport;
    this.#dacp = dacp;
    dacp.onBroadcast = (event) => this.#deliver(event);
  }

  /** The app channel of this name, made if there is none yet. */
  async open(id: string): Promise<Channel> {
    if (typeof id !== "string" || id === "") throw fdc3Error("CreationFailed", "a channel's id is a text, not empty");
    const { channel } = await this.#dacp.request("getOrCreateChannel", { channelId: id });
    const channelId = channel.id;
    return native.freeze<Channel>({
      id: channelId,
      broadcast: (context) => this.#broadcast(channelId, context),
      addContextListener: (contextType, handler) => this.#add(channelId, contextType, handler),
      getCurrentContext: (contextType) => this.#current(channelId, contextType ?? null),
    });
  }

  /** A new connection: it knows none of our listeners. */
  online(): void {
    for (const listener of this.#listeners) this.#register(listener);
  }

  /** No connection will come again. */
  ended(why: string): void {
    for (const listener of this.#listeners) listener.settle(fdc3Error("AgentDisconnected", why));
    this.#listeners.clear();
  }

  async #broadcast(channelId: string, context: Context): Promise<void> {
    if (typeof context !== "object" || context === null || typeof context.type !== "string") {
      throw fdc3Error("MalformedContext", "a context is an object whose `type` is a text");
    }
    await this.#dacp.request("broadcast", { channelId, context });
  }

  async #current(channelId: string, contextType: string | null): Promise<Context | null> {
    return (await this.#dacp.request("getCurrentContext", { channelId, contextType })).context;
  }

  async #add(channelId: string, contextType: string | null, handler: ContextHandler): Promise<{ unsubscribe(): Promise<void> }> {
    if (typeof handler !== "function") throw new TypeError("addContextListener(contextType, handler): no handler given");
    const ended = this.#transport.whyEnded;
    if (ended) throw fdc3Error("AgentDisconnected", ended);
    let listener!: Listener;
    await new native.NativePromise<void>((resolve, reject) => {
      // Its own deadline, for a registration that waits for a connection is not a request yet.
      const timer = native.startTimer(() => {
        this.#listeners.delete(listener);
        reject(fdc3Error("ApiTimeout", `no listener was registered within ${REQUEST_DEADLINE / 1000} s`));
      }, REQUEST_DEADLINE);
      listener = new Listener(channelId, contextType ?? null, handler, (error) => {
        native.stopTimer(timer);
        if (error === undefined) resolve();
        else reject(error);
      });
      this.#listeners.add(listener);
      if (this.#transport.online) this.#register(listener);
    });
    return native.freeze({ unsubscribe: () => this.#remove(listener) });
  }

  #register(listener: Listener): void {
    const attempt = ++listener.attempt;
    listener.uuid = null;
    const { channelId, contextType } = listener;
    this.#dacp.request("addContextListener", { channelId, contextType }).then(
      ({ listenerUUID }) => {
        if (listener.attempt !== attempt) return;
        if (!this.#listeners.has(listener)) {
          this.#forget(listenerUUID).catch(() => {});
          return;
        }
        listener.uuid = listenerUUID;
        listener.confirmed = true;
        listener.settle();
      },
      (error: Error) => {
        if (listener.attempt !== attempt || !this.#listeners.has(listener)) return;
        // Registered before the connection broke: its caller has long gone on, so say it where a person may see it.
        if (listener.confirmed) {
          native.warn(`a listener on channel ${channelId} could not be registered again after a reconnect: ${error.message}`);
          return;
        }
        this.#listeners.delete(listener);
        listener.settle(error);
      },
    );
  }

  async #remove(listener: Listener): Promise<void> {
    if (!this.#listeners.delete(listener)) return;
    if (listener.uuid !== null && this.#transport.online) await this.#forget(listener.uuid);
  }

  async #forget(listenerUUID: string): Promise<void> {
    await this.#dacp.request("contextListenerUnsubscribe", { listenerUUID });
  }

  #deliver({ channelId, context, originatingApp }: BroadcastEvent): void {
    for (const listener of this.#listeners) {
      if (!listener.confirmed || listener.channelId !== channelId) continue;
      if (listener.contextType !== null && listener.contextType !== context.type) continue;
      try {
        if (originatingApp) listener.handler(context, { source: originatingApp });
        else listener.handler(context);
      } catch (error) {
        // As for an event handler of the browser: the page's console and `onerror` see it, the other listeners do not.
        native.report(error);
      }
    }
  }
}
