// grpc.mjs FILE.proto ADDRESS [tls]: calls gRPC's test service by grpc-js, and prints
// what it is told.
// grpc.mjs FILE.proto ADDRESS SIZE: makes one call, for so many bytes.
import grpc from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";

const [file, address, how] = process.argv.slice(2);
const { TestService } = grpc.loadPackageDefinition(loadSync(file, { keepCase: true })).grpc.testing;
const credentials = how === "tls" ? grpc.credentials.createSsl() : grpc.credentials.createInsecure();
const client = new TestService(address, credentials);
const zipping = new TestService(address, credentials, { "grpc.default_compression_algorithm": grpc.compressionAlgorithms.gzip });

// asks is a request for messages of sizes.
const asks = (...sizes) => ({ response_parameters: sizes.map((size) => ({ size })) });

// size is how much is in an answer.
const size = (answer) => answer.payload.body.length;

// late is that call ends by its deadline. If the server is the first to see that it
// passed, grpc-js takes the reset for a cancellation.
const late = (call) => call.catch((e) => {
  if (e.code !== grpc.status.DEADLINE_EXCEEDED && e.code !== grpc.status.CANCELLED) throw e;
  return "passed behind " + e.sizes;
});

// unary makes one call that has one answer.
const unary = (make) => new Promise((resolve, reject) => make((e, answer) => (e ? reject(e) : resolve(answer))));

// stream reads a call to its end.
async function stream(call) {
  const sizes = [];
  try {
    for await (const answer of call) sizes.push(size(answer));
  } catch (e) {
    throw Object.assign(e, { sizes: sizes.join() });
  }
  return sizes.join();
}

// told prints what a call came to.
async function told(name, call) {
  try {
    console.log(name, await call());
  } catch (e) {
    console.log(name, grpc.status[e.code], e.details);
  }
}

// inTurn says the next when the one before was answered.
async function inTurn(by) {
  const call = by.FullDuplexCall(), sizes = [];
  call.write(asks(7));
  for await (const answer of call) {
    const n = size(answer);
    sizes.push(n);
    if (n < 9) call.write(asks(n + 1));
    else call.end();
  }
  return sizes.join();
}

async function all() {
  await told("unary", async () => size(await unary((done) => client.UnaryCall({ response_size: 5 }, done))));
  await told("compressed", async () => size(await unary((done) => zipping.UnaryCall({ response_size: 100, payload: { body: Buffer.alloc(3000) } }, done))));
  await told("server streaming", () => stream(client.StreamingOutputCall(asks(3, 4, 5))));
  await told("client streaming", async () => {
    const answer = await unary((done) => {
      const call = client.StreamingInputCall(done);
      for (const word of ["ab", "c"]) call.write({ payload: { body: Buffer.from(word) } });
      call.end();
    });
    return answer.aggregated_payload_size;
  });
  await told("in turn", () => inTurn(client));
  await told("in turn, compressed", () => inTurn(zipping));
  await told("status", () => unary((done) => client.UnaryCall({ response_status: { code: grpc.status.NOT_FOUND, message: "gone, 終" } }, done)));
  await told("unknown method", () => unary((done) => client.makeUnaryRequest("/grpc.testing.TestService/Nope", (b) => b, (b) => b, Buffer.alloc(0), done)));
  await told("deadline", () => late(stream(client.StreamingOutputCall({ response_parameters: [{ size: 1 }, { size: 2, interval_us: 2000000 }] }, { deadline: Date.now() + 500 }))));
  await told("metadata", async () => {
    const sent = new grpc.Metadata(), seen = [];
    sent.set("x-grpc-test-echo-initial", "hello");
    sent.set("x-grpc-test-echo-trailing-bin", Buffer.from([0, 255]));
    await unary((done) => {
      const call = client.UnaryCall({ response_size: 1 }, sent, done);
      call.on("metadata", (m) => seen.push(m.get("x-grpc-test-echo-initial")[0]));
      call.on("status", (s) => seen.push(s.metadata.get("x-grpc-test-echo-trailing-bin")[0].toString("hex")));
    }).then(() => new Promise(setImmediate)); // a status is told behind its answer
    return seen.join();
  });
  await told("cancelled", () => {
    const call = client.FullDuplexCall();
    call.write(asks(1));
    call.once("data", () => call.cancel());
    return new Promise((resolve, reject) => call.on("error", reject).on("end", resolve));
  });
}

await (Number(how) ? told("unary", async () => size(await unary((done) => client.UnaryCall({ response_size: Number(how) }, done)))) : all());
client.close();
zipping.close();
