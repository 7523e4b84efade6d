// What the scenarios share: folders, servers that end with the bench, one verified fetch, and the table of paced runs.

import { mkdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { measured, median, option, table, verify, workFolder } from '../measure.mjs';
import { nginx } from './nginx.mjs';
import { paced, sentTwice, story } from './paced.mjs';

const VERBOSE = process.argv.includes('--verbose');

/** `bytes` is what the sources and the results of all scenarios take at most at one time. */
export async function startBench(bytes) {
  const work = await workFolder(bytes);
  const closers = [];
  const folder = (name) => path.join(work.folder, name);
  const root = folder('root');
  await mkdir(root);
  let servers = 0;

  return {
    work,
    root,
    /** `--rounds`, or what this scenario does by itself. */
    rounds: (usual) => option('rounds', usual),

    async paced() {
      const server = await paced();
      closers.push(server.close);
      return server;
    },

    async nginx(directives, scheme) {
      servers += 1;
      const server = await nginx(folder(`nginx-${servers}`), root, directives, scheme);
      closers.push(server.close);
      return server;
    },

    /** What a program is started with: a home that knows nothing of earlier runs. */
    environment: () => ({ ...process.env, WEIR_HOME: folder('home'), NO_PROXY: '127.0.0.1', no_proxy: '127.0.0.1' }),

    /** An empty folder for results in `parent`, and no home yet. */
    async fresh(parent = work.folder) {
      const out = path.join(parent, 'out');
      await rm(out, { recursive: true, force: true });
      await rm(folder('home'), { recursive: true, force: true });
      await mkdir(out);
      return out;
    },

    /** One measured run of a command. */
    run: (command, args, more = {}) => measured(folder('time'), command, args, more),

    /** One measured run for one file, which is verified and removed. */
    async fetch(contender, url, expected, parent, environment) {
      const out = await this.fresh(parent);
      const name = 'result.bin';
      const [command, args] = contender.command({ url, folder: out, name });
      const figures = await this.run(command, args, { env: { ...this.environment(), ...environment } });
      await verify(path.join(out, name), expected, contender.name);
      await rm(out, { recursive: true });
      return figures;
    },

    /** What a paced server saw of the run that just ended. */
    async seen(server, contender) {
      const { connections, mostAtOnce, sent, answers } = await server.seen();
      if (VERBOSE) console.log(`  ${contender.name}:\n${story(answers)}`);
      return { connections, mostAtOnce, sent, twice: sentTwice(answers) };
    },

    async close() {
      for (const close of closers) close();
      await work.remove();
    },
  };
}

/** The table of runs against a paced server; `ideals` are columns of title and seconds. */
export function pacedTable(runs, ideals) {
  table([
    ['', ...SPREAD, ...Object.keys(ideals), 'connections', 'at once', 'sent twice KiB'],
    ...[...runs].map(([name, figures]) => {
      const of = (figure) => median(figures.map((one) => one[figure]));
      return [
        name, ...spread(figures), ...Object.values(ideals).map((ideal) => (of('wall') / ideal).toFixed(3)),
        of('connections'), of('mostAtOnce'), (of('twice') / 1024).toFixed(0),
      ];
    }),
  ]);
}

/** Titles of what `spread` answers. */
export const SPREAD = ['runs', 'wall s', 'min', 'max'];

/** How many runs there were; median, least and most of their wall times. */
export function spread(figures) {
  const walls = figures.map((one) => one.wall);
  return [figures.length, ...[median(walls), Math.min(...walls), Math.max(...walls)].map((seconds) => seconds.toFixed(3))];
}
