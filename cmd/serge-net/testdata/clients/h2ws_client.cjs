// h2ws_client.cjs VERSION URL: talks to a WebSocket of h2ws_origin.cjs over HTTP
// VERSION, "2" (RFC 8441) or "1.1", by Node's http2 and ws's framing, and prints
// what it sees.
const http2 = require("node:http2");
const lib = "/usr/share/nodejs/ws";
const { WebSocket } = require(lib);
const PerMessageDeflate = require(lib + "/lib/permessage-deflate");
const extension = require(lib + "/lib/extension");
const [version, target] = process.argv.slice(2);
const url = new URL(target);

// opened is a WebSocket over an extended CONNECT, not started, or none if it is refused.
function opened() {
  return new Promise((open, fail) => {
    const session = http2.connect(url.origin.replace(/^ws/, "http"));
    session.on("error", fail);
    session.on("remoteSettings", (settings) => {
      if (!settings.enableConnectProtocol) return fail(new Error("CONNECT is not announced"));
      const pmd = new PerMessageDeflate({ threshold: 0 }, false);
      const stream = session.request({
        ":method": "CONNECT", ":protocol": "websocket", ":path": url.pathname + url.search,
        "sec-websocket-version": "13", "sec-websocket-protocol": "echo.test",
        "sec-websocket-extensions": extension.format({ [PerMessageDeflate.extensionName]: pmd.offer() }),
      });
      stream.on("response", (headers) => {
        if (headers[":status"] !== 200) {
          console.log("refused", headers[":status"]);
          stream.close();
          session.close();
          return open();
        }
        const ws = new WebSocket(null);
        ws._isServer = false;
        const agreed = extension.parse(headers["sec-websocket-extensions"] ?? "")[PerMessageDeflate.extensionName];
        if (agreed) {
          pmd.accept(agreed);
          ws._extensions[PerMessageDeflate.extensionName] = pmd;
        }
        ws._protocol = headers["sec-websocket-protocol"] ?? "";
        stream.setNoDelay = () => {};
        stream.on("close", () => session.close());
        stream.on("error", () => {});
        ws.start = () => ws.setSocket(stream, Buffer.alloc(0), { maxPayload: 100 << 20 });
        open(ws);
      });
    });
  });
}

async function main() {
  let ws;
  if (version === "2") {
    ws = await opened();
    if (!ws) return;
  } else ws = new WebSocket(target, "echo.test");
  ws.on("error", () => {}); // the close tells
  const closed = new Promise((r) => ws.once("close", (code, reason) => r([code, reason.toString()])));
  ws.on("message", (data, binary) => {
    console.log("heard", binary ? data.length : data.toString());
    if (url.pathname === "/version" || binary) ws.close(1000, "enough");
  });
  ws.on("open", () => {
    console.log("open", ws.protocol);
    if (url.pathname === "/echo") {
      ws.send("one");
      ws.send(JSON.stringify({ b: 1, a: [1, 2] }));
      ws.ping("x");
      ws.send(Buffer.alloc(300000, 7));
    } else if (url.pathname === "/reset" || url.pathname === "/end") ws.send("one");
  });
  if (ws.start) ws.start();
  console.log("closed", ...(await closed));
}

main().catch((e) => {
  console.error(e);
  process.exit(1);
});
