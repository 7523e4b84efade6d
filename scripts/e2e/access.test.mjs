// Accessibility by rule: nothing serious or critical on any view, in either theme, empty and full.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { downloadButton, found, offered, openPage, row } from './journey.mjs';
import { scenario } from './scenario.mjs';

const AXE = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** Runs axe on what a tab shows now, in both themes. */
async function check(page, what) {
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme });
    // Colours fade from one theme to the other; halfway they are nobody's choice.
    await page.evaluate(() => Promise.allSettled(document.getAnimations()
      .filter((one) => one.effect?.getComputedTiming().endTime !== Infinity)
      .map((one) => one.finished)));
    await page.evaluate(AXE);
    const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
    const grave = violations
      .filter((one) => ['serious', 'critical'].includes(one.impact))
      .map((one) => `${one.id} (${one.impact}): ${one.nodes.map((node) => `${node.target}: ${node.failureSummary}`).join('; ')}`);
    assert.deepEqual(grave, [], `${what}, ${colorScheme}`);
    await fits(page, `${what}, ${colorScheme}`);
  }
}

/** Nothing sticks out to the right. */
async function fits(page, what) {
  const { wide, room } = await page.evaluate(() => ({
    wide: document.documentElement.scrollWidth,
    room: document.documentElement.clientWidth,
  }));
  assert.ok(wide <= room, `${what} is ${wide} px wide in ${room} px`);
}

scenario('no serious finding in popup and page, empty', {}, async ({ machine, site }) => {
  const { tab } = await machine.open(`${site.origin}/none.html`);
  const popup = await machine.popup(tab);
  await popup.getByRole('button', { name: 'All downloads' }).waitFor();
  await check(popup, 'empty popup');
  const page = await openPage(machine, popup);
  await page.getByText('Nothing downloaded yet').waitFor();
  await check(page, 'empty page');
  const { url } = await machine.endpoint();
  await machine.context.clearCookies();
  await page.goto(url);
  await page.getByText('weir open').first().waitFor();
  await check(page, 'page without a session');
});

scenario('no serious finding in a popup without the host', { installed: false }, async ({ machine, site }) => {
  const { tab } = await machine.open(`${site.origin}/talk.html`);
  await found(machine, tab);
  const popup = await machine.popup(tab);
  await popup.getByRole('button', { name: 'Recheck' }).waitFor();
  await check(popup, 'popup without the host');
});

scenario('no serious finding in popup and page, full', {}, async ({ machine, site }) => {
  const { tab } = await machine.open(`${site.origin}/slow-10000/talk.html`);
  await found(machine, tab);
  const popup = await machine.popup(tab);
  const [name] = await offered(popup);
  await downloadButton(popup, name).click();
  const running = await row(machine, (one) => one.status === 'downloading' && one.progress > 0);
  const add = (path, more) => machine.api('POST', '/download', { url: `${site.origin}${path}`, ...more });
  await add('/media/clip.mp4');
  await add('/media/missing.mp4');
  await add('/slow-20000/media/clip.mp4', { paused: true, filename: 'a very long name that must not push anything out of sight '.repeat(3) + '.mp4' });
  await add('/media/clip.mp4?later', { filename: 'later.mp4', category: 'Lectures', start_at: '2999-01-01T00:00:00Z' });
  await add('/media/clip.mp4?much', { filename: 'much later.mp4', start_at: '2999-01-02T00:00:00Z' });
  const file = (await add('/slow-8000/media/clip.mp4', { filename: 'map.mp4' })).body;
  await row(machine, (one) => one.id === file.id && one.progress > 0);
  for (const status of ['completed', 'error', 'paused']) await row(machine, (one) => one.status === status);
  await popup.getByRole('progressbar', { name: running.filename }).waitFor();
  await check(popup, 'full popup');

  const page = await openPage(machine, popup);
  await page.getByRole('progressbar', { name: running.filename }).waitFor();
  await check(page, 'full page');
  await page.setViewportSize({ width: 320, height: 700 });
  await check(page, 'full page, 320 px');
  await page.setViewportSize({ width: 1000, height: 800 });
  await page.getByRole('button', { name: 'Add download' }).click();
  await check(page, 'page, adding');
  await page.keyboard.press('Escape');

  for (const [width, forcedColors] of [[1000, 'none'], [320, 'none'], [1000, 'active']]) {
    await page.setViewportSize({ width, height: 800 });
    await page.emulateMedia({ forcedColors });
    const where = `${width} px, forced colours ${forcedColors}`;
    await page.getByRole('button', { name: 'Details of map.mp4' }).click();
    await page.getByRole('img', { name: /^Map of the file: / }).waitFor();
    await check(page, `page, details, ${where}`);
    await page.keyboard.press('Escape');
    await page.getByRole('button', { name: 'Details of later.mp4' }).click();
    await page.getByRole('button', { name: 'Move later.mp4 to the end' }).waitFor();
    await check(page, `page, details of what waits, ${where}`);
    await page.keyboard.press('Escape');
    await page.getByRole('button', { name: /^Speed/ }).click();
    await page.getByRole('dialog', { name: 'Speed' }).waitFor();
    await check(page, `page, speed, ${where}`);
    await page.keyboard.press('Escape');
  }
});
