const { Polly } = require('@pollyjs/core')
const Http = require('@pollyjs/adapter-node-http'), FS = require('@pollyjs/persister-fs')
Polly.register(Http); Polly.register(FS)
const http = require('http'), U = 'http://api.example.com:8123'
function req(method, path, headers, body) { return new Promise((ok, no) => { const r = http.request(U + path, {method, headers}, res => { res.on('data', () => {}); res.on('end', ok) }); r.on('error', no); if (body) r.write(body); r.end() }) }
;(async () => {
  const p = new Polly('api', {adapters: ['node-http'], persister: 'fs', persisterOptions: {fs: {recordingsDir: process.argv[2]}}, mode: 'record', recordFailedRequests: true, logLevel: 'error'})
  await req('GET', '/json?q=1&r=a%20b', {Authorization: 'Bearer s3cr3t-token'})
  await req('GET', '/bin'); await req('GET', '/count'); await req('GET', '/count'); await req('GET', '/text'); await req('GET', '/nope')
  await req('POST', '/items', {'Content-Type': 'application/json', 'Content-Length': 18}, '{"id":7,"tag":"x"}')
  await p.stop()
})()
