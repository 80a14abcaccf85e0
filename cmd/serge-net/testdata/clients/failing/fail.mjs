// Gets each URL of its arguments, NAME=URL, all at once, and prints what became of each.
await Promise.all(process.argv.slice(2).map(async (arg) => {
  const [name, url] = arg.split("=");
  let outcome;
  try {
    const r = await fetch(url, { signal: AbortSignal.timeout(2000) });
    outcome = `${r.status}, ${(await r.arrayBuffer()).byteLength} bytes`;
  } catch (e) {
    const cause = e.cause?.errors?.[0] ?? e.cause ?? e;
    outcome = `${cause.code && typeof cause.code === "string" ? cause.code : cause.name}: ${cause.message}`;
  }
  console.log(`${name}\t${outcome.split("\n")[0]}`);
}));
