/**
 * The proxy's way to the supervisor: requests out, responses and events in, as FDC3 2.2's wire protocol (DACP) has them.
 * In the page's renderer. What the messages mean is the proxy's business, how they travel the transport's.
 */

import { AbstractMessaging } from "@finos/fdc3-agent-proxy";
import type { RegisterableListener } from "@finos/fdc3-agent-proxy/dist/src/listeners/RegisterableListener";
import type {
  AgentEventMessage,
  AgentResponseMessage,
  AppRequestMessage,
  WebConnectionProtocol6Goodbye,
} from "@finos/fdc3-schema/dist/generated/api/BrowserTypes";
import type { AppIdentifier } from "@finos/fdc3-standard";
import { Deadlines } from "./deadlines.js";
import * as native from "./natives.js";
import { wellFormed } from "./surrogates.js";
import type { Outgoing, Receiver, Transport } from "./transport.js";

type Outbound = AppRequestMessage | WebConnectionProtocol6Goodbye;

interface Pending {
  readonly request: string;
  readonly type: string;
  readonly outgoing: Outgoing;
  readonly deadlines: Deadlines<string>;
  resolve(response: AgentResponseMessage): void;
  reject(error: Error): void;
}

/** An error whose message is FDC3's name for it, as FDC3 apps expect; `cause` says more. */
function fdc3Error(name: string, cause: string): Error {
  return new native.NativeError(name, { cause });
}

export class SocketMessaging extends AbstractMessaging implements Receiver {
  readonly #transport: Transport;
  readonly #maxMessage: number;
  readonly #listeners = new Map<string, RegisterableListener>();
  readonly #pending = new Map<string, Pending>();
  /** By their length in milliseconds: there are two of them. */
  readonly #deadlines = new Map<number, Deadlines<string>>();
  #opened = false;
  #ended = "";
  /** Called when messages to this page were lost. */
  whenMissed: () => void = () => {};

  constructor(transport: Transport, app: AppIdentifier, maxMessage: number) {
    super(app);
    this.#transport = transport;
    this.#maxMessage = maxMessage;
  }

  createUUID(): string {
    return native.uuid();
  }

  createMeta(): AppRequestMessage["meta"] {
    // Without `source`: the connection says whose message it is.
    return { requestUuid: native.uuid(), timestamp: native.timestamp() as unknown as Date };
  }

  register(listener: RegisterableListener): void {
    if (listener.id !== null) this.#listeners.set(listener.id, listener);
  }

  unregister(id: string): void {
    this.#listeners.delete(id);
  }

  async post(message: Outbound): Promise<void> {
    this.#send(message);
  }

  /**
   * As AbstractMessaging has it, but what cannot be sent fails at once, what nobody will answer fails when that is known,
   * and the answer is found by its request's id: there it costs a look at every listener, which a burst would square.
   */
  override async exchange<Response extends AgentResponseMessage>(
    message: AppRequestMessage,
    expectedTypeName: AgentResponseMessage["type"],
    timeoutMs: number,
  ): Promise<Response> {
    const { requestUuid } = message.meta;
    // Two answers to one intent event bear the same id.
    if (this.#pending.has(requestUuid)) return super.exchange(message, expectedTypeName, timeoutMs);
    return new native.NativePromise<Response>((resolve, reject) => {
      const outgoing = this.#send(message);
      const deadlines = this.#deadlinesOf(timeoutMs);
      deadlines.add(requestUuid);
      this.#pending.set(requestUuid, {
        request: message.type,
        type: expectedTypeName,
        outgoing,
        deadlines,
        resolve: resolve as (response: AgentResponseMessage) => void,
        reject,
      });
    });
  }

  #deadlinesOf(milliseconds: number): Deadlines<string> {
    const known = this.#deadlines.get(milliseconds);
    if (known) return known;
    const deadlines = new Deadlines<string>(milliseconds, (requestUuid) => {
      const late = this.#pending.get(requestUuid);
      if (!late) return;
      this.#pending.delete(requestUuid);
      // Or it would be carried out later, although its caller was told that it failed.
      this.#transport.cancel(late.outgoing);
      late.reject(fdc3Error("ApiTimeout", `${late.request} had no answer within ${milliseconds / 1000} s`));
      this.#endWaiting(requestUuid, late.type);
    });
    this.#deadlines.set(milliseconds, deadlines);
    return deadlines;
  }

  /** As AbstractMessaging has it, but an answer that is an error is one: it takes an intent's failed result for a value. */
  override async waitFor<Response extends AgentResponseMessage>(
    filter: (message: Response) => boolean,
    timeoutMs?: number,
    timeoutErrorMessage?: string,
  ): Promise<Response> {
    const found = await super.waitFor(filter, timeoutMs, timeoutErrorMessage);
    const { error } = found.payload as { error?: string };
    if (error) throw fdc3Error(error, `the answer was ${found.type}`);
    return found;
  }

  /** The page wants no more of its desktop agent. The connection stays: the platform asks over it whether the page lives. */
  async disconnect(): Promise<void> {
    if (this.#ended) return;
    this.#send({ type: "WCP6Goodbye", meta: { timestamp: native.timestamp() as unknown as Date } });
    this.ended("the page has disconnected its desktop agent");
  }

  /** A message from the supervisor. */
  message(message: Record<string, unknown>): void {
    const payload = message["payload"];
    const meta = message["meta"];
    if (typeof payload !== "object" || payload === null || typeof meta !== "object" || meta === null) return;
    if (this.#answered(message as unknown as AgentResponseMessage)) return;
    const found = message as unknown as AgentEventMessage | AgentResponseMessage;
    for (const listener of this.#listeners.values()) {
      try {
        if (listener.filter(found)) listener.action(found);
      } catch (error) {
        // As for an event handler of the browser: the page's console and `onerror` see it, the other listeners do not.
        native.report(error);
      }
    }
  }

  missed(): void {
    this.whenMissed();
  }

  /** No answer and no event will come any more. */
  ended(why: string): void {
    if (this.#ended) return;
    this.#ended = why;
    this.#listeners.clear();
    for (const [requestUuid, { reject, deadlines }] of this.#pending) {
      deadlines.done(requestUuid);
      reject(fdc3Error("AgentDisconnected", why));
    }
    this.#pending.clear();
  }

  #answered(message: AgentResponseMessage): boolean {
    const { requestUuid } = message.meta;
    const pending = this.#pending.get(requestUuid);
    if (pending?.type !== message.type) return false;
    this.#pending.delete(requestUuid);
    pending.deadlines.done(requestUuid);
    const { error } = message.payload as { error?: string };
    if (error) {
      pending.reject(fdc3Error(error, `the answer was ${message.type}`));
      this.#endWaiting(requestUuid, message.type);
    } else {
      pending.resolve(message);
    }
    return true;
  }

  /** The proxy waits for an intent's result from the moment it raises it, and would do so for ever where that failed. */
  #endWaiting(requestUuid: string, type: string): void {
    if (type === "raiseIntentResponse" || type === "raiseIntentForContextResponse") {
      this.message({ type: "raiseIntentResultResponse", meta: { requestUuid }, payload: {} });
    }
  }

  #send(message: Outbound): Outgoing {
    if (this.#ended) throw fdc3Error("AgentDisconnected", this.#ended);
    let text: string;
    try {
      text = wellFormed(native.stringify(message));
    } catch (error) {
      throw fdc3Error("MalformedContext", String(error));
    }
    const size = native.bytesOf(text, this.#maxMessage);
    if (size > this.#maxMessage) {
      // FDC3 has no name for it. What is as large as this is a context, unless somebody tries what happens.
      const cause = `a message of ${size} bytes is over the limit of ${this.#maxMessage}`;
      native.warn(cause);
      throw fdc3Error("MalformedContext", cause);
    }
    if (!this.#opened) {
      this.#opened = true;
      // An app counts as open to others at its first getInfoRequest. `getAgent()` makes one, older pages never do.
      if (message.type !== "getInfoRequest") {
        this.#send({ type: "getInfoRequest", payload: {}, meta: this.createMeta() });
      }
    }
    return this.#transport.send(text);
  }
}
