// Prints the status and body of each URL in its arguments, by Node's http and https.
import http from "node:http";
import https from "node:https";

const get = (url) => new Promise((resolve, reject) => {
  (url.startsWith("https:") ? https : http).get(url, (r) => {
    let body = "";
    r.setEncoding("utf8").on("data", (d) => (body += d)).on("end", () => resolve(`${r.statusCode} ${url}\n${body}`)).on("error", reject);
  }).on("error", reject);
});
for (const url of process.argv.slice(2)) process.stdout.write(await get(url));
