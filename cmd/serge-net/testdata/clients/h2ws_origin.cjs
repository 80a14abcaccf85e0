// h2ws_origin.cjs KEY CERT: an origin of WebSockets over HTTP/2 (RFC 8441) and
// HTTP/1.1, by Node's http2 and ws's framing. It prints the ports of TLS and of
// clear text, and ends with its standard input.
const http2 = require("node:http2");
const http = require("node:http");
const { readFileSync } = require("node:fs");
const lib = "/usr/share/nodejs/ws";
const { WebSocket, WebSocketServer } = require(lib);
const PerMessageDeflate = require(lib + "/lib/permessage-deflate");
const extension = require(lib + "/lib/extension");

const page = `<!doctype html><pre id=said></pre><img src=/wait><script>
const s = new WebSocket(location.href.replace(/^http/, "ws") + "echo");
const say = (t) => { document.getElementById("said").textContent += t + "; "; };
s.onopen = () => s.send("from a page");
s.onmessage = (e) => { say("heard " + e.data); s.close(1000, "bye"); };
s.onclose = (e) => { say("closed " + e.code + " " + e.reason + " " + e.wasClean); };
</script>`;

// waiting is what answers when a WebSocket has closed: a page that asks is loading until then.
const waiting = [];

// behave does on s what path says; cut ends it as no WebSocket ends.
function behave(path, version, s, cut) {
  switch (path) {
    case "/version":
      s.send(version);
      break;
    case "/big":
      s.send(Buffer.alloc(3 << 20, 7));
      break;
    case "/bye":
      s.send("tick");
      s.close(4001, "no more");
      return;
  }
  s.on("close", () => setTimeout(() => waiting.splice(0).forEach((answer) => answer()), 500));
  s.on("message", (data, binary) => {
    s.send(data, { binary });
    if (path === "/reset" || path === "/end") setTimeout(() => cut(path === "/reset"), 50);
  });
}

// extended answers an extended CONNECT.
function extended(stream, headers) {
  if (headers[":method"] !== "CONNECT" || headers[":protocol"] !== "websocket") {
    const answer = () => {
      stream.respond({ ":status": 200, "content-type": "text/html" });
      stream.end(page);
    };
    if (headers[":path"] === "/wait") waiting.push(answer);
    else answer();
    return;
  }
  if (headers[":path"] === "/refused") {
    stream.respond({ ":status": 403, "content-type": "text/plain" });
    stream.end("no");
    return;
  }
  const answer = { ":status": 200 };
  if (headers["sec-websocket-protocol"]) answer["sec-websocket-protocol"] = headers["sec-websocket-protocol"].split(",")[0];
  const s = new WebSocket(null);
  const offer = extension.parse(headers["sec-websocket-extensions"] ?? "")[PerMessageDeflate.extensionName];
  if (offer) {
    const pmd = new PerMessageDeflate({ threshold: 0 }, true, 100 << 20);
    pmd.accept(offer);
    s._extensions[PerMessageDeflate.extensionName] = pmd;
    answer["sec-websocket-extensions"] = extension.format({ [PerMessageDeflate.extensionName]: [pmd.params] });
  }
  stream.respond(answer);
  stream.setNoDelay = () => {};
  s.setSocket(stream, Buffer.alloc(0), { maxPayload: 100 << 20 });
  s.on("error", () => {});
  behave(headers[":path"], "2", s, (hard) => (hard ? stream.destroy(new Error("cut")) : stream.end()));
}

const one = new WebSocketServer({ noServer: true });
function upgrade(req, socket, head) {
  one.handleUpgrade(req, socket, head, (s) => behave(req.url, "1.1", s, (hard) => (hard ? socket.resetAndDestroy() : socket.end())));
}

const settings = { enableConnectProtocol: true };
const [key, cert] = process.argv.slice(2).map((f) => readFileSync(f));
const secure = http2.createSecureServer({ key, cert, settings, allowHTTP1: true });
const clear = http2.createServer({ settings });
const plain = http.createServer();
for (const s of [secure, clear, plain]) s.on("stream", extended).on("upgrade", upgrade);
let up = 0;
const ports = () => ++up === 3 && console.log(secure.address().port, clear.address().port, plain.address().port);
for (const s of [secure, clear, plain]) s.listen(0, "127.0.0.1", ports);
process.stdin.on("end", () => process.exit(0)).resume();
