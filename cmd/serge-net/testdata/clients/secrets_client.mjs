// Sends $API_TOKEN to the origin named by its argument in many ways, spends what
// it gets back, and prints whether that was what it sent.
import http from "node:http";

const [base, token] = [process.argv[2], process.env.API_TOKEN];
const ask = (path, body, headers = {}) => new Promise((resolve, reject) => {
  const r = http.request(base + path, { method: body ? "POST" : "GET", headers }, (a) => {
    const all = [];
    a.on("data", (d) => all.push(d)).on("end", () => resolve(Buffer.concat(all))).on("error", reject);
  });
  r.on("error", reject).end(body);
});
const echo = async (kind, body) => {
  const got = await ask("/echo", body, { "Content-Type": kind });
  console.log(kind, got.equals(Buffer.from(body)));
  return got;
};
const got = JSON.parse(await echo("application/json", JSON.stringify({ refresh_token: token, n: [1, 2] }))).refresh_token;
console.log("hello", (await ask("/hello?key=" + encodeURIComponent(got), null, { "X-Api-Key": got })).length > 0);
await echo("text/plain", Buffer.from("x:" + got).toString("base64"));
