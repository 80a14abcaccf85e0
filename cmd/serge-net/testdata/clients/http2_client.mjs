// Prints everything that Node's http2 tells of each path in its arguments, all
// asked at once on one connection to the origin in the first: interim answers,
// fields in their order, bytes and their sum, trailers, error codes. A path that
// begins with "POST " sends 100,000 bytes.
import { createHash } from 'node:crypto';
import { connect, constants } from 'node:http2';

const [origin, ...paths] = process.argv.slice(2);
const session = connect(origin);

function ask(path) {
  return new Promise((done) => {
    const [target, method] = path.split(' ').reverse();
    const lines = [`${method ?? 'GET'} ${target}`];
    const sum = createHash('sha256');
    let bytes = 0;
    const stream = session.request({ ':path': target, ':method': method ?? 'GET' }, { endStream: !method });
    const tell = (what) => (headers, flags, raw) => lines.push(`  ${what} ${JSON.stringify(raw ?? headers)}`);
    stream.on('headers', tell('interim'));
    stream.on('response', tell('head'));
    stream.on('trailers', tell('trailers'));
    stream.on('data', (b) => { bytes += b.length; sum.update(b); });
    stream.on('error', (e) => lines.push(`  error ${e.code} ${e.message}`));
    stream.on('close', () => {
      lines.push(`  ${bytes} bytes ${sum.digest('hex')}, code ${stream.rstCode}`);
      done(lines.join('\n'));
    });
    if (method) stream.end(Buffer.alloc(100_000, 'b'));
  });
}

console.log((await Promise.all(paths.map(ask))).join('\n'));
session.close();
