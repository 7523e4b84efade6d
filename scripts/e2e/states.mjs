// A queue and a history with a row in every state, all of them real: for looking at them, and for judging them by rule.

import { completed, row } from './journey.mjs';
import { until } from './machine.mjs';

/** Adds a download and answers its row. */
async function add(machine, url, more) {
  const { status, body } = await machine.api('POST', '/download', { url, ...more });
  if (status !== 201) throw new Error(`${url}: ${status} ${JSON.stringify(body)}`);
  return body;
}

/**
 * Fills the machine's queue. Answers the names by state, and `still(page)`, which keeps a page from ever hearing that the
 * row `finishing` is anything else. What runs goes on for some minutes.
 */
export async function everyState(machine, site) {
  const at = (path) => site.origin + path;
  const more = (filename, rest) => ({ filename, page_url: at('/'), ...rest });
  const names = {
    file: 'Weirs of the upper Thames.mp4',
    film: 'A lecture in DASH.mp4',
    partial: 'Night walk (partial).mp4',
    gone: 'A lecture that moved.mp4',
    locked: 'A film under lock and key.mp4',
    lost: 'A concert with a gap.mp4',
    cancelled: 'Not needed after all.mp4',
    paused: 'Later tonight.mp4',
    waits: 'Gauge readings, 1990–2025.zip',
    queued: 'Next in line.mp4',
    finishing: 'River survey, part 1.mp4',
    running: 'River survey, part 2.mp4',
    live: 'The river, live.mp4',
    long: `${'a very long name that must not push anything out of sight '.repeat(3)}.mp4`,
  };
  for (const one of [
    await add(machine, at('/media/clip.mp4'), more(names.file)),
    await add(machine, at('/media/dash/manifest.mpd'), more(names.film, { quality: '360p' })),
  ]) await completed(machine, one.id);

  const failed = async (path, filename, rest) => {
    const one = await add(machine, at(path), more(filename, rest));
    await row(machine, (now) => now.id === one.id && now.status === 'error');
  };
  await failed('/media/gone.mp4', names.gone);
  await failed('/drm/master.m3u8', names.locked);
  site.lose('180p/segment-007');
  await completed(machine, (await add(machine, at('/media/hls/master.m3u8'), more('Night walk.mp4', { quality: '180p', holes: true }))).id);
  await failed('/media/hls/master.m3u8', names.lost, { quality: '180p' });
  site.lose();

  const begun = async (path, filename, rest, share = 8) => {
    const one = await add(machine, at(path), more(filename, rest));
    return row(machine, (now) => now.id === one.id && (now.live ? now.recorded_s >= 1 : now.progress > share));
  };
  // Quick until something is there, then slow enough to be looked at.
  const lasting = async (path, filename, rest, share) => {
    const one = await begun(path, filename, rest, share);
    await machine.api('PATCH', `/download/${one.id}`, { rate_limit: 30_000 });
    return one;
  };
  const paused = await begun('/slow-60000/media/clip.mp4?6', names.paused);
  await machine.api('POST', `/download/${paused.id}/pause`);
  const cancelled = await add(machine, at('/media/clip.mp4?2'), more(names.cancelled, { paused: true }));
  await machine.api('POST', `/download/${cancelled.id}/cancel`);
  await add(machine, at('/media/clip.mp4?3'), more(names.long, { paused: true, category: 'Lectures' }));
  const tonight = new Date();
  tonight.setHours(23, 0, 0, 0);
  if (tonight.getTime() < Date.now() + 7_200_000) tonight.setDate(tonight.getDate() + 1);
  await add(machine, at('/media/clip.mp4?gauges'), more(names.waits, { start_at: tonight.toISOString().replace('.000', '') }));
  const finishing = await lasting('/slow-20000/media/clip.mp4?1', names.finishing, {}, 0);
  await lasting('/slow-20000/media/clip.mp4?5', names.running, { category: 'Field work', connections: 8 }, 8);
  await begun('/live/hls/master.m3u8', names.live, { quality: '360p', kind: 'hls' });
  // All places are taken.
  await add(machine, at('/media/clip.mp4?4'), more(names.queued));
  for (const status of ['paused', 'cancelled', 'queued']) await row(machine, (one) => one.status === status);

  // A state that is over too soon to be looked at: the frames are the daemon's own but for its name.
  const still = (page) => page.routeWebSocket(/\/ws$/, (socket) => {
    const server = socket.connectToServer();
    const held = (one) => (one.id === finishing.id ? { ...one, status: 'finishing', progress: 100, received_bytes: one.total_bytes, speed: 0, eta: null } : one);
    server.onMessage((text) => {
      const frame = JSON.parse(text);
      if (frame.type === 'progress' && frame.id === finishing.id) return;
      if (frame.download) frame.download = held(frame.download);
      if (frame.downloads) frame.downloads = frame.downloads.map(held);
      socket.send(JSON.stringify(frame));
    });
  });
  return { names, still };
}

/** Waits until what a page shows stands still: every row is there and no colour fades. */
export async function settled(page, name) {
  await page.getByText(name, { exact: true }).first().waitFor();
  await until('colours to settle', () => page.evaluate(() => document.getAnimations()
    .every((one) => one.effect?.getComputedTiming().endTime === Infinity || one.playState !== 'running')));
}
