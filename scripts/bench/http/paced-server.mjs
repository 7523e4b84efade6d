// A process of its own: a server of one file that gives each connection its rate to the byte, and counts what it sent.
//
// nginx cannot stand in: its `limit_rate` begins anew with each request and lets the first second's worth through at
// once, so that many small ranges pass unlimited. Here the bucket belongs to the connection and holds one tick at most.
// A connection may be told to misbehave by its number in the order of arrival.

import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';

const TICK_MS = 4;
const HEAD_LIMIT = 64 * 1024;

/** `{ file, total, rate, bad: { number: { rate?, silentAfter?, resetAfter? } } }`, rates in bytes a second. */
let plan;
let content;
/** Connections that have something to send. */
const sending = new Set();
const open = new Set();
let seen;

function begin(next) {
  plan = next;
  content = readFileSync(plan.file);
  plan.total ??= content.length;
  for (const connection of open) connection.socket.destroy();
  forget();
}

function forget() {
  seen = { connections: 0, sent: 0, mostAtOnce: 0, firstByteNs: null, answers: [] };
}

const now = () => process.hrtime.bigint();

const server = createServer((socket) => {
  socket.setNoDelay(true);
  seen.connections += 1;
  const connection = { socket, number: seen.connections, head: '', credit: 0, paidUntil: 0n, sent: 0, answer: null };
  open.add(connection);
  socket.on('data', (bytes) => {
    connection.head += bytes.toString('latin1');
    if (connection.head.length > HEAD_LIMIT) socket.destroy();
    else next(connection);
  });
  // A client that leaves is a fact to count, not a failure of the server.
  socket.on('error', () => {});
  socket.on('close', () => {
    end(connection);
    open.delete(connection);
  });
});

/** Answers the next request, once the answer before it is out. */
function next(connection) {
  const end = connection.head.indexOf('\r\n\r\n');
  if (connection.answer || end < 0) return;
  const head = connection.head.slice(0, end);
  connection.head = connection.head.slice(end + 4);
  const last = plan.total - 1;
  const range = /^range: *bytes=(\d*)-(\d*) *$/im.exec(head);
  let from = 0;
  let to = last;
  if (range?.[1]) [from, to] = [Number(range[1]), range[2] ? Math.min(Number(range[2]), last) : last];
  else if (range?.[2]) from = Math.max(plan.total - Number(range[2]), 0);
  if (from > to) {
    connection.socket.write(`HTTP/1.1 416 Range Not Satisfiable\r\nContent-Range: bytes */${plan.total}\r\nContent-Length: 0\r\n\r\n`);
    return;
  }
  connection.socket.write([
    range ? 'HTTP/1.1 206 Partial Content' : 'HTTP/1.1 200 OK',
    ...(range ? [`Content-Range: bytes ${from}-${to}/${plan.total}`] : []),
    `Content-Length: ${to + 1 - from}`,
    'Content-Type: application/octet-stream',
    'Accept-Ranges: bytes',
    'ETag: "one"',
    'Last-Modified: Sat, 01 Nov 2025 00:00:00 GMT',
    '\r\n',
  ].join('\r\n'));
  if (head.startsWith('HEAD ')) return;
  connection.answer = { connection: connection.number, from, at: from, to: to + 1, beganNs: now(), endedNs: null };
  connection.paidUntil = now();
  seen.answers.push(connection.answer);
  sending.add(connection);
  seen.mostAtOnce = Math.max(seen.mostAtOnce, sending.size);
}

function end(connection) {
  if (!connection.answer) return;
  connection.answer.endedNs = now();
  connection.answer = null;
  sending.delete(connection);
}

function tick() {
  for (const connection of sending) pay(connection);
}

function pay(connection) {
  const { socket, answer } = connection;
  const bad = plan.bad?.[connection.number] ?? {};
  const at = now();
  // What the client does not take while it could is not owed to it later: a rate is not a budget.
  const waited = Math.min(Number(at - connection.paidUntil) / 1e9, socket.writableLength ? TICK_MS / 1000 : Infinity);
  connection.paidUntil = at;
  connection.credit += waited * (bad.rate ?? plan.rate);
  if (socket.writableLength) {
    connection.credit = Math.min(connection.credit, ((bad.rate ?? plan.rate) * TICK_MS) / 1000);
    return;
  }
  const stop = bad.silentAfter ?? bad.resetAfter ?? Infinity;
  const most = Math.min(Math.floor(connection.credit), answer.to - answer.at, stop - connection.sent);
  if (most > 0) {
    // The content repeats until the total is reached.
    const within = answer.at % content.length;
    const part = content.subarray(within, within + most);
    socket.write(part);
    seen.firstByteNs ??= now();
    connection.credit -= part.length;
    connection.sent += part.length;
    answer.at += part.length;
    seen.sent += part.length;
  }
  if (connection.sent >= stop && bad.resetAfter) socket.resetAndDestroy();
  else if (answer.at === answer.to) {
    end(connection);
    next(connection);
  }
}

/** What clients have taken out of their sockets: sent, less what waits in this machine's buffers. */
function taken() {
  const port = server.address().port.toString(16).toUpperCase().padStart(4, '0');
  let waiting = 0;
  for (const line of readFileSync('/proc/net/tcp', 'latin1').split('\n').slice(1)) {
    const [, local, remote, , queues] = line.trim().split(/\s+/);
    if (!queues) continue;
    const [toSend, toRead] = queues.split(':').map((hex) => Number.parseInt(hex, 16));
    if (local.endsWith(`:${port}`) && !remote.endsWith(':0000')) waiting += toSend;
    if (remote.endsWith(`:${port}`)) waiting += toRead;
  }
  for (const { socket } of open) waiting += socket.writableLength;
  return Math.max(seen.sent - waiting, 0);
}

const orders = {
  begin: (next) => begin(next),
  seen: () => ({ ...seen, answers: seen.answers.map(plain), firstByteNs: seen.firstByteNs && String(seen.firstByteNs) }),
  taken: () => taken(),
};

/** Without what JSON cannot carry; times in seconds since the first answer. */
function plain(answer) {
  const seconds = (ns) => Number(ns - seen.answers[0].beganNs) / 1e9;
  const { connection, from, at, to } = answer;
  return { connection, from, at, to, began: seconds(answer.beganNs), ended: answer.endedNs && seconds(answer.endedNs) };
}

process.on('message', ({ id, order, value }) => process.send({ id, value: orders[order](value) }));
process.on('disconnect', () => process.exit());
setInterval(tick, TICK_MS);
server.listen(0, '127.0.0.1', () => process.send({ port: server.address().port }));
