// A: every connection gets 2 MB/s. What remains above the ideal is starting, and the tail.

import path from 'node:path';
import { alternate, fill, median, table } from '../measure.mjs';
import { SPREAD, pacedTable, spread } from './bench.mjs';
import { aria2c, aria2cAsIs, aria2Next, aria2NextAsIs, present, weir } from './peers.mjs';

const MIB = 48;
const RATE = 2e6;
const CONNECTIONS = 8;

export async function even(bench) {
  const bytes = MIB * 1024 * 1024;
  const file = path.join(bench.root, 'even.bin');
  const expected = await fill(file, bytes);
  const ideal = bytes / (CONNECTIONS * RATE);

  const server = await bench.paced();
  const contenders = present(weir, aria2c, aria2Next, aria2cAsIs, aria2NextAsIs);
  const runs = await alternate(bench.rounds(3), contenders, async (contender) => {
    await server.begin({ file, rate: RATE });
    return { ...await bench.fetch(contender, server.url, expected), ...await bench.seen(server, contender) };
  });
  console.log(`\nA  ${MIB} MiB, each connection at 2 MB/s: ideal ${ideal.toFixed(3)} s with ${CONNECTIONS} of them`);
  pacedTable(runs, { '÷ ideal': ideal });

  const limited = await bench.nginx(`limit_rate ${RATE};`);
  const again = await alternate(bench.rounds(1), present(weir, aria2c, aria2Next), (contender) => (
    bench.fetch(contender, `${limited.url}/even.bin`, expected)
  ));
  console.log('   The same from nginx, whose limit_rate begins anew with each request and gives its first second at once:');
  console.log('   no ideal holds there, and whoever asks for smaller ranges gets more.');
  table([
    ['', ...SPREAD, `÷ ${ideal.toFixed(3)} s`],
    ...[...again].map(([name, figures]) => [
      name, ...spread(figures), (median(figures.map((one) => one.wall)) / ideal).toFixed(3),
    ]),
  ]);
}
