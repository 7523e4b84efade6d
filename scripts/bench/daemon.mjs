// The daemon at rest: time from start to an answer, memory and CPU when there is nothing to do.

import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { connect } from 'node:net';
import path from 'node:path';
import { freePort, median, option, table, version, workFolder } from './measure.mjs';

const rounds = option('rounds', 5);
const IDLE_SECONDS = 5;
const weir = process.env.WEIR;

const work = await workFolder(64 * 1024 * 1024);
try {
  await bench();
} finally {
  await work.remove();
}

async function bench() {
  const runs = [];
  for (let round = 0; round <= rounds; round += 1) {
    const figures = await once(round);
    // Round 0 reads the program from the disk and makes the database: told apart from an ordinary start.
    runs.push(figures);
  }
  const [first, ...warm] = runs;
  console.log(`${await version(weir)}: ${rounds} starts, medians; idle over ${IDLE_SECONDS} s`);
  const of = (figure) => median(warm.map((one) => one[figure]));
  table([
    ['', 'median', 'max', 'first start', 'budget'],
    ['start to listening, ms', of('listening').toFixed(1), max(warm, 'listening'), first.listening.toFixed(1), 150],
    ['idle RSS, MB', of('rss').toFixed(1), max(warm, 'rss'), first.rss.toFixed(1), 30],
    ['idle CPU, ms per s', of('cpu').toFixed(1), max(warm, 'cpu'), first.cpu.toFixed(1), 0],
  ]);
}

function max(runs, figure) {
  return Math.max(...runs.map((one) => one[figure])).toFixed(1);
}

async function once() {
  const port = await freePort();
  const start = process.hrtime.bigint();
  const child = spawn(weir, ['serve'], {
    env: { ...process.env, WEIR_HOME: path.join(work.folder, 'home'), WEIR_DOWNLOAD_DIR: work.folder, WEIR_PORT: String(port) },
    stdio: ['ignore', 'ignore', 'ignore'],
  });
  try {
    while (!(await listens(port))) {
      if (child.exitCode !== null) throw new Error(`weir serve ended with ${child.exitCode}`);
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    const listening = Number(process.hrtime.bigint() - start) / 1e6;
    await new Promise((resolve) => setTimeout(resolve, 1000));
    const before = await cpuTicks(child.pid);
    await new Promise((resolve) => setTimeout(resolve, IDLE_SECONDS * 1000));
    const ticks = (await cpuTicks(child.pid)) - before;
    const status = await readFile(`/proc/${child.pid}/status`, 'utf8');
    const rss = (Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)[1]) * 1024) / 1e6;
    // 100 ticks a second on every Linux there is.
    return { listening, rss, cpu: (ticks * 10) / IDLE_SECONDS };
  } finally {
    const gone = new Promise((resolve) => child.once('exit', resolve));
    if (child.exitCode === null && child.kill('SIGTERM')) await gone;
  }
}

function listens(port) {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => { socket.destroy(); resolve(true); });
    socket.once('error', () => resolve(false));
  });
}

async function cpuTicks(pid) {
  const fields = (await readFile(`/proc/${pid}/stat`, 'utf8')).split(') ').at(-1).split(' ');
  return Number(fields[11]) + Number(fields[12]);
}
