// What origin.py cannot: HTTP/2 with trailers on 8443, WebSocket on 8125.
const fs = require('fs'), http = require('http'), http2 = require('http2'), { WebSocketServer } = require('ws')
http2.createSecureServer({ key: fs.readFileSync('key.pem'), cert: fs.readFileSync('cert.pem'), allowHTTP1: true }, (req, res) => {
  if (req.url !== '/h2' || req.httpVersion !== '2.0') return res.end('ok')
  res.writeHead(200, { 'content-type': 'text/plain', trailer: 'x-sum' })
  res.addTrailers({ 'x-sum': '5' })
  res.end('in h2')
}).listen(8443, '127.0.0.1')
const web = http.createServer((req, res) => { res.setHeader('content-type', 'text/html'); res.end('<title>page</title>') }).listen(8125, '127.0.0.1')
new WebSocketServer({ server: web }).on('connection', s => s.on('message', (b, binary) => s.send(binary ? b : 'you said ' + b, { binary })))
