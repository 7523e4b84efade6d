// A process of its own: serves a folder with a wait before each answer, and counts what it was asked for.
//
// nginx cannot stand in: it has no wait of its own. Files are kept in memory, so that no disk is measured.

import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import path from 'node:path';

let plan = { folder: '/nowhere', latencyMs: 0 };
let content = new Map();
let seen;

function begin(next) {
  plan = next;
  content = new Map();
  forget();
}

function forget() {
  seen = { requests: 0, sent: 0, connections: 0, mostAtOnce: 0 };
}
forget();

function read(name) {
  if (!content.has(name)) {
    let bytes = null;
    try {
      // Only names without folders are served.
      if (/^[\w.-]+$/.test(name)) bytes = readFileSync(path.join(plan.folder, name));
    } catch {
      // Answered with 404.
    }
    content.set(name, bytes);
  }
  return content.get(name);
}

const TYPES = { m3u8: 'application/vnd.apple.mpegurl', ts: 'video/mp2t' };
let open = 0;

const server = createServer({ keepAliveTimeout: 60_000, noDelay: true }, (request, response) => {
  seen.requests += 1;
  setTimeout(() => {
    const name = request.url.slice(1).split('?')[0];
    const bytes = read(name);
    if (!bytes) {
      response.writeHead(404).end();
      return;
    }
    const head = { 'content-type': TYPES[name.split('.').pop()] ?? 'application/octet-stream', 'accept-ranges': 'bytes' };
    const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '');
    const [from, to] = range ? [Number(range[1]), range[2] ? Number(range[2]) : bytes.length - 1] : [0, bytes.length - 1];
    const part = range ? bytes.subarray(from, to + 1) : bytes;
    if (range) head['content-range'] = `bytes ${from}-${from + part.length - 1}/${bytes.length}`;
    response.writeHead(range ? 206 : 200, { ...head, 'content-length': part.length });
    response.end(request.method === 'HEAD' ? undefined : part);
    seen.sent += part.length;
  }, plan.latencyMs);
});
server.maxRequestsPerSocket = 0;
server.on('connection', (socket) => {
  seen.connections += 1;
  open += 1;
  seen.mostAtOnce = Math.max(seen.mostAtOnce, open);
  socket.on('close', () => { open -= 1; });
});

process.on('message', ({ id, ask, plan: next }) => {
  if (ask === 'begin') begin(next);
  const answer = { ...seen };
  if (ask === 'seen') forget();
  process.send({ id, answer });
});
process.once('disconnect', () => process.exit(0));
server.listen(0, '127.0.0.1', () => process.send({ port: server.address().port }));
