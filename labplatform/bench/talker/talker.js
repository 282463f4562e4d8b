/**
 * What the bench asks of its pages: to send contexts, to note when they arrive, and to hand over what was noted.
 *
 * There are several ways from page to page. Each is an object with two words, so that the same code measures all of
 * them: `send(context)`, a promise where the way answers, and `hear(handler)`, which returns a function that ends it.
 */

/** Milliseconds since the epoch, the same for all pages of one machine; 5 µs fine in an isolated page. */
const clock = () => performance.timeOrigin + performance.now();
const sleep = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

/** The next turn of the page's loop, sooner than a timer would come. */
const turns = new MessageChannel();
const turn = () =>
  new Promise((done) => {
    turns.port1.onmessage = done;
    turns.port2.postMessage(0);
  });

/** A context as apps send them, some 200 bytes. */
const context = (n) => ({
  type: "bench.tick",
  name: "Apple Inc.",
  id: { ticker: "AAPL", ISIN: "US0378331005", FIGI: "BBG000B9XRY4" },
  price: 231.45,
  volume: 1_250_000,
  venue: "XNAS",
  n,
  at: clock(),
});

/** The official proxy, over an app channel. */
async function overProxy(name) {
  const channel = await fdc3.getOrCreateChannel(name);
  return {
    send: (context) => channel.broadcast(context),
    hear: async (handler) => {
      const listener = await channel.addContextListener("bench.tick", handler);
      return () => listener.unsubscribe();
    },
  };
}

/** The official proxy, over a user channel that all of them have joined. */
async function overUserChannel(name) {
  await fdc3.joinUserChannel(name);
  return {
    send: (context) => fdc3.broadcast(context),
    hear: async (handler) => {
      let added = false;
      // Until then it is handed the channel's current context.
      const listener = await fdc3.addContextListener("bench.tick", (context) => added && handler(context));
      added = true;
      return () => listener.unsubscribe();
    },
  };
}

/** A bare socket to a relay that sends each text to all the others; messages look as FDC3's do. */
async function overRelay(address) {
  const socket = new WebSocket(address);
  await new Promise((done, failed) => {
    socket.onopen = done;
    socket.onerror = () => failed(new Error(`no relay answers at ${address}`));
  });
  return {
    send: (context) => {
      const meta = { requestUuid: crypto.randomUUID(), timestamp: new Date() };
      socket.send(JSON.stringify({ type: "broadcastRequest", meta, payload: { channelId: "bench", context } }));
    },
    hear: async (handler) => {
      const hear = ({ data }) => handler(JSON.parse(data).payload.context);
      socket.addEventListener("message", hear);
      return () => socket.removeEventListener("message", hear);
    },
  };
}

/**
 * FDC3's messages on a socket of the page's own, without the proxy. It takes the place of the agent's connection, so the
 * page's `fdc3` is of no use from then on. The app's Python side gave the page its token.
 */
async function overFrames(name) {
  const secrets = await fdc3.getOrCreateChannel("bench.secrets");
  let secret = null;
  while (!(secret = await secrets.getCurrentContext(`bench.secret.${lab.instanceId}`))) await sleep(20);
  const socket = new WebSocket(secret.url);
  const answers = new Map();
  let handler = () => {};
  let received = 0;
  let told = 0;
  const say = (message) => socket.send(JSON.stringify(message));
  const ask = (type, payload) => {
    const requestUuid = crypto.randomUUID();
    const answer = new Promise((done) => answers.set(requestUuid, done));
    say({ type, meta: { requestUuid, timestamp: new Date() }, payload });
    return answer;
  };
  const take = {
    ping: ({ seq }) => say({ type: "pong", seq, received }),
    ack: () => {},
    welcome: () => answers.get("welcome")(),
  };
  await new Promise((done, failed) => {
    answers.set("welcome", done);
    socket.onopen = () => say({ type: "hello", role: "page", token: secret.token, session: crypto.randomUUID() });
    socket.onclose = ({ reason }) => failed(new Error(`the supervisor closed the connection: ${reason}`));
    socket.onmessage = ({ data }) => {
      for (const line of data.split("\n")) {
        const message = JSON.parse(line);
        const control = take[message.type];
        if (control) {
          control(message);
          continue;
        }
        received++;
        if (message.type === "broadcastEvent") handler(message.payload.context);
        else answers.get(message.meta.requestUuid)?.(message.payload);
        answers.delete(message.meta.requestUuid);
      }
      if (received - told >= 64) {
        told = received;
        say({ type: "ack", received });
      }
    };
  });
  await ask("getOrCreateChannelRequest", { channelId: name });
  return {
    send: (context) => ask("broadcastRequest", { channelId: name, context }),
    hear: async (one) => {
      handler = one;
      const { listenerUUID } = await ask("addContextListenerRequest", { channelId: name, contextType: "bench.tick" });
      return () => ask("contextListenerUnsubscribeRequest", { listenerUUID });
    },
  };
}

const ways = {};
let heard = [];
let wrong = 0;
let deaf = null;
let work = null;

window.talk = {
  async open(way, where) {
    ways[way] = await { proxy: overProxy, user: overUserChannel, relay: overRelay, frames: overFrames }[way](where);
  },

  /** From now on note each message's delay in milliseconds, and whether one is missing, doubled or out of order. */
  async listen(way) {
    await deaf?.();
    heard = [];
    wrong = 0;
    deaf = await ways[way].hear(({ n, at }) => {
      const now = clock();
      if (n !== heard.length) wrong++;
      heard.push([at, now]);
    });
  },

  /** Wait until `count` messages have come; `[sent, arrived]` of each, and how many were not the next. */
  async heard(count, seconds) {
    const deadline = clock() + seconds * 1000;
    while (heard.length < count && clock() < deadline) await sleep(10);
    return { heard, wrong };
  },

  /** Begin to send `count` messages, one each `interval` milliseconds; `sent` waits for the last one's answer. */
  pace(way, count, interval) {
    const { send } = ways[way];
    work = (async () => {
      const start = clock();
      const answers = [];
      for (let n = 0; n < count; n++) {
        const wait = start + n * interval - clock();
        if (wait > 0) await sleep(wait);
        answers.push(send(context(n)));
      }
      await Promise.all(answers);
    })();
  },

  /** Begin to send `count` messages as fast as they go, `together` of them in each turn of the page's loop. */
  burst(way, count, together) {
    const { send } = ways[way];
    work = (async () => {
      const answers = [];
      for (let n = 0; n < count; n++) {
        answers.push(send(context(n)));
        if (n % together === together - 1) await turn();
      }
      await Promise.all(answers);
    })();
  },

  async sent() {
    await work;
  },

  /** Send back what comes, or be what is asked. */
  async echo(way) {
    await deaf?.();
    deaf = await ways[way].hear((context) => ways[way].send(context));
  },

  /** Milliseconds of `count` round trips, one after the other, to a page that echoes. */
  async roundTrips(way, count, pause) {
    const took = [];
    let came = null;
    const stop = await ways[way].hear(() => came());
    for (let n = 0; n < count; n++) {
      const start = performance.now();
      await new Promise((done) => {
        came = done;
        ways[way].send(context(n));
      });
      took.push(performance.now() - start);
      await sleep(pause);
    }
    await stop();
    return took;
  },

  async handle() {
    await fdc3.addIntentListener("BenchTalk", async (context) => context);
  },

  /** Milliseconds from raising an intent at an instance until its result is there. */
  async raise(app, count, pause) {
    const took = [];
    for (let n = 0; n < count; n++) {
      const start = performance.now();
      const resolution = await fdc3.raiseIntent("BenchTalk", context(n), app);
      const result = await resolution.getResult();
      took.push(performance.now() - start);
      if (result.n !== n) throw new Error(`the result of intent ${n} was ${JSON.stringify(result)}`);
      await sleep(pause);
    }
    return took;
  },
};
