// limit: 1 MB/s for one file, and for three together. All run at the same time, each with a server of its own: at such
// rates nobody is in another's way, and it takes a fifth of the time.
//
// The whole is the time a person waits; the line is all that the server sent in that time, thrown away or not; the
// windows are what was taken out of sockets, once the buffers behind them are full and as long as there is something left.

import { mkdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { fill, start, table, verify } from '../measure.mjs';

const LIMIT = 1e6;
const FILES = 3;
const BYTES = 24e6;
/** Of a connection: the limit must be the narrowest place. */
const RATE = 10e6;
const WINDOW_S = 10;
const SETTLED_S = 4;
const SAMPLE_MS = 100;
const GIVES_UP_MS = 60_000;

export async function limit(bench) {
  const whole = path.join(bench.root, 'limited.bin');
  const part = path.join(bench.root, 'limited-part.bin');
  const expected = { [whole]: await fill(whole, BYTES), [part]: await fill(part, BYTES / FILES) };
  const names = Array.from({ length: FILES }, (_, at) => `${at}.bin`);

  const { WEIR, ARIA2_NEXT } = process.env;
  const single = (name, command) => ({ name, file: whole, names: names.slice(0, 1), command });
  const several = (name, command) => ({ name, file: part, names, command });
  const list = (url) => names.map((one) => `${url}?${one}\n  out=${one}\n`).join('');
  const aria = (name, program) => several(name, (out, url) => ({
    program,
    args: ['--no-conf', '-q', '--file-allocation=none', `--max-overall-download-limit=${LIMIT}`, '-j3', '-d', out, '-i', '-'],
    input: list(url),
  }));
  const contenders = [
    single('weir get --limit 1M', (out, url) => ({ program: WEIR, args: ['get', '--limit', '1M', '-d', out, '-o', names[0], '--json', url] })),
    single('curl --limit-rate', (out, url) => ({ program: 'curl', args: ['-sS', '--limit-rate', String(LIMIT), '-o', `${out}/${names[0]}`, url] })),
    several('weir get --limit-total 1M, 3 files', (out, url) => ({
      program: WEIR, args: ['get', '--limit-total', '1M', '-d', out, '--json', '-i', '-'], input: list(url),
    })),
    several('weir serve, 3 files', (out, url) => ({
      program: WEIR,
      args: ['serve'],
      env: { WEIR_RATE_LIMIT: String(LIMIT), WEIR_PORT: '0', WEIR_DOWNLOAD_DIR: out },
      drive: (home) => drive(home, url, names),
    })),
    aria('aria2c, 3 files', 'aria2c'),
    ...(ARIA2_NEXT ? [aria('aria2-next, 3 files', ARIA2_NEXT)] : []),
  ];

  const outcomes = await Promise.allSettled(contenders.map((one, at) => once(bench, one, `limit-${at}`, expected[one.file])));
  const failed = outcomes.find((outcome) => outcome.status === 'rejected');
  if (failed) throw failed.reason;
  const figures = outcomes.map((outcome) => outcome.value);
  const percent = (fraction) => (Number.isNaN(fraction) ? '–' : (fraction * 100).toFixed(2));
  console.log(`\nlimit  1 MB/s over ${BYTES / 1e6} MB, from a server that gives each connection ${RATE / 1e6} MB/s: error in %`);
  table([
    ['', 'whole', 'line', `lowest ${WINDOW_S} s`, `highest ${WINDOW_S} s`],
    ...figures.map((one, at) => [contenders[at].name, ...[one.whole, one.line, one.lowest, one.highest].map(percent)]),
  ]);
}

async function once(bench, { name, file, names, command }, folder, expected) {
  const server = await bench.paced();
  await server.begin({ file, rate: RATE });
  const home = path.join(bench.work.folder, folder, 'home');
  const out = path.join(bench.work.folder, folder, 'out');
  await mkdir(home, { recursive: true });
  await mkdir(out);
  const { program, args, env, input, drive } = command(out, server.url);
  const child = start(program, args, {
    env: { ...bench.environment(), WEIR_HOME: home, ...env },
    stdio: [input ? 'pipe' : 'ignore', 'ignore', 'ignore'],
  });
  // Whoever ends without reading says why by its status.
  child.stdin?.on('error', () => {}).end(input);
  const ended = new Promise((resolve, reject) => child.once('error', reject).once('exit', (code) => resolve(code)));
  const samples = sample(server);
  try {
    const code = await within(drive ? Promise.race([drive(home), ended]) : ended, name);
    if (code) throw new Error(`${name} ended with ${code}`);
    const finished = Number(process.hrtime.bigint()) / 1e9;
    const taken = await samples.end();
    for (const one of names) await verify(path.join(out, one), expected, name);
    const { firstByteNs, sent } = await server.seen();
    return errors(taken, sent, finished - Number(firstByteNs) / 1e9);
  } finally {
    await samples.end();
    if (child.exitCode === null && child.signalCode === null && child.kill('SIGTERM')) await ended;
  }
}

/** Asks the server again and again what was taken out of its sockets; `end` answers `[seconds, bytes]`. */
function sample(server) {
  const taken = [];
  let running = true;
  const loop = (async () => {
    while (running) {
      const bytes = await server.taken();
      if (bytes) taken.push([Number(process.hrtime.bigint()) / 1e9, bytes]);
      await new Promise((resolve) => setTimeout(resolve, SAMPLE_MS));
    }
  })();
  return {
    async end() {
      running = false;
      await loop;
      return taken;
    },
  };
}

/** By how much the rate was off, as fractions of the limit. */
function errors(taken, sent, seconds) {
  const off = (bytes, time) => bytes / time / LIMIT - 1;
  const middle = taken.filter(([at, bytes]) => at >= taken[0][0] + SETTLED_S && bytes < BYTES);
  const windows = middle.flatMap(([from, less]) => {
    const stop = middle.find(([at]) => at >= from + WINDOW_S);
    return stop ? [off(stop[1] - less, stop[0] - from)] : [];
  });
  // Whoever took most of it in a burst has no ten seconds left.
  const [lowest, highest] = windows.length ? [Math.min(...windows), Math.max(...windows)] : [NaN, NaN];
  return { whole: off(BYTES, seconds), line: off(sent, seconds), lowest, highest };
}

/** Hands the daemon that lives in `home` the addresses and waits until it has brought them. */
async function drive(home, url, names) {
  let door;
  while (!door) {
    door = await readFile(path.join(home, 'endpoint.json'), 'utf8').then(JSON.parse).catch(() => null);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  const headers = { authorization: `Bearer ${door.token}`, 'content-type': 'application/json' };
  const ask = async (route, more) => {
    const answer = await fetch(door.url + route, { headers, ...more });
    if (!answer.ok) throw new Error(`${route}: ${answer.status} ${await answer.text()}`);
    return answer.json();
  };
  for (const filename of names) {
    await ask('/download', { method: 'POST', body: JSON.stringify({ url: `${url}?${filename}`, filename }) });
  }
  for (;;) {
    const rows = await ask('/list');
    const failed = rows.find((row) => row.status === 'error');
    if (failed) throw new Error(failed.error.message);
    if (rows.every((row) => row.status === 'completed')) return;
    await new Promise((resolve) => setTimeout(resolve, SAMPLE_MS));
  }
}

async function within(promise, name) {
  let timer;
  const late = new Promise((_, reject) => { timer = setTimeout(() => reject(new Error(`${name} does not end`)), GIVES_UP_MS); });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}
