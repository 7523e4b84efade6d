// Streams that are more than a list of segments: DASH, live, and such as have lost a part.

import assert from 'node:assert/strict';
import path from 'node:path';
import { completed, downloadButton, files, found, offered, openPage, qualityOf, row } from './journey.mjs';
import { probe, SECONDS } from './media.mjs';
import { scenario } from './scenario.mjs';

const near = (seconds) => assert.ok(Math.abs(seconds - SECONDS) <= 0.2, `${seconds} s instead of ${SECONDS} s`);

/** The list item of a file on the companion page. */
const item = (page, name) => page.getByRole('listitem').filter({ has: page.getByRole('button', { name: `Details of ${name}`, exact: true }) });

scenario('a DASH stream is one card, and one click brings it home', {}, async ({ machine, site }) => {
  const { page: player, tab } = await machine.open(`${site.origin}/dash.html`);
  await player.getByText('playing').waitFor();
  await found(machine, tab);
  const popup = await machine.popup(tab);
  assert.deepEqual(await offered(popup), ['A lecture in DASH'], 'its segments are no cards');
  // The daemon reads the manifest for the popup.
  const quality = qualityOf(popup, 'A lecture in DASH');
  await quality.waitFor();
  const choices = await quality.locator('option').allTextContents();
  assert.ok(/360p/.test(choices[0]) && /180p/.test(choices[1]), choices.join());
  await downloadButton(popup, 'A lecture in DASH').click();

  const started = await row(machine, (one) => one.kind === 'dash');
  const done = await completed(machine, started.id);
  assert.equal(done.filename, 'A lecture in DASH.mp4');
  const facts = await probe(done.path);
  near(facts.seconds);
  assert.deepEqual([facts.height, facts.video, facts.audio], [360, 1, 1]);
  assert.deepEqual(await files(machine), [done.path], 'one file, no leftovers');
  await popup.getByRole('button', { name: `Open ${done.filename}` }).waitFor();
});

scenario('a live stream is recorded, stopped and kept', {}, async ({ machine, site }) => {
  const { tab } = await machine.open(`${site.origin}/live.html`);
  await found(machine, tab);
  const popup = await machine.popup(tab);
  const record = popup.getByRole('button', { name: 'Record The river, live', exact: true });
  await record.focus();
  await popup.keyboard.press('Enter');
  const started = await row(machine, (one) => one.live && one.recorded_s >= 2);
  const downloads = popup.getByRole('region', { name: 'Downloads' });
  await downloads.getByText(/Recording\s0:00:\d\d/).waitFor();
  assert.equal(await downloads.getByRole('progressbar').count(), 0, 'nobody knows how much is to come');

  const page = await openPage(machine, popup);
  const line = item(page, started.filename);
  await line.getByText(/Recording\s0:00:\d\d/).waitFor();
  assert.ok(!(await line.innerText()).includes('%'));
  const stop = page.getByRole('button', { name: `Stop and keep ${started.filename}`, exact: true });
  await stop.focus();
  await page.keyboard.press('Enter');
  const done = await completed(machine, started.id);
  assert.equal(done.lacks, null);
  const facts = await probe(done.path);
  assert.ok(facts.seconds >= 2 && facts.seconds < 60, `${facts.seconds} s`);
  assert.deepEqual([facts.video, facts.audio], [1, 1]);
  assert.deepEqual(await files(machine), [done.path], 'one file, no leftovers');
  await page.getByRole('button', { name: `Open ${done.filename}` }).waitFor();
});

scenario('of a stream that lost a segment what is there can be kept', {}, async ({ machine, site }) => {
  site.lose('360p/segment-007');
  const { tab } = await machine.open(`${site.origin}/talk.html`);
  await found(machine, tab);
  const popup = await machine.popup(tab);
  const [name] = await offered(popup);
  await downloadButton(popup, name).click();
  const failed = await row(machine, (one) => one.status === 'error');
  assert.deepEqual([failed.error.code, failed.error.action], ['segment_missing', 'keep_partial']);
  await popup.getByRole('button', { name: `Retry ${failed.filename}` }).waitFor();
  const keep = `Keep what is there of ${failed.filename}`;
  await popup.getByRole('button', { name: keep, exact: true }).waitFor();

  const page = await openPage(machine, popup);
  const button = page.getByRole('button', { name: keep, exact: true });
  await button.focus();
  await page.keyboard.press('Enter');
  const done = await row(machine, (one) => one.id === failed.id && one.status === 'completed', { timeout: 60_000 });
  assert.equal(path.basename(done.path), `${name} (partial).mp4`);
  assert.ok(done.lacks, 'it is told what is missing');
  const { seconds } = await probe(done.path);
  assert.ok(seconds > SECONDS - 2.5 && seconds < SECONDS + 0.2, `${seconds} s`);
  await item(page, done.filename).getByText(done.lacks).waitFor();
  await item(page, done.filename).getByText(/Partial/).first().waitFor();
});
