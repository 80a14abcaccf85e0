// Says a text and two bytes, and leaves when both came back.
const s = new (require('ws'))(process.argv[2])
let n = 0
s.on('open', () => { s.send('hi'); s.send(Buffer.from([0, 255])) })
s.on('message', () => { if (++n === 2) s.close(1000, 'bye') })
