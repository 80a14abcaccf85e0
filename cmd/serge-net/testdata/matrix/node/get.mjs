// Prints what a URL answers, by the library that the first argument names.
const [library, url] = process.argv.slice(2)

const by = {
  fetch: async () => (await fetch(url)).text(),
  https: async () => {
    const https = await import('node:https')
    return new Promise((resolve, reject) => https.get(url, (r) => {
      let body = ''
      r.setEncoding('utf8').on('data', (d) => (body += d)).on('end', () => resolve(body))
    }).on('error', reject))
  },
  axios: async () => (await (await import('axios')).default.get(url, { responseType: 'text', transformResponse: (s) => s })).data,
  got: async () => (await import('got')).default(url, { retry: { limit: 0 } }).text(),
  'node-fetch': async () => (await (await import('node-fetch')).default(url)).text(),
  undici: async () => (await (await import('undici')).request(url)).body.text(),
  ws: async () => {
    const { WebSocket } = await import('ws')
    return new Promise((resolve, reject) => {
      const ws = new WebSocket(url)
      ws.on('open', () => ws.send('"testnet"\n'))
      ws.on('message', (m) => { ws.close(); resolve(m.toString()) })
      ws.on('error', reject)
    })
  },
}

process.stdout.write(await by[library]())
