// One large file from a local nginx at full speed: `weir get`, aria2c and curl in turn, every file hashed.

import { spawn } from 'node:child_process';
import { createHash, randomFillSync } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import { freePort, measured, median, option, table, version, workFolder } from './measure.mjs';

const rounds = option('rounds', 7);
const bytes = option('mib', 1024) * 1024 * 1024;
const weir = process.env.WEIR;

const work = await workFolder(2 * bytes);
const nginx = { process: null };
try {
  await bench();
} finally {
  nginx.process?.kill('SIGTERM');
  await work.remove();
}

async function bench() {
  const root = path.join(work.folder, 'root');
  const out = path.join(work.folder, 'out');
  await mkdir(root);
  await mkdir(out);
  const expected = await fill(path.join(root, 'large.bin'));
  const url = `http://127.0.0.1:${await serve(root)}/large.bin`;
  const target = path.join(out, 'large.bin');

  const commands = {
    'weir get': [weir, ['get', url, '-d', out, '-o', 'large.bin', '--json']],
    'aria2c -x8 -s8': ['aria2c', ['--no-conf', '-q', '-x8', '-s8', '-k1M', '--file-allocation=none', '-d', out, '-o', 'large.bin', url]],
    curl: ['curl', ['-sS', '-o', target, url]],
  };
  const runs = Object.fromEntries(Object.keys(commands).map((name) => [name, []]));
  // Round 0 warms the page cache and is not counted.
  for (let round = 0; round <= rounds; round += 1) {
    for (const [name, [command, args]] of Object.entries(commands)) {
      const figures = await measured(path.join(work.folder, 'time'), command, args, { env: environment() });
      const hash = await sha256(target);
      if (hash !== expected) throw new Error(`${name} brought a wrong file: ${hash}`);
      await rm(out, { recursive: true });
      await mkdir(out);
      if (round) runs[name].push(figures);
    }
  }

  console.log(`${bytes / 1024 / 1024} MiB from nginx on loopback, ${rounds} alternating rounds, medians; files in ${work.parent}, every hash checked`);
  console.log([await version(weir), await version('aria2c'), await version('curl'), await version('/usr/sbin/nginx', '-v')].join(' · '));
  const of = (name, figure) => median(runs[name].map((one) => one[figure]));
  const ratio = (name, figure, peer) => (of(name, figure) / of(peer, figure)).toFixed(2);
  table([
    ['', 'wall s', 'min', 'max', 'CPU s/GB', 'peak MiB', 'wall ÷ aria2c', 'wall ÷ curl', 'CPU ÷ curl'],
    ...Object.keys(commands).map((name) => [
      name,
      of(name, 'wall').toFixed(3),
      Math.min(...runs[name].map((one) => one.wall)).toFixed(3),
      Math.max(...runs[name].map((one) => one.wall)).toFixed(3),
      (of(name, 'cpu') / (bytes / 1e9)).toFixed(2),
      (of(name, 'rss') / 1024 / 1024).toFixed(1),
      ratio(name, 'wall', 'aria2c -x8 -s8'),
      ratio(name, 'wall', 'curl'),
      ratio(name, 'cpu', 'curl'),
    ]),
  ]);
}

function environment() {
  return { ...process.env, WEIR_HOME: path.join(work.folder, 'home'), WEIR_DOWNLOAD_DIR: path.join(work.folder, 'out') };
}

/** Writes a file no compressor could help with. Answers its SHA-256. */
async function fill(name) {
  const hash = createHash('sha256');
  const block = Buffer.alloc(8 * 1024 * 1024);
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

async function sha256(name) {
  const hash = createHash('sha256');
  await pipeline(createReadStream(name, { highWaterMark: 4 << 20 }), hash);
  return hash.digest('hex');
}

/** An nginx of our own, with its own configuration and folder. Answers its port. */
async function serve(root) {
  const port = await freePort();
  const own = path.join(work.folder, 'nginx');
  await mkdir(path.join(own, 'logs'), { recursive: true });
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${own}/${name};`);
  await writeFile(path.join(own, 'nginx.conf'), `
${process.getuid() === 0 ? 'user root;' : ''}
worker_processes 2;
pid ${own}/pid;
error_log ${own}/logs/error.log;
events { worker_connections 256; }
http {
  ${temporary.join(' ')}
  access_log off;
  sendfile on;
  tcp_nopush on;
  server { listen 127.0.0.1:${port}; root ${root}; }
}
`);
  const binary = process.env.NGINX || '/usr/sbin/nginx';
  nginx.process = spawn(binary, ['-p', own, '-c', path.join(own, 'nginx.conf'), '-g', 'daemon off;'], { stdio: 'inherit' });
  for (let tries = 0; tries < 200; tries += 1) {
    if (nginx.process.exitCode !== null) throw new Error('nginx did not start');
    const up = await fetch(`http://127.0.0.1:${port}/`).then(() => true, () => false);
    if (up) return port;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  throw new Error('nginx did not answer');
}
