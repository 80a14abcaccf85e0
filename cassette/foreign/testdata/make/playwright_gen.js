// Chromium by Playwright: a page, a fetch of each kind, a WebSocket; bodies in
// the HAR, and beside it.
const { chromium } = require('playwright-core')
const U = 'http://api.example.com:8123'
async function visit(recordHar) {
  const b = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox', '--disable-web-security'] })
  const c = await b.newContext({ recordHar })
  const p = await c.newPage()
  await p.goto('http://api.example.com:8125/')
  await p.evaluate(async U => {
    const get = async (path, init) => (await fetch(U + path, init)).arrayBuffer()
    await get('/json?q=1&r=a%20b')
    for (const path of ['/bin', '/count', '/count', '/text', '/nope']) await get(path, { cache: 'no-store' })
    await get('/items', { method: 'POST', headers: { 'Content-Type': 'text/plain' }, body: '{"id":7,"tag":"x"}' })
    await fetch('http://api.example.com:1/refused').catch(() => 0)
    await new Promise(done => {
      const s = new WebSocket('ws://api.example.com:8125/echo')
      let n = 0
      s.binaryType = 'arraybuffer'
      s.onopen = () => { s.send('hi'); s.send(new Uint8Array([0, 255])) }
      s.onmessage = () => { if (++n === 2) { s.onclose = done; s.close(1000, 'bye') } }
    })
  }, U)
  await c.close()
  await b.close()
}
(async () => {
  await visit({ path: 'out/playwright.har', content: 'embed' })
  await visit({ path: 'out/playwright/attach.har', content: 'attach' })
})()
