// Streams beside the peers, scenario by scenario; every picture of every result hashed, a wrong one ends the suite.

import { loadavg } from 'node:os';
import { mkdir, readdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { alternate, measured, median, option, table, workFolder } from './measure.mjs';
import { film, pictures } from './media/films.mjs';
import { ffmpeg, present, streamlink, versions, weir, ytDlp16, ytDlpAsIs } from './media/peers.mjs';
import { segmentsServer } from './media/server.mjs';

const MIB = 1048576;
const ALL = present(weir, ytDlp16, ytDlpAsIs, ffmpeg, streamlink);
const FAST = present(weir, ytDlp16);

/** What each stream is, who fetches it, and what is wanted of the ratio to whom. */
const SCENARIOS = {
  short: { title: '120 segments of 280 KB, 50 ms before each answer', film: { count: 120, bytes: 280e3 }, latencyMs: 50, who: ALL, rounds: 5 },
  many: { title: '2,000 segments of 100 KB, 20 ms', film: { count: 2000, bytes: 100e3 }, latencyMs: 20, who: ALL, rounds: 3 },
  large: { title: '20 segments of 20 MB, at once', film: { count: 20, bytes: 20e6, seconds: 10, file: true }, latencyMs: 0, who: FAST, rounds: 3 },
  long: { title: '10,000 segments of 20 KB, 5 ms', film: { count: 10_000, bytes: 20e3 }, latencyMs: 5, who: FAST, rounds: 1 },
};

const asked = process.argv.slice(2).filter((word, at, all) => !word.startsWith('--') && all[at - 1] !== '--rounds');
const unknown = asked.filter((name) => !SCENARIOS[name]);
if (unknown.length) {
  console.error(`no scenario ${unknown.join(', ')}; there are ${Object.keys(SCENARIOS).join(' ')}`);
  process.exit(2);
}

const work = await workFolder(3e9);
const server = await segmentsServer();
const close = async () => {
  server.close();
  await work.remove();
};
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => close().finally(() => process.exit(130)));
try {
  console.log(await versions());
  console.log(`medians of alternating runs, every picture checked; results in ${work.parent}, load ${loadavg()[0].toFixed(2)} at the start`);
  for (const name of asked.length ? asked : Object.keys(SCENARIOS)) await scenario(name, SCENARIOS[name]);
} finally {
  await close();
}

async function scenario(name, { title, film: wanted, latencyMs, who, rounds }) {
  const folder = path.join(work.folder, name);
  const made = await film(folder, wanted);
  await server.begin({ folder, latencyMs });
  const contenders = [...who];
  // The same bytes as one file show what the segments cost.
  if (wanted.file) contenders.push({ ...weir, name: 'weir get, one file', url: `${server.url}/whole.mp4` });
  const runs = await alternate(option('rounds', rounds), contenders, async (contender) => {
    const out = path.join(work.folder, 'out');
    await rm(out, { recursive: true, force: true });
    await rm(path.join(work.folder, 'home'), { recursive: true, force: true });
    await mkdir(out);
    await server.seen();
    const [command, args] = contender.command({ url: contender.url ?? `${server.url}/list.m3u8`, folder: out });
    const environment = { ...process.env, WEIR_HOME: path.join(work.folder, 'home'), NO_PROXY: '127.0.0.1', no_proxy: '127.0.0.1' };
    const figures = await measured(path.join(work.folder, 'time'), command, args, { env: environment, own: true });
    const { requests, sent, mostAtOnce } = await server.seen();
    const there = await readdir(out);
    if (there.length !== 1) throw new Error(`${contender.name} left ${there.join(', ') || 'nothing'}`);
    const found = await pictures(path.join(out, there[0]));
    if (found !== made.hash) throw new Error(`${contender.name} brought other pictures: ${found} instead of ${made.hash}`);
    await rm(out, { recursive: true });
    return { ...figures, requests, sent, mostAtOnce };
  });
  await rm(folder, { recursive: true });
  const wall = (contender) => contender && runs.has(contender.name) && median(runs.get(contender.name).map((one) => one.wall));
  console.log(`\n${name}  ${title}: ${made.segments} segments, ${(made.total / MIB).toFixed(1)} MiB`);
  const ratio = (seconds, peer) => (wall(peer) ? (seconds / wall(peer)).toFixed(3) : '–');
  table([
    ['', 'runs', 'wall s', 'min', 'max', 'CPU s', 'own peak MiB', 'with children', 'requests', 'at once', 'sent MiB', '÷ yt-dlp -N 16', '÷ yt-dlp'],
    ...[...runs].map(([who_, figures]) => {
      const of = (figure) => median(figures.map((one) => one[figure]));
      const walls = figures.map((one) => one.wall);
      return [
        who_, figures.length, ...[of('wall'), Math.min(...walls), Math.max(...walls)].map((seconds) => seconds.toFixed(3)), of('cpu').toFixed(2),
        (of('own') / MIB).toFixed(1), (of('rss') / MIB).toFixed(1), of('requests'), of('mostAtOnce'), (of('sent') / MIB).toFixed(1),
        ratio(of('wall'), ytDlp16), ratio(of('wall'), ytDlpAsIs),
      ];
    }),
  ]);
}
