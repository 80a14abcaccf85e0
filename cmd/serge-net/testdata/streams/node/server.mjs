// server.mjs CERT KEY: serves, on the listening socket that is descriptor 3, what the
// clients of talk.mjs talk to, and prints "ready".
import { readFileSync } from "node:fs";
import https from "node:https";
import { WebSocketServer, createWebSocketStream } from "ws";
import { buildSchema, execute, subscribe } from "graphql";
import { useServer } from "graphql-ws/use/ws";
import { SubscriptionServer } from "subscriptions-transport-ws";
import { Server as SocketIO } from "socket.io";
import Aedes from "aedes";

const [cert, key] = process.argv.slice(2).map((f) => readFileSync(f));
const page = `<!doctype html><link rel=icon href=data:,><script>
const say = (...words) => console.log("page:", ...words);
const ws = new WebSocket("wss://" + location.host + "/echo", "echo.test");
ws.onopen = () => { say(ws.protocol); ws.send("from the page"); ws.send(new Uint8Array(3000)); };
ws.onmessage = (m) => { say(m.data.size ?? m.data); if (m.data.size) ws.close(4000, "enough"); };
ws.onclose = (e) => {
  say(e.code, e.reason);
  const es = new EventSource("/events");
  es.addEventListener("tick", (e) => { say(e.lastEventId, e.data); if (e.lastEventId === "6") { es.close(); say("done"); } });
};
</script>`;

// events says two events behind the last that the client had, and ends.
function events(req, res) {
  const last = Number(req.headers["last-event-id"] ?? 0);
  res.writeHead(200, { "Content-Type": "text/event-stream" });
  res.write("retry: 20\n\n");
  for (const id of [last + 1, last + 2]) res.write(`id: ${id}\nevent: tick\ndata: {"id":${id}}\n\n`);
  res.end();
}

const server = https.createServer({ cert, key }, (req, res) => {
  if (req.url === "/events") return events(req, res);
  res.writeHead(200, { "Content-Type": "text/html" });
  res.end(page);
});

const echo = new WebSocketServer({ noServer: true, perMessageDeflate: true, handleProtocols: (set) => (set.has("echo.test") ? "echo.test" : false) });
echo.on("connection", (ws) => ws.on("message", (data, binary) => ws.send(data, { binary })));

// Calls are answered the later the longer they are: not in their order.
const rpc = new WebSocketServer({ noServer: true });
rpc.on("connection", (ws) =>
  ws.on("message", (data) => {
    const call = JSON.parse(data);
    setTimeout(() => ws.send(JSON.stringify({ jsonrpc: "2.0", id: call.id, result: call.params.wait })), call.params.wait);
  }));

const schema = buildSchema("type Query { hello(name: String!): String! } type Subscription { count(to: Int!): Int! }");
const rootValue = {
  hello: ({ name }) => "hello " + name,
  async *count({ to }) {
    for (let n = 1; n <= to; n++) yield { count: n };
  },
};
const graphql = new WebSocketServer({ noServer: true, handleProtocols: () => "graphql-transport-ws" });
useServer({ schema, roots: { query: rootValue, subscription: rootValue } }, graphql);
const older = new WebSocketServer({ noServer: true, handleProtocols: () => "graphql-ws" });
SubscriptionServer.create({ schema, rootValue, execute, subscribe, keepAlive: 10000 }, older);

// A broker of STOMP: one queue, whose subscribers get what is sent to it.
const stomp = new WebSocketServer({ noServer: true, handleProtocols: () => "v12.stomp" });
stomp.on("connection", (ws) => {
  let subscription, count = 0;
  const say = (command, headers, body = "") =>
    ws.send(command + "\n" + Object.entries(headers).map(([k, v]) => `${k}:${v}\n`).join("") + "\n" + body + "\0");
  ws.on("message", (data) => {
    const [head, body] = data.toString().split("\n\n");
    const [command, ...lines] = head.split("\n");
    const h = Object.fromEntries(lines.map((l) => l.split(/:(.*)/s)));
    if (command === "CONNECT" || command === "STOMP") say("CONNECTED", { version: "1.2", "heart-beat": "0,0" });
    if (command === "SUBSCRIBE") subscription = h.id;
    if (command === "SEND") say("MESSAGE", { subscription, "message-id": ++count, destination: h.destination }, body.replace(/\0.*$/s, ""));
    if (h.receipt) say("RECEIPT", { "receipt-id": h.receipt });
  });
});

const broker = new Aedes();
const mqtt = new WebSocketServer({ noServer: true, handleProtocols: () => "mqtt" });
mqtt.on("connection", (ws, req) => broker.handle(createWebSocketStream(ws), req));

const io = new SocketIO(server, { pingInterval: 300, pingTimeout: 5000 });
io.on("connection", (socket) => {
  socket.emit("welcome", { to: "everybody" });
  socket.on("add", (a, b, ack) => ack(a + b));
  socket.on("bytes", (data) => socket.emit("bytes", Buffer.concat([data, data])));
});

const sockets = { "/echo": echo, "/rpc": rpc, "/stomp": stomp, "/mqtt": mqtt };
server.on("upgrade", (req, socket, head) => {
  const legacy = req.headers["sec-websocket-protocol"] === "graphql-ws";
  const to = req.url === "/graphql" ? (legacy ? older : graphql) : sockets[req.url];
  to?.handleUpgrade(req, socket, head, (ws) => to.emit("connection", ws, req)); // else it is Socket.IO's
});
server.listen({ fd: 3 }, () => console.log("ready"));
