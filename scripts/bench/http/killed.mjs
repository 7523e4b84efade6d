// G: kill -9 at random moments, the same command again until the file is whole. The server's count says what was fetched
// for nothing: all it sent, less the file.

import { rm } from 'node:fs/promises';
import path from 'node:path';
import { fill, median, option, start, table, verify } from '../measure.mjs';
import { journalled } from './journal.mjs';
import { aria2c, aria2Next, present, weir } from './peers.mjs';

const BYTES = 200e6;
const CONNECTIONS = 8;
const RATE = 40e6 / CONNECTIONS;
const KILLS = 50;
const PEER_KILLS = 5;
/** A run lives for so long, evenly drawn. */
const LIVES_S = [0.05, 1];

export async function killed(bench) {
  const file = path.join(bench.root, 'killed.bin');
  const expected = await fill(file, BYTES);
  const server = await bench.paced();
  const seed = option('seed', 1);
  const files = { file, expected, server };

  const rows = [];
  const total = { kills: 0, files: 0, again: 0 };
  const chance = random(seed);
  while (total.kills < KILLS) {
    const { kills, sent } = await untilWhole(bench, weir, files, KILLS - total.kills, chance);
    rows.push(...kills.map((kill) => ({ ...kill, file: total.files + 1 })));
    total.kills += kills.length;
    total.files += 1;
    total.again += sent - BYTES;
  }
  const mb = (bytes) => (bytes / 1e6).toFixed(2);
  const seconds = (bytes) => (bytes / (RATE * CONNECTIONS)).toFixed(3);
  console.log(`\nG  200 MB at 40 MB/s, kill -9 at ${total.kills} random moments (seed ${seed}) over ${total.files} files, every hash right`);
  table([
    ['kill', 'file', 'alive s', 'sent MB', 'journal MB', 'lost MB', 'lost s'],
    ...rows.map((row, at) => [
      at + 1, row.file, row.alive.toFixed(3), mb(row.sent), row.journal === null ? 'none' : mb(row.journal), mb(row.lost), seconds(row.lost),
    ]),
  ]);
  const lost = rows.map((row) => row.lost);
  console.log(`   lost by a kill: median ${seconds(median(lost))} s, most ${seconds(Math.max(...lost))} s; by all, as the server counts: ${mb(total.again)} MB`);

  const fetchedAgain = [[weir.name, rows, total.again]];
  for (const peer of present(aria2c, aria2Next)) {
    // Told to go on where they stopped, which weir does unasked.
    const resuming = { ...peer, command: (what) => { const [program, args] = peer.command(what); return [program, ['-c', ...args]]; } };
    const { kills, sent } = await untilWhole(bench, resuming, files, PEER_KILLS, random(seed));
    fetchedAgain.push([`${peer.name} -c`, kills, sent - BYTES]);
  }
  table([
    ['', 'kills', 'mean life s', 'fetched again MB', 's of data a kill'],
    ...fetchedAgain.map(([name, kills, again]) => [
      name, kills.length, (kills.reduce((sum, kill) => sum + kill.alive, 0) / kills.length).toFixed(2), mb(again), seconds(again / kills.length),
    ]),
  ]);
}

/** Kills and starts again, at most `most` times, until the file is there: what each kill cost, and all that was sent. */
async function untilWhole(bench, contender, { file, expected, server }, most, chance) {
  const folder = await bench.fresh();
  const name = 'killed.bin';
  const [program, args] = contender.command({ url: server.url, folder, name });
  await server.begin({ file, rate: RATE });
  const kills = [];
  let before = { sent: 0, journal: 0 };
  for (;;) {
    const after = kills.length < most ? (LIVES_S[0] + chance() * (LIVES_S[1] - LIVES_S[0])) * 1000 : null;
    const run = await lives(program, args, bench.environment(), after);
    if (!run.killed) break;
    const { sent } = await server.seen();
    const journal = await journalled(path.join(folder, `${name}.part.weir`));
    const kept = (journal ?? before.journal) - before.journal;
    kills.push({ alive: run.alive, sent, journal, lost: sent - before.sent - kept });
    before = { sent, journal: journal ?? before.journal };
  }
  await verify(path.join(folder, name), expected, contender.name);
  const { sent } = await server.seen();
  await rm(folder, { recursive: true });
  return { kills, sent };
}

/** One run, killed after so many milliseconds unless it is done before. */
async function lives(program, args, env, after) {
  const began = process.hrtime.bigint();
  const child = start(program, args, { env, stdio: ['ignore', 'ignore', 'inherit'] });
  const timer = after && setTimeout(() => child.kill('SIGKILL'), after);
  const [code, signal] = await new Promise((resolve, reject) => (
    child.once('error', reject).once('close', (...how) => resolve(how))
  ));
  clearTimeout(timer);
  if (signal !== 'SIGKILL' && code !== 0) throw new Error(`${program} ended with ${code ?? signal}`);
  return { killed: signal === 'SIGKILL', alive: Number(process.hrtime.bigint() - began) / 1e9 };
}

/** Numbers from 0 to 1 that the seed decides (a linear congruential generator, Knuth's MMIX constants). */
function random(seed) {
  let state = BigInt(seed);
  return () => {
    state = BigInt.asUintN(64, state * 6364136223846793005n + 1442695040888963407n);
    return Number(state >> 32n) / 2 ** 32;
  };
}
