// ws_client.cjs URL: talks to an echoing WebSocket with the ws library as Debian has it, without
// and with compression, and prints what it sees.
const { WebSocket } = require("/usr/share/nodejs/ws");
const url = process.argv[2];

async function talk(perMessageDeflate) {
  const ws = new WebSocket(url, "echo.test", { perMessageDeflate });
  const said = [];
  const wait = () => new Promise((r) => ws.once("message", (d, binary) => r(binary ? d.length : d.toString())));
  ws.on("ping", () => said.push("ping"));
  await new Promise((open, fail) => ws.once("open", open).once("error", fail));
  console.log(ws.protocol, ws.extensions);
  for (const m of ["x".repeat(2000), JSON.stringify({ b: 1, a: [1, 2] }), Buffer.alloc(70000, 7)]) {
    const back = wait();
    ws.send(m);
    const got = await back;
    console.log(typeof got === "string" && got.length > 100 ? got.length : got);
  }
  const closed = new Promise((r) => ws.once("close", (code, reason) => r([code, reason.toString()])));
  ws.close(4000, "enough");
  console.log(...(await closed));
}

talk(process.argv[3] !== "plain").catch((e) => {
  console.error(e);
  process.exit(1);
});
