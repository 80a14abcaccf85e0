// stream_client.mjs BASE: reads streams below BASE with fetch as they come, and prints
// what it sees.
const base = process.argv[2];

async function* pieces(path, options) {
  const response = await fetch(base + path, options);
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of response.body) {
    text += decoder.decode(chunk, { stream: true });
    const parts = text.split(path.includes("lines") ? "\n" : "\n\n");
    text = parts.pop();
    yield* parts;
  }
}

for await (const event of pieces("/stream/acked")) {
  console.log(event);
  if (event !== "data: 2") console.log((await fetch(base + "/ack", { method: "POST" })).status);
}
for await (const line of pieces("/stream/lines?gzip=1")) console.log(JSON.parse(line));
const stop = new AbortController();
try {
  for await (const event of pieces("/stream/endless?n=2", { signal: stop.signal })) {
    console.log(event);
    if (event.endsWith("1")) stop.abort();
  }
} catch (e) {
  console.log(e.name);
}
