// Prints the status and body of each URL in its arguments, by Node's fetch.
for (const url of process.argv.slice(2)) {
  const r = await fetch(url);
  process.stdout.write(`${r.status} ${url}\n${await r.text()}`);
}
