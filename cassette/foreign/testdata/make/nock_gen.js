const nock = require('nock'), fs = require('fs')
const U = 'http://api.example.com:8123'
const http = require('http')
function req(method, path, headers, body) { return new Promise((ok, no) => { const r = http.request(U + path, {method, headers}, res => { res.on('data', () => {}); res.on('end', ok) }); r.on('error', no); if (body) r.write(body); r.end() }) }
;(async () => {
  nock.recorder.rec({output_objects: true, dont_print: true, enable_reqheaders_recording: true})
  await req('GET', '/json?q=1&r=a%20b', {Authorization: 'Bearer s3cr3t-token'})
  await req('GET', '/bin'); await req('GET', '/count'); await req('GET', '/count'); await req('GET', '/text'); await req('GET', '/nope')
  await req('POST', '/items', {'Content-Type': 'application/json', 'Content-Length': 18}, '{"id":7,"tag":"x"}')
  fs.writeFileSync(process.argv[2], JSON.stringify(nock.recorder.play(), null, 2)); nock.restore()
})()
