// websocket_client.mjs URL: talks to an echoing WebSocket with Node's own, which is
// undici's, and prints what it sees.
const ws = new WebSocket(process.argv[2], "echo.test");
const sizes = [];
ws.binaryType = "arraybuffer";
ws.onopen = () => ["hello", "x".repeat(70000), new Uint8Array(3000)].forEach((m) => ws.send(m));
ws.onmessage = ({ data }) => {
  sizes.push(data.length ?? data.byteLength);
  if (sizes.length === 3) ws.close(4000, "enough");
};
ws.onclose = ({ code, reason, wasClean }) => console.log(ws.protocol, sizes.join(), code, reason, wasClean);
