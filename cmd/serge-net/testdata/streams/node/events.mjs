// events.mjs BASE LIBRARY: reads streams of events below BASE by a library, and prints
// what it sees.
const [base, library] = process.argv.slice(2);

// comesBack reads with an EventSource that is sent away after every two events.
function comesBack(EventSource) {
  return new Promise((resolve) => {
    const source = new EventSource(base + "/stream/ids");
    source.addEventListener("tick", (e) => {
      console.log(e.lastEventId, e.data);
      if (e.lastEventId === "6") resolve(source.close());
    });
  });
}

const question = { model: "fox-1", max_tokens: 300, messages: [{ role: "user", content: "Hello" }], stream: true };

async function openai() {
  const { default: OpenAI } = await import("openai");
  const client = new OpenAI({ baseURL: base + "/v1", apiKey: "sk-of-nobody-in-particular-0123456789" });
  let id, text = "";
  for await (const chunk of await client.chat.completions.create(question)) {
    id = chunk.id;
    text += chunk.choices[0].delta.content ?? "";
  }
  console.log(id.length, text.length, text.slice(0, 44));
}

async function anthropic() {
  const { default: Anthropic } = await import("@anthropic-ai/sdk");
  const client = new Anthropic({ baseURL: base, apiKey: "sk-ant-of-nobody-in-particular-0123456789" });
  const message = await client.messages.stream(question).finalMessage();
  console.log(message.id.length, message.content[0].text.length, message.usage.output_tokens);
}

const libraries = {
  eventsource: async () => comesBack((await import("eventsource")).EventSource),
  undici: async () => comesBack((await import("undici")).EventSource),
  openai, anthropic,
};
libraries[library]().then(() => process.exit(0), (e) => { console.error(e); process.exit(1); });
