// What every suite needs: a folder in memory, a free port, one measured run of a command, medians and a table.

import { execFile, spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, statfs } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Value of `--NAME` on the command line. */
export function option(name, fallback) {
  const at = process.argv.indexOf(`--${name}`);
  return at < 0 ? fallback : Number(process.argv[at + 1]);
}

/** A temporary folder with `bytes` free, in memory when there is room, so that no disk is measured. */
export async function workFolder(bytes) {
  for (const parent of ['/dev/shm', tmpdir()]) {
    const facts = await statfs(parent).catch(() => null);
    if (facts && facts.bavail * facts.bsize > bytes * 1.2) {
      const folder = await mkdtemp(path.join(parent, 'weir-bench-'));
      return { folder, parent, remove: () => rm(folder, { recursive: true, force: true }) };
    }
  }
  throw new Error(`no temporary folder has ${bytes} bytes free`);
}

/** A port nobody listens on. */
export async function freePort() {
  const server = createServer();
  await new Promise((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Runs a command to its end: `{ wall, cpu, rss }` in seconds, CPU-seconds (user and system) and bytes at the peak. */
export async function measured(report, command, args, options = {}) {
  // GNU time asks the kernel (wait4), so that short-lived peaks and threads are counted.
  const child = spawn('/usr/bin/time', ['-q', '-o', report, '-f', '%e %U %S %M', command, ...args], {
    ...options,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let said = '';
  child.stderr.on('data', (text) => { said = (said + text).slice(-2000); });
  const start = process.hrtime.bigint();
  const code = await new Promise((resolve, reject) => child.once('error', reject).once('close', resolve));
  const wall = Number(process.hrtime.bigint() - start) / 1e9;
  if (code !== 0) throw new Error(`${command} ended with ${code}: ${said}`);
  const [, user, system, kib] = (await readFile(report, 'utf8')).trim().split(/\s+/).map(Number);
  return { wall, cpu: user + system, rss: kib * 1024 };
}

/** The middle of the values. */
export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** Prints rows of cells, columns aligned: the first to the left, numbers to the right. */
export function table(rows) {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => String(row[column]).length)));
  for (const row of rows) {
    console.log(row.map((cell, at) => (at ? String(cell).padStart(widths[at]) : String(cell).padEnd(widths[at]))).join('  '));
  }
}

/** First line a program says of its version. */
export async function version(command, ...args) {
  const { stdout, stderr } = await run(command, args.length ? args : ['--version']);
  return (stdout || stderr).split('\n')[0].trim();
}
