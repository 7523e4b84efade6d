// The server with waits, from the side of the suite.

import { fork } from 'node:child_process';

/** `begin(plan)` serves another folder; `seen()` tells of the requests since the last time. */
export async function segmentsServer() {
  const child = fork(new URL('segments-server.mjs', import.meta.url));
  const { port } = await new Promise((resolve, reject) => child.once('message', resolve).once('exit', reject));
  const waiting = new Map();
  let asked = 0;
  child.on('message', ({ id, answer }) => {
    waiting.get(id)?.(answer);
    waiting.delete(id);
  });
  const ask = (message) => new Promise((resolve) => {
    asked += 1;
    waiting.set(asked, resolve);
    child.send({ ...message, id: asked });
  });
  return {
    url: `http://127.0.0.1:${port}`,
    begin: (plan) => ask({ ask: 'begin', plan }),
    seen: () => ask({ ask: 'seen' }),
    close: () => child.kill(),
  };
}
