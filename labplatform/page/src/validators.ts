/**
 * Stands in for `@finos/fdc3-schema` in the bundle, whose generated validators are five times the size of all the rest.
 * In the page's renderer. The supervisor checks what pages say; of the package's functions the desktop agent's proxy
 * uses these three, and they look at a message's type only, as the package's own do.
 */

import type { BrowserTypes as Generated } from "@finos/fdc3-schema";

type Predicates = Pick<
  typeof Generated,
  "isPrivateChannelOnAddContextListenerEvent" | "isPrivateChannelOnDisconnectEvent" | "isPrivateChannelOnUnsubscribeEvent"
>;

const typed =
  <Message extends { type: string }>(type: Message["type"]) =>
  (message: unknown): message is Message =>
    (message as Message | null | undefined)?.type === type;

export const BrowserTypes: Predicates = {
  isPrivateChannelOnAddContextListenerEvent: typed("privateChannelOnAddContextListenerEvent"),
  isPrivateChannelOnDisconnectEvent: typed("privateChannelOnDisconnectEvent"),
  isPrivateChannelOnUnsubscribeEvent: typed("privateChannelOnUnsubscribeEvent"),
};
