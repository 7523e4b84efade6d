// Downloads over HTTP beside the peers, scenario by scenario; every file hashed, a wrong one ends the suite.

import { loadavg } from 'node:os';
import { startBench } from './http/bench.mjs';
import { badConnection } from './http/bad-connection.mjs';
import { even } from './http/even.mjs';
import { firstByte } from './http/first-byte.mjs';
import { fullSpeed } from './http/full-speed.mjs';
import { killed } from './http/killed.mjs';
import { limit } from './http/limit.mjs';
import { versions } from './http/peers.mjs';
import { smallFiles } from './http/small-files.mjs';

const scenarios = { A: even, B: badConnection, C: fullSpeed, E: smallFiles, G: killed, limit, first: firstByte };

const asked = process.argv.slice(2).filter((word, at, all) => !word.startsWith('--') && !['--rounds', '--mib', '--seed'].includes(all[at - 1]));
const unknown = asked.filter((name) => !scenarios[name]);
if (unknown.length) {
  console.error(`no scenario ${unknown.join(', ')}; there are ${Object.keys(scenarios).join(' ')}`);
  process.exit(2);
}

const bench = await startBench(4e9);
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, () => bench.close().finally(() => process.exit(130)));
}
try {
  console.log(await versions());
  console.log(`medians of alternating runs, every hash checked; results in ${bench.work.parent}, load ${loadavg()[0].toFixed(2)} at the start`);
  for (const name of asked.length ? asked : Object.keys(scenarios)) await scenarios[name](bench);
} finally {
  await bench.close();
}
