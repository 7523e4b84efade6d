// first: a file of 20 GB begins. From the first byte the server sends to the first byte in the file, on a disk if there is
// one: whoever sets the whole file aside first keeps people waiting.

import { open, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { randomBytes } from 'node:crypto';
import { alternate, diskFolder, median, start, table } from '../measure.mjs';
import { aria2c, aria2cAsIs, aria2Next, aria2NextAsIs, curl, present, weir } from './peers.mjs';

const TOTAL = 20e9;
const RATE = 20e6;
const GIVES_UP_MS = 5000;
const POLL_MS = 1;
/** So many bytes of the beginning are compared. */
const BEGINNING = 4096;

export async function firstByte(bench) {
  const file = path.join(bench.root, 'first.bin');
  // The server repeats it until the total is reached.
  const content = randomBytes(1 << 20);
  await writeFile(file, content);
  const server = await bench.paced();
  const disk = await diskFolder(TOTAL);
  const place = disk ?? bench.work;
  try {
    // A round of anyone takes no time worth saving.
    const contenders = present(weir, curl, aria2c, aria2Next, aria2cAsIs, aria2NextAsIs).map((one) => ({ ...one, rounds: undefined }));
    const runs = await alternate(bench.rounds(5), contenders, async (contender) => {
      await server.begin({ file, total: TOTAL, rate: RATE });
      return once(bench, server, contender, place, content.subarray(0, BEGINNING));
    });
    console.log(`\nfirst  20 GB at 20 MB/s a connection, to ${place.parent}: ms after the server's first byte`);
    table([
      ['', 'in the file', 'min', 'max', 'first figure shown'],
      ...[...runs].map(([name, figures]) => [
        name, ...cells(figures.map((one) => one.written)), cells(figures.map((one) => one.shown))[0],
      ]),
    ]);
  } finally {
    await disk?.remove();
  }
}

/** Median, least and most in milliseconds; what never came within the time is beyond it. */
function cells(values) {
  const cell = (value) => (value === undefined ? '–' : value === Infinity ? `> ${GIVES_UP_MS}` : value.toFixed(0));
  return [median(values), Math.min(...values), Math.max(...values)].map((value) => cell(Number.isNaN(value) ? undefined : value));
}

async function once(bench, server, contender, place, beginning) {
  const folder = await bench.fresh(place.folder);
  const name = 'large.bin';
  const [program, args] = contender.command({ url: server.url, folder, name });
  const child = start(program, args, { env: bench.environment(), stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = new Promise((resolve, reject) => child.once('error', reject).once('exit', resolve));
  let shown;
  let text = '';
  child.stdout.on('data', (more) => {
    text += more;
    // Only weir was asked for figures a program can read.
    if (!shown && /"received_bytes":[1-9]/.test(text)) shown = process.hrtime.bigint();
  });
  try {
    const stop = Date.now() + GIVES_UP_MS;
    let written;
    while (!written && Date.now() < stop) {
      if (child.exitCode !== null) throw new Error(`${contender.name} ended with ${child.exitCode}`);
      if (await begins([`${name}.part`, name].map((one) => path.join(folder, one)), beginning)) written = process.hrtime.bigint();
      else await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
    while (contender.name === weir.name && !shown && Date.now() < stop) await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    const { firstByteNs } = await server.seen();
    const after = (at) => (at ? Number(at - BigInt(firstByteNs)) / 1e6 : undefined);
    return { written: after(written) ?? Infinity, shown: after(shown) ?? NaN };
  } finally {
    if (child.exitCode === null) child.kill('SIGKILL');
    await ended;
    await rm(folder, { recursive: true });
  }
}

/** One of the files begins with what the server sent. Room set aside holds nothing or zeros. */
async function begins(names, beginning) {
  for (const name of names) {
    const file = await open(name).catch(() => null);
    if (!file) continue;
    try {
      const { bytesRead, buffer } = await file.read(Buffer.alloc(beginning.length), 0, beginning.length, 0);
      if (bytesRead === beginning.length && buffer.equals(beginning)) return true;
    } finally {
      await file.close();
    }
  }
  return false;
}
