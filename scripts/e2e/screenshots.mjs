// The pictures of the README: popup and page, in both themes, empty and full. Run by hand:
//
//   node scripts/e2e/screenshots.mjs [FOLDER]
//
// Everything in them is real: a site on loopback, a daemon, downloads in every state.

import { mkdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { completed, found, openPage, row } from './journey.mjs';
import { Machine } from './machine.mjs';
import { mediaFolder } from './media.mjs';
import { startSite } from './site.mjs';

const LARGEST = 140_000;
const folder = process.argv[2] || path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../docs');
await mkdir(folder, { recursive: true });

const site = await startSite(await mediaFolder());
const machine = await Machine.make();
try {
  await machine.browse();
  await shootAll();
} finally {
  await machine.close();
  await site.close();
}

async function shootAll() {
  const nothing = await machine.open(`${site.origin}/none.html`);
  const empty = await machine.popup(nothing.tab);
  // Shown as soon as it opens, of use once the daemon has answered.
  await empty.getByRole('button', { name: 'All downloads', disabled: false }).waitFor();
  await shoot(empty, 'popup-empty', { width: 400, height: 320 });
  const page = await openPage(machine, empty);
  await page.getByText('Nothing downloaded yet').waitFor();
  await shoot(page, 'page-empty', { width: 1000, height: 560 });
  await empty.close();

  await fill();
  const { tab } = await machine.open(`${site.origin}/live.html`);
  await found(machine, tab);
  const popup = await machine.popup(tab);
  await popup.getByRole('button', { name: /^Record / }).waitFor();
  await popup.getByRole('combobox', { name: /^Quality of / }).waitFor();
  await popup.getByRole('progressbar').first().waitFor();
  await shoot(popup, 'popup', { width: 400, height: 600 });
  await page.getByRole('progressbar').first().waitFor();
  await page.getByRole('button', { name: /^Stop and keep / }).waitFor();
  await shoot(page, 'page', { width: 1000, height: 885 });
  await page.getByRole('button', { name: 'Details of River survey, part 2.mp4' }).click();
  await page.getByRole('img', { name: /^Map of the file: \d/ }).waitFor();
  // Narrow enough that the picture is the dialog and little else.
  await shoot(page, 'page-details', { width: 640, height: 540 });
}

/** Downloads in every state, newest last. */
async function fill() {
  const add = async (url, more) => (await machine.api('POST', '/download', { url: site.origin + url, page_url: `${site.origin}/`, ...more })).body;
  const whole = async (url, more) => completed(machine, (await add(url, more)).id);
  await whole('/media/clip.mp4', { filename: 'Weirs of the upper Thames.mp4' });
  await whole('/media/dash/manifest.mpd', { title: 'Fish ladders, explained', quality: '360p' });
  site.lose('180p/segment-007');
  await whole('/media/hls/master.m3u8', { title: 'Night walk along the river', quality: '180p', holes: true });
  const gap = await add('/media/hls/master.m3u8', { title: 'A concert by the water', quality: '180p' });
  await row(machine, (one) => one.id === gap.id && one.status === 'error');
  site.lose();
  const locked = await add('/drm/master.m3u8', { title: 'A film under lock and key' });
  await row(machine, (one) => one.id === locked.id && one.status === 'error');
  const later = await add('/slow-90000/media/clip.mp4', { filename: 'Later tonight.mp4' });
  await row(machine, (one) => one.id === later.id && one.progress > 12);
  await machine.api('POST', `/download/${later.id}/pause`);
  const tonight = new Date();
  tonight.setHours(23, 0, 0, 0);
  if (tonight < new Date()) tonight.setDate(tonight.getDate() + 1);
  await add('/media/clip.mp4?gauges', { filename: 'Gauge readings, 1990–2025.zip', start_at: tonight.toISOString().replace('.000', '') });
  const file = await add('/slow-30000/media/clip.mp4', { filename: 'River survey, part 2.mp4', category: 'Field work', connections: 8 });
  // By another address than the page plays, whose card then offers to record it.
  const live = await add('/slow-900000/live/hls/master.m3u8', { title: 'The weir by night, live', quality: '360p' });
  await row(machine, (now) => now.id === live.id && now.recorded_s >= 3);
  await row(machine, (now) => now.id === file.id && now.progress > 8);
}

async function shoot(page, name, viewport) {
  await page.bringToFront();
  await page.setViewportSize(viewport);
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    // What is listed is what is measured, and that takes a frame.
    await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
    const file = path.join(folder, `${name}-${colorScheme}.png`);
    await page.screenshot({ path: file, scale: 'css' });
    const { size } = await stat(file);
    console.log(`${file} ${(size / 1000).toFixed(1)} kB`);
    if (size > LARGEST) throw new Error(`${file} is larger than ${LARGEST} bytes`);
  }
}
