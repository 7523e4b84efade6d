// B: eight connections, one of which is bad: slow, silent, or reset. Whoever keeps it pays; whoever opens another in its
// place may be faster than the connections as given allow.

import path from 'node:path';
import { alternate, fill } from '../measure.mjs';
import { pacedTable } from './bench.mjs';
import { aria2c, aria2Next, present, weir } from './peers.mjs';

const MIB = 48;
const RATE = 2e6;
const CONNECTIONS = 8;
/** Which of the connections is bad, in the order of arrival; those made later in its place are good. */
const BAD = 3;
const SLOW = 100e3;
const STOP = 256 * 1024;

export async function badConnection(bench) {
  const bytes = MIB * 1024 * 1024;
  const file = path.join(bench.root, 'bad.bin');
  const expected = await fill(file, bytes);
  const server = await bench.paced();
  const good = (CONNECTIONS - 1) * RATE;
  const whole = bytes / (CONNECTIONS * RATE);
  const stopping = (bytes - STOP) / good;
  const cases = [
    ['B1', `connection ${BAD} at 100 kB/s`, { rate: SLOW }, bytes / (good + SLOW)],
    ['B2', `connection ${BAD} silent after 256 KiB, kept open`, { silentAfter: STOP }, stopping],
    ['B3', `connection ${BAD} reset after 256 KiB`, { resetAfter: STOP }, stopping],
  ];
  for (const [title, what, how, given] of cases) {
    // aria2c waits for the bad connection, ten seconds each time.
    const contenders = present(weir, { ...aria2c, rounds: 1 }, aria2Next);
    const runs = await alternate(bench.rounds(3), contenders, async (contender) => {
      await server.begin({ file, rate: RATE, bad: { [BAD]: how } });
      return { ...await bench.fetch(contender, server.url, expected), ...await bench.seen(server, contender) };
    });
    console.log(`\n${title} ${MIB} MiB, each connection at 2 MB/s, but ${what}:`);
    console.log(`   ideal of the connections as given ${given.toFixed(3)} s, of ${CONNECTIONS} good ones ${whole.toFixed(3)} s`);
    pacedTable(runs, { '÷ as given': given, '÷ all good': whole });
  }
}
