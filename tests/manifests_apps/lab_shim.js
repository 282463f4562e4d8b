/* `window.lab` for a page of the sample apps in a plain browser: the platform's own agent is left out, all else is real.
   Contexts come as server-sent events from the test's server, which runs market-data's own code; like an app channel,
   this one keeps the last context of each type and does not replay it to a new listener. */
(() => {
  const last = new Map();
  const listeners = new Set();
  const channel = {
    broadcast() {
      throw new Error("no sample page broadcasts");
    },
    async addContextListener(type, handler) {
      const entry = { type, handler };
      listeners.add(entry);
      return { unsubscribe: async () => listeners.delete(entry) };
    },
    async getCurrentContext(type) {
      await joined;
      return last.get(type) ?? null;
    },
  };
  const [, appId] = location.pathname.split("/");
  window.lab = {
    appId,
    instanceId: `${appId}-1`,
    incarnation: 1,
    pid: 4711,
    placement: "own process",
    title: document.title,
    color: "#000000",
    connected: true,
    channel: async () => channel,
  };
  const feed = new EventSource("/feed");
  const joined = new Promise((resolve) => {
    feed.addEventListener("joined", ({ data }) => {
      for (const context of JSON.parse(data)) last.set(context.type, context);
      resolve();
    });
  });
  feed.onmessage = ({ data }) => {
    const context = JSON.parse(data);
    last.set(context.type, context);
    for (const { type, handler } of listeners) if (type === null || type === context.type) handler(context);
  };
})();
