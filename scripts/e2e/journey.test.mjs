// The whole path in real Chromium: detect, choose, click, watch, find the file and the history.

import assert from 'node:assert/strict';
import { completed, downloadButton, files, found, offered, openPage, qualityOf, row, watchBar } from './journey.mjs';
import { until } from './machine.mjs';
import { probe, SECONDS, sha256 } from './media.mjs';
import { scenario } from './scenario.mjs';

const near = (seconds) => assert.ok(Math.abs(seconds - SECONDS) <= 0.2, `${seconds} s instead of ${SECONDS} s`);

scenario('a stream is detected, chosen, downloaded and found in the history', {}, async ({ machine, site }) => {
  // 30 kB/s for each response: the 180p stream takes a few seconds, so its bar can be watched.
  const { tab } = await machine.open(`${site.origin}/slow-30000/talk.html`);
  await found(machine, tab);

  const popup = await machine.popup(tab);
  const [name] = await offered(popup);
  assert.match(name, /A talk about weirs/);
  const quality = qualityOf(popup, name);
  const choices = await quality.locator('option').allTextContents();
  assert.ok(choices.some((choice) => choice.includes('360p')) && choices.some((choice) => choice.includes('180p')), choices.join());
  await quality.selectOption({ label: choices.find((choice) => choice.includes('180p')) });
  await downloadButton(popup, name).click();

  const started = await row(machine, (one) => one.kind === 'hls');
  const seen = await watchBar(popup, started.filename);
  assert.ok(seen.length >= 3, `a bar that moves, not ${seen.join()}`);
  assert.deepEqual(seen, [...seen].sort((a, b) => a - b), 'a bar that only grows');

  const done = await completed(machine, started.id);
  const facts = await probe(done.path);
  near(facts.seconds);
  assert.equal(facts.height, 180, 'the quality that was chosen');
  assert.deepEqual([facts.video, facts.audio], [1, 1]);
  assert.deepEqual(await files(machine), [done.path], 'one file, no leftovers');
  await popup.getByRole('button', { name: `Open ${done.filename}` }).waitFor();

  const page = await openPage(machine, popup);
  const list = page.getByRole('list', { name: 'Downloads' });
  await list.getByText(done.filename).waitFor();
  assert.equal(new URL(page.url()).hash, '', 'the ticket is gone from the address');
  await page.reload();
  await list.getByText(done.filename).waitFor();
});

scenario('a plain file arrives byte for byte', {}, async ({ machine, site, media }) => {
  const { tab } = await machine.open(`${site.origin}/clip.html`);
  await found(machine, tab);
  const popup = await machine.popup(tab);
  assert.deepEqual(await offered(popup), ['clip.mp4']);
  await downloadButton(popup, 'clip.mp4').click();
  const started = await row(machine, (one) => one.kind === 'file');
  const done = await completed(machine, started.id);
  assert.equal(done.filename, 'clip.mp4');
  assert.equal(await sha256(done.path), await sha256(`${media}/clip.mp4`));
  assert.equal(done.page_url, `${site.origin}/clip.html`);
});

scenario('a worker killed between detection and click loses nothing', {}, async ({ machine, site }) => {
  // Media behind a cookie and a referer: what the browser sent must have survived the worker.
  const { page, tab } = await machine.open(`${site.origin}/locked.html`);
  await found(machine, tab);
  await page.getByText('playing').waitFor();
  await machine.stopWorker();

  const popup = await machine.popup(tab);
  const [name] = await offered(popup);
  await machine.stopWorker();
  await downloadButton(popup, name).click();
  const started = await row(machine, (one) => one.kind === 'hls');
  const done = await completed(machine, started.id);
  near((await probe(done.path)).seconds);

  const daemons = site.requests.filter((one) => one.path.startsWith('/locked/') && one.path.endsWith('.ts'));
  assert.ok(daemons.length >= 10 && daemons.every((one) => one.status === 200 || one.status === 206));
  // And the badge still counts for the next page.
  const next = await machine.open(`${site.origin}/clip.html`);
  await found(machine, next.tab);
});

scenario('a page without media offers nothing, and navigation forgets', {}, async ({ machine, site }) => {
  const { page, tab } = await machine.open(`${site.origin}/clip.html`);
  await found(machine, tab);
  await page.goto(`${site.origin}/none.html`);
  await until('the badge to empty', async () => (await machine.badge(tab)) === '');
  const popup = await machine.popup(tab);
  await popup.waitForLoadState();
  await popup.getByText('Nothing found yet').waitFor();
  // Where yt-dlp is installed, the page as a whole; the daemon, which the popup starts, says so.
  await popup.getByRole('button', { name: 'All downloads', disabled: false }).waitFor();
  const { sites } = (await machine.api('GET', '/settings')).body;
  assert.equal(await popup.getByRole('button', { name: /^Download / }).count(), sites ? 1 : 0);
});

scenario('the whole way by keyboard', {}, async ({ machine, site }) => {
  const { tab } = await machine.open(`${site.origin}/slow-15000/talk.html`);
  await found(machine, tab);
  const popup = await machine.popup(tab);
  const [name] = await offered(popup);
  await popup.bringToFront();

  await focus(popup, `Quality of ${name}`);
  await popup.keyboard.press('End');
  const chosen = await qualityOf(popup, name).evaluate((select) => select.selectedOptions[0].textContent);
  assert.match(chosen, /180p/, 'the last choice is the smallest');
  await focus(popup, `Download ${name}`);
  await popup.keyboard.press('Enter');

  const started = await row(machine, (one) => one.status === 'downloading');
  await focus(popup, `Pause ${started.filename}`);
  await popup.keyboard.press('Enter');
  await row(machine, (one) => one.status === 'paused');
  // The same place in the tab order goes on: focus is not lost to the top of the document.
  await until('focus to stay on the button', async () => (await focused(popup)) === `Resume ${started.filename}`);
  await popup.keyboard.press('Space');
  await row(machine, (one) => one.id === started.id && one.status !== 'paused');
  await focus(popup, `Cancel ${started.filename}`);
  await popup.keyboard.press('Enter');
  await row(machine, (one) => one.id === started.id && one.status === 'cancelled');
  assert.deepEqual(await files(machine), [], 'cancelling leaves nothing');
});

/** Accessible name of what has the focus. */
const focused = (page) => page.evaluate(() => {
  const own = document.activeElement;
  return own?.getAttribute('aria-label') || own?.labels?.[0]?.textContent?.trim() || own?.textContent?.trim() || '';
});

/** Presses Tab until `name` has the focus, and checks that it can be seen to have it. */
async function focus(page, name) {
  const passed = [];
  for (let presses = 0; presses < 60; presses += 1) {
    if ((await focused(page)) === name) {
      const outline = await page.evaluate(() => {
        const style = getComputedStyle(document.activeElement);
        return style.outlineStyle !== 'none' || style.boxShadow !== 'none';
      });
      assert.ok(outline, `${name} shows its focus`);
      return;
    }
    await page.keyboard.press('Tab');
    passed.push(await focused(page));
  }
  assert.fail(`Tab never came to ${name}, only to ${[...new Set(passed)].join(' | ')}`);
}
