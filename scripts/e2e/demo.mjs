// The main job, shown: a demo site on loopback, Chromium with the extension, a stream caught and brought home.
//
// With a display, a person does it and this only sets the stage. With --headless it happens unattended, step by step,
// and the exit status tells whether every step held. Uses a home, a profile and a download folder of its own.

import { spawn } from 'node:child_process';
import { mkdir, rm, stat } from 'node:fs/promises';
import { createServer } from 'node:net';
import { homedir } from 'node:os';
import path from 'node:path';
import { completed, downloadButton, found, offered, openPage, qualityOf, row } from './journey.mjs';
import { chromiumArgs, Machine, until } from './machine.mjs';
import { mediaFolder, probe } from './media.mjs';
import { startSite } from './site.mjs';

const DEFAULT_PORT = 8765;
const headless = process.argv.includes('--headless');
const asked = process.argv.indexOf('--port');

const say = (text) => console.log(text);
let steps = 0;
const step = (text) => say(`${(steps += 1)}. ${text}`);

const folder = path.join(process.env.XDG_CACHE_HOME || path.join(homedir(), '.cache'), 'weir-demo', 'machine');
const port = asked < 0 ? ((await isFree(DEFAULT_PORT)) ? DEFAULT_PORT : 0) : Number(process.argv[asked + 1]);
if (!Number.isInteger(port) || port < 0 || port > 65535) {
  console.error('--port needs a number from 0 to 65535');
  process.exit(2);
}

const machine = await fresh();
const media = await mediaFolder();
const site = await startSite(media);
for (const [signal, code] of [['SIGINT', 130], ['SIGTERM', 143], ['SIGHUP', 129]]) {
  process.once(signal, () => cleanUp().finally(() => process.exit(code)));
}
let failed = false;
try {
  await (headless ? perform() : setTheStage());
} catch (error) {
  failed = true;
  console.error(`FAILED after step ${steps}: ${error.message}`);
} finally {
  await cleanUp();
}
process.exit(failed ? 1 : 0);

/** A machine in the demo's own folder, emptied of an earlier demo. */
async function fresh() {
  const earlier = new Machine();
  earlier.folders = { home: path.join(folder, 'home') };
  await earlier.stopDaemon();
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  return Machine.make({ keep: folder, port });
}

async function cleanUp() {
  // With a display the daemon stays: the page it serves is still open somewhere.
  if (headless) await machine.close();
  else await machine.context?.close();
  await site.close();
}

async function perform() {
  step(`Demo site on ${site.origin} (an HLS stream in two qualities, and a plain file)`);
  await machine.browse();
  // Slow enough to be watched: 60 kB/s for each segment.
  const address = `${site.origin}/slow-60000/talk.html`;
  const { tab } = await machine.open(address);
  step(`Chromium, with the extension, opened ${address}`);

  const badge = await found(machine, tab);
  step(`The extension detected it: the badge says ${badge}`);

  const popup = await machine.popup(tab);
  const [name] = await offered(popup);
  const qualities = await qualityOf(popup, name).locator('option').allTextContents();
  step(`The popup offers “${name}” in ${qualities.map((one) => one.trim()).join(', ')}`);

  await downloadButton(popup, name).click();
  const started = await row(machine, (one) => one.kind === 'hls');
  step(`Clicked “Download ${name}”: download ${started.id}, ${started.filename}`);

  const bar = popup.getByRole('progressbar', { name: started.filename });
  let last = '';
  let printed = 0;
  const done = await until('the download to end', async () => {
    const shown = await bar.getAttribute('aria-valuetext', { timeout: 200 }).catch(() => last);
    if (shown && shown !== last && Date.now() > printed + 900) {
      last = shown;
      printed = Date.now();
      say(`     ${shown}`);
    }
    const { body } = await machine.api('GET', `/download/${started.id}`);
    return ['completed', 'error', 'cancelled'].includes(body.status) && body;
  }, { timeout: 120_000, every: 100 });
  await completed(machine, done.id);
  await popup.getByRole('button', { name: `Open ${done.filename}` }).waitFor();
  step(`Completed: ${(await stat(done.path)).size} bytes, and the popup offers to open it`);

  const source = await probe(path.join(media, 'hls/360p/index.m3u8'));
  const facts = await probe(done.path);
  const apart = Math.abs(facts.seconds - source.seconds);
  if (apart > 0.2) throw new Error(`the file plays ${facts.seconds} s, the source ${source.seconds} s`);
  step(`ffprobe: ${facts.seconds.toFixed(2)} s, the source ${source.seconds.toFixed(2)} s; ${facts.height}p, ${facts.video} video and ${facts.audio} audio stream`);

  const page = await openPage(machine, popup);
  await page.getByRole('list', { name: 'Downloads' }).getByText(done.filename).waitFor();
  step('The companion page lists it in the history');

  say('');
  say(`File  ${done.path}`);
  say('The demo and its daemon end now; the file and the history stay.');
  say(`To see them in the companion page: WEIR_HOME=${machine.folders.home} ${machine.weir} open`);
}

async function setTheStage() {
  const address = `${site.origin}/`;
  const browser = spawn(process.env.CHROMIUM || 'chromium', [
    ...chromiumArgs({ headless: false }),
    `--user-data-dir=${machine.folders.profile}`,
    `${site.origin}/slow-60000/talk.html`,
  ], { env: machine.env, stdio: 'ignore' });
  const closed = new Promise((resolve, reject) => browser.once('error', reject).once('exit', resolve));
  say(`Demo site   ${address}`);
  say(`Downloads   ${machine.folders.downloads}`);
  say(`
Chromium opened a page with a stream, in a profile of its own with Weir loaded.
  1. Click the puzzle piece in the toolbar, then Weir (pin it to see the number of streams found).
  2. Choose a quality and press Download.
  3. “All downloads” opens the history.

Close the browser (or press Ctrl-C) to end the demo.`);
  process.once('exit', () => browser.kill());
  await closed;
  const endpoint = await machine.endpoint();
  if (endpoint) {
    say(`\nThe daemon still runs: ${endpoint.url}/ (get in: WEIR_HOME=${machine.folders.home} ${machine.weir} open; end it: kill ${endpoint.pid})`);
  }
}

function isFree(wanted) {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(wanted, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
