// What every suite needs: folders, ports, content with its hash, one measured run of a command, medians and a table.

import { execFile, spawn } from 'node:child_process';
import { createHash, randomFillSync } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdtemp, open, readFile, rm, statfs } from 'node:fs/promises';
import { createServer } from 'node:net';
import { homedir, tmpdir } from 'node:os';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** `f_type` of tmpfs, from statfs(2). */
const TMPFS = 0x01021994;
/** No run of any suite takes so long; one that does hangs. */
const HANGS_AFTER_MS = 180_000;
/** How often the memory of a process is looked at; the kernel keeps the peak, so only the very end can be missed. */
const LOOK_MS = 20;

/** Value of `--NAME` on the command line. */
export function option(name, fallback) {
  const at = process.argv.indexOf(`--${name}`);
  return at < 0 ? fallback : Number(process.argv[at + 1]);
}

/** A temporary folder with `bytes` free, in memory when there is room, so that no disk is measured. */
export async function workFolder(bytes) {
  return folderIn(['/dev/shm', tmpdir()], bytes, () => true);
}

/** A temporary folder with `bytes` free that is on a disk; null where there is none. */
export async function diskFolder(bytes) {
  const parents = [tmpdir(), '/var/tmp', homedir()];
  return folderIn(parents, bytes, (facts) => facts.type !== TMPFS).catch(() => null);
}

async function folderIn(parents, bytes, fits) {
  for (const parent of parents) {
    const facts = await statfs(parent).catch(() => null);
    if (facts && fits(facts) && facts.bavail * facts.bsize > bytes * 1.2) {
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

/** Writes a file no compressor could help with. Answers its SHA-256. */
export async function fill(name, bytes) {
  const hash = createHash('sha256');
  const block = Buffer.alloc(Math.min(bytes, 8 << 20));
  const file = await open(name, 'w');
  for (let done = 0; done < bytes; done += block.length) {
    randomFillSync(block);
    const part = block.subarray(0, Math.min(block.length, bytes - done));
    hash.update(part);
    await file.write(part);
  }
  await file.close();
  return hash.digest('hex');
}

/** Throws unless the file has this SHA-256. */
export async function verify(name, expected, who) {
  const hash = createHash('sha256');
  await pipeline(createReadStream(name, { highWaterMark: 4 << 20 }), hash);
  const found = hash.digest('hex');
  if (found !== expected) throw new Error(`${who} brought a wrong file: ${found} instead of ${expected}`);
}

const running = new Set();
process.on('exit', () => {
  for (const child of running) endGroup(child);
});

/** Starts a command that does not outlive the suite, nor does what it starts: they are a group of their own. */
export function start(command, args, options = {}) {
  const child = spawn(command, args, { ...options, detached: true });
  running.add(child);
  child.once('close', () => running.delete(child));
  return child;
}

function endGroup(child) {
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch {
    // It ended by itself meanwhile.
  }
}

/**
 * Runs a command to its end: `{ wall, cpu, rss }` in seconds, CPU-seconds (user and system) and bytes at the peak, of whichever
 * process of it had most. With `own`, `own` is the peak of the command alone, without what it starts.
 */
export async function measured(report, command, args, { own = false, ...options } = {}) {
  // GNU time asks the kernel (wait4), so that short-lived peaks and threads are counted.
  const began = process.hrtime.bigint();
  const child = start('/usr/bin/time', ['-q', '-o', report, '-f', '%e %U %S %M', command, ...args], {
    ...options,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let said = '';
  child.stderr.on('data', (text) => { said = (said + text).slice(-2000); });
  const hangs = setTimeout(() => endGroup(child), HANGS_AFTER_MS);
  let peak = 0;
  const look = own && setInterval(async () => { peak = Math.max(peak, await peakOfChild(child.pid)); }, LOOK_MS);
  const code = await new Promise((resolve, reject) => child.once('error', reject).once('close', resolve));
  clearTimeout(hangs);
  clearInterval(look);
  const wall = Number(process.hrtime.bigint() - began) / 1e9;
  if (code !== 0) throw new Error(`${command} ended with ${code} after ${wall.toFixed(1)} s: ${said}`);
  const [, user, system, kib] = (await readFile(report, 'utf8')).trim().split(/\s+/).map(Number);
  return { wall, cpu: user + system, rss: kib * 1024, ...(own && { own: peak }) };
}

/** The most memory the only child of a process has had so far, in bytes; 0 when it has gone. */
async function peakOfChild(pid) {
  try {
    const [child] = (await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8')).trim().split(' ');
    const status = await readFile(`/proc/${child}/status`, 'utf8');
    return Number(/^VmHWM:\s*(\d+) kB$/m.exec(status)?.[1] ?? 0) * 1024;
  } catch {
    return 0;
  }
}

/** Runs contenders in turn, so that whatever else the machine does meets all of them: their figures by name. */
export async function alternate(rounds, contenders, once) {
  const runs = new Map(contenders.map((contender) => [contender.name, []]));
  for (let round = 0; round < rounds; round += 1) {
    for (const contender of contenders) {
      if (round < (contender.rounds ?? rounds)) runs.get(contender.name).push(await once(contender));
    }
  }
  return runs;
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
