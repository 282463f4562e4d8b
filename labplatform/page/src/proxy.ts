/**
 * FDC3's proxy as FDC3 2.2 has it. Its release 2.2.0 does a few things otherwise; they are mended here, from outside. In
 * the page's renderer. https://fdc3.finos.org/docs/2.2/api/ref/DesktopAgent
 */

import { DefaultChannelSupport, DefaultIntentSupport, DesktopAgentProxy } from "@finos/fdc3-agent-proxy";
import { DefaultChannel } from "@finos/fdc3-agent-proxy/dist/src/channels/DefaultChannel";
import { DefaultContextListener } from "@finos/fdc3-agent-proxy/dist/src/listeners/DefaultContextListener";
import { DefaultIntentListener } from "@finos/fdc3-agent-proxy/dist/src/listeners/DefaultIntentListener";
import type {
  BroadcastEvent,
  FindIntentsByContextRequest,
  FindIntentsByContextResponse,
  IntentEvent,
  IntentResultRequest,
} from "@finos/fdc3-schema/dist/generated/api/BrowserTypes";
import type {
  AppIdentifier,
  AppIntent,
  ContextHandler,
  EventHandler,
  FDC3EventTypes,
  ImplementationMetadata,
  IntentResolution,
  Listener,
} from "@finos/fdc3-standard";
import * as native from "./natives.js";

// It tells a context's handler nothing of who sent it, though the message says so.
DefaultContextListener.prototype.action = function (message) {
  const { context, originatingApp } = message.payload;
  if (originatingApp) this.handler(context, { source: originatingApp });
  else this.handler(context);
};

const { assign } = Object;
type Context = Parameters<ContextHandler>[0];
type Readable = Pick<DefaultChannel, "id" | "getCurrentContext">;

/**
 * What `fdc3.addContextListener` returns. The desktop agent is asked for "whichever channel is joined" and not for the
 * one that is joined at the moment; the current context is handed over once and not with each word of the same change.
 */
class UserChannelListener extends DefaultContextListener {
  /** Goes up whenever a current context that was asked for before is of no interest any more. */
  #turn = 0;
  #caughtUp: Promise<void> | undefined;
  readonly #support: ChannelSupport;

  constructor(support: ChannelSupport, contextType: string | null, handler: ContextHandler, joined: string | null) {
    super(support.messaging, support.messageExchangeTimeout, null, contextType, handler);
    this.#support = support;
    this["channelId"] = joined;
  }

  override filter(message: BroadcastEvent): boolean {
    if (message.type !== "broadcastEvent" || message.payload.channelId !== null) return super.filter(message);
    // Over no channel: what the app was opened with.
    const wanted = this["contextType"];
    return wanted === null || wanted === message.payload.context.type;
  }

  override action(message: BroadcastEvent): void {
    // Messages come in order: a current context whose answer is still to come is this one, or an older one.
    if (message.payload.channelId !== null) this.#turn++;
    super.action(message);
  }

  override changeChannel(channel: Readable | null): Promise<void> {
    const id = channel?.id ?? null;
    if (id !== this["channelId"]) {
      this["channelId"] = id;
      this.#turn++;
      this.#caughtUp = undefined;
      if (channel) this.#caughtUp = this.#catchUp(channel, this.#turn);
    }
    return this.#caughtUp ?? native.NativePromise.resolve();
  }

  /** It has been added while its page was on this channel. */
  begin(channel: Readable): Promise<void> {
    // Or it has heard something already, or been put elsewhere.
    if (this.#turn === 0) this.#caughtUp = this.#catchUp(channel, 0);
    return this.#caughtUp ?? native.NativePromise.resolve();
  }

  /** Hand over the channel's current context. */
  async #catchUp(channel: Readable, turn: number): Promise<void> {
    const context = await channel.getCurrentContext(this["contextType"] ?? undefined);
    if (!context || turn !== this.#turn) return;
    try {
      this.handler(context);
    } catch (error) {
      native.report(error);
    }
  }

  override async unsubscribe(): Promise<void> {
    this.#turn++;
    this.#support.forget(this);
    await super.unsubscribe();
  }
}

type Writable = Pick<DefaultChannel, "broadcast">;

export class ChannelSupport extends DefaultChannelSupport {
  /** The joined channel, or the answer that will tell; `null` while nobody has asked, or a change is under way. */
  #joined: Promise<Writable | null> | null = null;

  constructor(...given: ConstructorParameters<typeof DefaultChannelSupport>) {
    super(...given);
    void this.addChannelChangedEventHandler(({ details }: { details: { newChannelId: string | null } }) => {
      const { newChannelId: id } = details;
      const channel = id === null ? null : new DefaultChannel(this.messaging, this.messageExchangeTimeout, id, "user");
      this.#joined = native.NativePromise.resolve(channel);
    });
  }

  /**
   * The channel that is joined. Asked for once: the desktop agent tells of each change, and the proxy asks before each
   * broadcast, which then takes three times as long.
   */
  joined(): Promise<Writable | null> {
    if (this.#joined) return this.#joined;
    const asked = this.getUserChannel();
    this.#joined = asked;
    asked.catch(() => {
      if (this.#joined === asked) this.#joined = null;
    });
    return asked;
  }

  /** What was told of a change may have been lost. */
  forgetJoined(): void {
    this.#joined = null;
  }

  override joinUserChannel(id: string): Promise<void> {
    this.#joined = null;
    return super.joinUserChannel(id);
  }

  override leaveUserChannel(): Promise<void> {
    this.#joined = null;
    return super.leaveUserChannel();
  }

  /** A listener that is added while joined is handed the channel's current context; the proxy waits for the next one. */
  override async addContextListener(handler: ContextHandler, type: string | null): Promise<Listener> {
    const joined = (await this.getUserChannel())?.id ?? null;
    const listener = new UserChannelListener(this, type, handler, joined);
    this.userChannelListeners.push(listener);
    await listener.register();
    const now = listener["channelId"];
    if (now !== null) {
      await listener.begin(new DefaultChannel(this.messaging, this.messageExchangeTimeout, now, "user"));
    }
    return listener;
  }

  forget(listener: UserChannelListener): void {
    this.userChannelListeners = this.userChannelListeners.filter((one) => one !== listener);
  }
}

// Its intent's handler may fail, or return what is no promise: whoever raised the intent would wait for ever.
DefaultIntentListener.prototype.action = function (message: IntentEvent) {
  const { context, originatingApp, raiseIntentRequestUuid } = message.payload;
  const run = async () => {
    let failed = "IntentHandlerRejected";
    try {
      const returned: unknown = this.handler(context, { source: originatingApp } as never);
      if (typeof (returned as PromiseLike<never> | undefined)?.then !== "function") {
        failed = "NoResultReturned";
        if (returned) throw new native.NativeError("an intent's handler returns a promise, or nothing");
      }
      const result = (await returned) as never;
      failed = "NoResultReturned";
      await this["handleIntentResult"](native.NativePromise.resolve(result), message);
    } catch (error) {
      native.report(error);
      const { eventUuid } = message.meta;
      // FDC3's protocol has no word for it; this one is ours, and the desktop agent's.
      const intentResult = { error: failed } as never;
      await this.messaging.post({
        type: "intentResultRequest",
        meta: this.messaging.createMeta(),
        payload: { intentEventUuid: eventUuid, raiseIntentRequestUuid, intentResult },
      } as IntentResultRequest);
    }
  };
  run().catch(() => {}); // nobody is there any more whom it could be told
};

export class IntentSupport extends DefaultIntentSupport {
  override async raiseIntent(intent: string, context: Context, app: AppIdentifier): Promise<IntentResolution> {
    return mayFail(await super.raiseIntent(intent, context, app));
  }

  override async raiseIntentForContext(context: Context, app?: AppIdentifier): Promise<IntentResolution> {
    return mayFail(await super.raiseIntentForContext(context, app));
  }

  /** The proxy knows no `resultType`. */
  override async findIntentsByContext(context: Context, resultType?: string): Promise<AppIntent[]> {
    const request = {
      type: "findIntentsByContextRequest",
      meta: this.messaging.createMeta(),
      payload: { context, resultType },
    } as FindIntentsByContextRequest;
    const expected = "findIntentsByContextResponse";
    const { payload } = await this.messaging.exchange<FindIntentsByContextResponse>(
      request,
      expected,
      this.messageExchangeTimeout,
    );
    return payload.appIntents as AppIntent[];
  }
}

/** A result that fails is an error for who asks for it, and for nobody else. */
function mayFail(resolution: IntentResolution): IntentResolution {
  resolution.getResult().catch(() => {});
  return resolution;
}

export class Proxy extends DesktopAgentProxy {
  override async broadcast(context: Context): Promise<void> {
    const channel = await (this.channels as ChannelSupport).joined();
    await channel?.broadcast(context);
  }

  /** Until FDC3 2.0 this was no promise: older pages read the version right off what it returns. */
  override getInfo(): Promise<ImplementationMetadata> {
    return assign(super.getInfo(), { fdc3Version: "2.2", provider: "labplatform" });
  }

  override findIntentsByContext(context: Context, resultType?: string): Promise<AppIntent[]> {
    return (this.intents as IntentSupport).findIntentsByContext(context, resultType);
  }

  /** The proxy hands on its protocol's event as it came, and knows no `null` for "all". */
  override addEventListener(type: FDC3EventTypes | null, handler: EventHandler): Promise<Listener> {
    const { channels } = this;
    return type === null || type === "userChannelChanged"
      ? channels.addChannelChangedEventHandler(({ details: { newChannelId } }) => {
          handler({ type: "userChannelChanged", details: { currentChannelId: newChannelId } });
        })
      : super.addEventListener(type, handler);
  }
}
