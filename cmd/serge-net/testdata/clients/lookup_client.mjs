// Prints, for each name of its arguments, the name and the addresses that
// dns.lookup has for it, or the error.
import { lookup } from 'node:dns/promises'

for (const name of process.argv.slice(2)) {
  try {
    const all = await lookup(name, { all: true })
    console.log(name, ...all.map(a => a.address))
  } catch (e) {
    console.log(name, 'error:', e.code)
  }
}
