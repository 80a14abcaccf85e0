// talk.mjs ORIGIN SCENE: talks to server.mjs at https://ORIGIN by a library, and prints
// what it sees.
import { WebSocket } from "ws";

const [origin, scene] = process.argv.slice(2);
const at = (path) => "wss://" + origin + path;
const fail = (e) => { console.error(e); process.exit(1); };

// browserlike talks as a page would, by an implementation of its WebSocket.
function browserlike(Socket) {
  const ws = new Socket(at("/echo"), "echo.test");
  return new Promise((resolve) => {
    const sizes = [];
    ws.binaryType = "arraybuffer";
    ws.onopen = () => { console.log(ws.protocol); ws.send("hello"); ws.send("x".repeat(70000)); ws.send(new Uint8Array(3000)); };
    ws.onmessage = ({ data }) => { sizes.push(data.length ?? data.byteLength); if (sizes.length === 3) ws.close(4000, "enough"); };
    ws.onclose = ({ code, reason, wasClean }) => { console.log(sizes.join(), code, reason, wasClean); resolve(); };
    ws.onerror = (e) => fail(e.error ?? e);
  });
}

// reconnects talks in three sessions, each of which goes on where the last was left.
async function reconnects() {
  for (let n = 0; n < 3; n++) {
    const ws = new WebSocket(at("/echo"));
    await new Promise((open, no) => ws.once("open", open).once("error", no));
    const back = new Promise((r) => ws.once("message", (d) => r(d.toString())));
    ws.send("session " + n);
    console.log(await back);
    if (n === 1) ws.terminate(); // without a word
    else ws.close(1000);
    await new Promise((r) => ws.once("close", r));
  }
}

async function rpc() {
  const ws = new WebSocket(at("/rpc"));
  await new Promise((open) => ws.once("open", open));
  const first = 1 + Math.floor(Math.random() * 1e6); // ids of this run
  const order = [];
  const done = new Promise((resolve) => ws.on("message", (data) => {
    const m = JSON.parse(data);
    order.push([m.id - first, m.result]);
    if (order.length === 3) resolve();
  }));
  [90, 10, 50].forEach((wait, n) => ws.send(JSON.stringify({ jsonrpc: "2.0", id: first + n, method: "sleep", params: { wait } })));
  await done;
  console.log(JSON.stringify(order));
  ws.close();
}

async function graphql() {
  const { createClient } = await import("graphql-ws");
  const client = createClient({ url: at("/graphql"), webSocketImpl: WebSocket, retryAttempts: 0 });
  const run = (query, variables) => new Promise((resolve, reject) => {
    const said = [];
    client.subscribe({ query, variables }, { next: (m) => said.push(m.data), error: reject, complete: () => resolve(said) });
  });
  console.log(JSON.stringify(await run("query ($n: String!) { hello(name: $n) }", { n: "Ada" })));
  const both = [run("subscription { count(to: 3) }"), run("subscription { count(to: 2) }")];
  for (const said of await Promise.all(both)) console.log(JSON.stringify(said));
  await client.dispose();
}

async function older() {
  const { SubscriptionClient } = (await import("subscriptions-transport-ws")).default;
  const client = new SubscriptionClient(at("/graphql"), { reconnect: false }, WebSocket);
  const run = (query) => new Promise((resolve, reject) => {
    const said = [];
    client.request({ query }).subscribe({ next: (m) => said.push(m.data), error: reject, complete: () => resolve(said) });
  });
  const both = [run("subscription { count(to: 3) }"), run("subscription { count(to: 2) }")];
  for (const said of await Promise.all(both)) console.log(JSON.stringify(said));
  client.close();
}

async function socketio(transports) {
  const { io } = await import("socket.io-client");
  const socket = io("https://" + origin, { transports, reconnection: false });
  socket.on("connect_error", fail);
  const welcome = new Promise((r) => socket.once("welcome", r));
  await new Promise((r) => socket.once("connect", r));
  console.log(await welcome);
  if (socket.io.engine.transport.name !== "websocket") await new Promise((r) => socket.io.engine.once("upgrade", r));
  console.log(socket.io.engine.transport.name);
  console.log(await socket.emitWithAck("add", 40, 2));
  const bytes = new Promise((r) => socket.once("bytes", r));
  socket.emit("bytes", Buffer.from([1, 2, 3]));
  console.log(await bytes);
  await new Promise((r) => setTimeout(r, 500)); // for a heartbeat or two
  console.log(await socket.emitWithAck("add", 1, 2));
  socket.disconnect();
}

async function stomp() {
  const { Client } = await import("@stomp/stompjs");
  const client = new Client({ webSocketFactory: () => new WebSocket(at("/stomp"), ["v12.stomp"]), reconnectDelay: 0 });
  const got = new Promise((resolve) => {
    const said = [];
    client.onConnect = () => {
      client.subscribe("/queue/a", (m) => { said.push(m.body); if (said.length === 2) resolve(said); });
      client.publish({ destination: "/queue/a", body: "one" });
      client.publish({ destination: "/queue/a", body: JSON.stringify({ run: crypto.randomUUID() }) });
    };
  });
  client.activate();
  const [one, two] = await got;
  console.log(one, Object.keys(JSON.parse(two)));
  await client.deactivate();
}

// mqtt numbers its packets from 1: by default they begin anywhere, and are answered by
// their numbers, which are not told from other bytes.
async function mqtt() {
  const { default: library, UniqueMessageIdProvider } = await import("mqtt");
  const client = await library.connectAsync(at("/mqtt"), { clientId: "serge", reconnectPeriod: 0, messageIdProvider: new UniqueMessageIdProvider() });
  await client.subscribeAsync("a/#");
  for (const qos of [0, 1, 2]) {
    const back = new Promise((resolve) => client.once("message", (topic, m) => resolve([topic, m.toString()])));
    await client.publishAsync("a/" + qos, "level " + qos, { qos });
    console.log(...(await back));
  }
  await client.endAsync();
}

const scenes = {
  ws: () => browserlike(WebSocket),
  undici: async () => browserlike((await import("undici")).WebSocket),
  global: () => browserlike(globalThis.WebSocket),
  reconnects, rpc, graphql, older, stomp, mqtt,
  "socket.io": () => socketio(["polling", "websocket"]),
  "socket.io, websocket": () => socketio(["websocket"]),
};
scenes[scene]().then(() => process.exit(0), fail);
