// The handle on a paced server, which runs as a process of its own so that nothing measured here delays its ticks.

import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** Starts one. `begin(plan)` drops every connection and count; `seen()` tells what it sent; `taken()` what was read. */
export async function paced() {
  const child = fork(fileURLToPath(new URL('paced-server.mjs', import.meta.url)));
  const waiting = new Map();
  let orders = 0;
  const port = await new Promise((resolve, reject) => {
    child.once('exit', () => reject(new Error('the paced server ended')));
    child.on('message', ({ port, id, value }) => {
      if (port) resolve(port);
      else waiting.get(id)(value);
      waiting.delete(id);
    });
  });
  const ask = (order, value) => new Promise((resolve) => {
    orders += 1;
    waiting.set(orders, resolve);
    child.send({ id: orders, order, value });
  });
  return {
    url: `http://127.0.0.1:${port}/large.bin`,
    begin: (plan) => ask('begin', plan),
    seen: () => ask('seen'),
    taken: () => ask('taken'),
    close: () => child.disconnect(),
  };
}

/** Bytes the answers sent more than once. */
export function sentTwice(answers) {
  const spans = answers.map(({ from, at }) => [from, at]).sort((a, b) => a[0] - b[0]);
  let covered = 0;
  let reached = 0;
  for (const [from, to] of spans) {
    covered += Math.max(to - Math.max(from, reached), 0);
    reached = Math.max(reached, to);
  }
  return spans.reduce((sum, [from, to]) => sum + to - from, 0) - covered;
}

/** One line for each answer, for finding out what a client did. */
export function story(answers) {
  return answers.map(({ connection, from, at, to, began, ended }) => {
    const mib = (bytes) => (bytes / 1048576).toFixed(2);
    return `    #${connection}  ${mib(from)}–${mib(to)} MiB, sent ${mib(at - from)}, ${began.toFixed(3)}–${ended?.toFixed(3) ?? 'open'} s`;
  }).join('\n');
}
