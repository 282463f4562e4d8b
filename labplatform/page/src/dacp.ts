/**
 * FDC3 2.2's wire protocol (Desktop Agent Communication Protocol): requests, their responses, and events. In the page's
 * renderer. Knows the form of the messages (schemas: npm `@finos/fdc3-schema`) and nothing of sockets or handlers.
 */

import * as native from "./natives.js";
import type { Outgoing, Transport } from "./transport.js";

/** Milliseconds until a request without an answer is given up. */
export const REQUEST_DEADLINE = 5_000;

export interface Context {
  readonly type: string;
  readonly [key: string]: unknown;
}

export interface AppIdentifier {
  readonly appId: string;
  readonly instanceId?: string;
}

/** Payload of each request that this agent makes, and of its response. */
interface Exchanges {
  getOrCreateChannel: [{ channelId: string }, { channel: { id: string; type: string } }];
  broadcast: [{ channelId: string; context: Context }, object];
  addContextListener: [{ channelId: string; contextType: string | null }, { listenerUUID: string }];
  contextListenerUnsubscribe: [{ listenerUUID: string }, object];
  getCurrentContext: [{ channelId: string; contextType: string | null }, { context: Context | null }];
}

export interface BroadcastEvent {
  readonly channelId: string | null;
  readonly context: Context;
  readonly originatingApp?: AppIdentifier;
}

interface Pending {
  resolve(payload: never): void;
  reject(error: Error): void;
  readonly timer: number;
}

/** An error whose message is FDC3's name for it, as FDC3 apps expect; `cause` says more. */
export function fdc3Error(name: string, cause: string): Error {
  return new native.NativeError(name, { cause });
}

export class Dacp {
  readonly #transport: Transport;
  readonly #pending = new Map<string, Pending>();
  /** Called for each broadcastEvent. */
  onBroadcast: (event: BroadcastEvent) => void = () => {};

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** Rejects with FDC3's error name: the response's own, ApiTimeout after the deadline, MalformedContext for no JSON. */
  request<Kind extends keyof Exchanges>(kind: Kind, payload: Exchanges[Kind][0]): Promise<Exchanges[Kind][1]> {
    return new native.NativePromise((resolve, reject) => {
      const requestUuid = native.uuid();
      let text: string;
      try {
        const meta = { requestUuid, timestamp: native.timestamp() };
        text = native.stringify({ type: `${kind}Request`, payload, meta });
      } catch (error) {
        throw fdc3Error("MalformedContext", String(error));
      }
      const outgoing: Outgoing = this.#transport.send(text);
      const timer = native.startTimer(() => {
        this.#pending.delete(requestUuid);
        // Or it would be carried out later, although its caller was told that it failed.
        this.#transport.cancel(outgoing);
        reject(fdc3Error("ApiTimeout", `${kind}Request had no answer within ${REQUEST_DEADLINE / 1000} s`));
      }, REQUEST_DEADLINE);
      this.#pending.set(requestUuid, { resolve, reject, timer });
    });
  }

  /** A message from the supervisor. What is neither a response to a request of ours nor a known event is not for us. */
  message(message: Record<string, unknown>): void {
    const payload = message["payload"];
    const meta = message["meta"];
    if (typeof payload !== "object" || payload === null || typeof meta !== "object" || meta === null) return;
    if (message["type"] === "broadcastEvent") {
      this.onBroadcast(payload as BroadcastEvent);
      return;
    }
    const { requestUuid } = meta as { requestUuid?: unknown };
    if (typeof requestUuid !== "string") return;
    const pending = this.#pending.get(requestUuid);
    if (!pending) return;
    this.#pending.delete(requestUuid);
    native.stopTimer(pending.timer);
    const { error } = payload as { error?: unknown };
    if (error === undefined) pending.resolve(payload as never);
    else pending.reject(fdc3Error(String(error), `the answer was ${String(message["type"])}`));
  }

  /** No answer will come any more. */
  ended(why: string): void {
    const pending = [...this.#pending.values()];
    this.#pending.clear();
    for (const { reject, timer } of pending) {
      native.stopTimer(timer);
      reject(fdc3Error("AgentDisconnected", why));
    }
  }
}
