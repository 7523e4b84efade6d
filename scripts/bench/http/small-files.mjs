// E: 2,000 files of 16 KiB in one command: what a file costs beside its bytes.

import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { alternate, diskFolder, median, table } from '../measure.mjs';
import { SPREAD, spread } from './bench.mjs';

const FILES = 2000;
const BYTES = 16 * 1024;
const TUNED = ['-j16', '--file-allocation=none'];

export async function smallFiles(bench) {
  const names = Array.from({ length: FILES }, (_, at) => `f${String(at + 1).padStart(4, '0')}.bin`);
  const expected = new Map();
  const root = path.join(bench.root, 'small');
  await mkdir(root);
  for (const name of names) {
    const content = randomBytes(BYTES);
    expected.set(name, sha256(content));
    await writeFile(path.join(root, name), content);
  }
  const server = await bench.nginx('keepalive_requests 100000;');
  const list = path.join(bench.work.folder, 'small.txt');
  await writeFile(list, names.map((name) => `${server.url}/small/${name}\n`).join(''));

  const aria = (name, program, more, rounds) => (
    program && { name, rounds, command: (out) => [program, ['--no-conf', '-q', ...more, '-d', out, '-i', list]] }
  );
  const contenders = [
    { name: 'weir get -i', command: (out) => [process.env.WEIR, ['get', '-d', out, '--json', '-i', list]] },
    aria('aria2c -i -j16', 'aria2c', TUNED),
    aria('aria2-next -i -j16', process.env.ARIA2_NEXT, TUNED),
    aria('aria2c -i', 'aria2c', [], 1),
    aria('aria2-next -i', process.env.ARIA2_NEXT, [], 1),
    { name: 'curl -Z [1-2000]', command: (out) => ['curl', ['-sS', '-Z', '-O', '--output-dir', out, `${server.url}/small/f[0001-${FILES}].bin`]] },
  ].filter(Boolean);

  const disk = await diskFolder(2 * FILES * BYTES);
  try {
    for (const place of [bench.work, disk].filter(Boolean)) {
      // As they come, the aria2s take half a minute on a disk; memory shows what the options change.
      const there = place === disk ? contenders.filter(({ rounds }) => !rounds) : contenders;
      const runs = await alternate(bench.rounds(place === disk ? 2 : 3), there, async ({ name, command }) => {
        const out = await bench.fresh(place.folder);
        // Nobody pays for what the one before left in the page cache.
        if (place === disk) execFileSync('sync', ['-f', out]);
        const figures = await bench.run(...command(out), { env: bench.environment() });
        await verifyAll(out, expected, name);
        await rm(out, { recursive: true });
        return figures;
      });
      const peer = (name) => median(runs.get(name).map((one) => one.wall));
      console.log(`\nE  ${FILES} files of ${BYTES / 1024} KiB in one command, from nginx to ${place.parent}`);
      table([
        ['', ...SPREAD, 'CPU s', 'peak MiB', '÷ aria2c -j16', '÷ curl'],
        ...[...runs].map(([name, figures]) => {
          const of = (figure) => median(figures.map((one) => one[figure]));
          return [
            name, ...spread(figures), of('cpu').toFixed(2), (of('rss') / 1048576).toFixed(1),
            (of('wall') / peer('aria2c -i -j16')).toFixed(2), (of('wall') / peer('curl -Z [1-2000]')).toFixed(2),
          ];
        }),
      ]);
    }
  } finally {
    await disk?.remove();
  }
}

/** Each file there, right, and nothing beside them. */
async function verifyAll(out, expected, who) {
  const there = await readdir(out);
  if (there.length !== expected.size) throw new Error(`${who} left ${there.length} files instead of ${expected.size}`);
  for (const name of there) {
    if (sha256(await readFile(path.join(out, name))) !== expected.get(name)) throw new Error(`${who} brought a wrong ${name}`);
  }
}

function sha256(content) {
  return createHash('sha256').update(content).digest('hex');
}
