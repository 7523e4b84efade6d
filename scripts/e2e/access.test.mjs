// Accessibility by rule: nothing serious or critical on any view, in either theme, empty and full.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { downloadButton, found, offered, openPage, row } from './journey.mjs';
import { scenario } from './scenario.mjs';
import { everyState, settled } from './states.mjs';

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

/** What a row says is all to be read: nothing is cut off below, and no row stands on another. */
async function whole(page, what) {
  const cut = await page.evaluate(() => {
    const rows = [...document.querySelectorAll('.rows > li')];
    return rows.flatMap((item, index) => {
      const row = item.querySelector('.row').getBoundingClientRect();
      const next = rows[index + 1]?.getBoundingClientRect();
      const name = item.querySelector('.row-name').textContent;
      const notes = [...item.querySelectorAll('.note p, .facts')].filter((one) => one.scrollWidth > one.clientWidth
        || one.scrollHeight > one.clientHeight + 1 || one.getBoundingClientRect().bottom > row.bottom);
      const above = next && item.parentElement === rows[index + 1].parentElement && next.top < row.bottom - 0.5;
      return [...notes.map((one) => `${name}: ${one.textContent}`), ...(above ? [`${name} lies over the next`] : [])];
    });
  });
  assert.deepEqual(cut, [], what);
}

scenario('no serious finding in a row of any state, and none is cut off', {}, async ({ machine, site }) => {
  const first = await machine.popup((await machine.open(`${site.origin}/none.html`)).tab);
  const page = await openPage(machine, first);
  await page.getByText('Nothing downloaded yet').waitFor();
  const { names, still } = await everyState(machine, site);
  const { tab } = await machine.open(`${site.origin}/live.html`);
  await found(machine, tab);
  const popup = await machine.popup(tab);
  for (const one of [page, popup]) {
    await still(one);
    await one.reload();
  }
  await popup.getByRole('button', { name: /^Record / }).waitFor();
  // What the rules judge does not depend on the width; what fits does.
  for (const width of [320, 400]) {
    await popup.setViewportSize({ width, height: 600 });
    await settled(popup, names.lost);
    await fits(popup, `popup with every state, ${width} px`);
    await whole(popup, `popup with every state, ${width} px`);
  }
  await check(popup, 'popup with every state');
  for (const width of [320, 360, 480, 768, 1280]) {
    // As high as all rows: those out of sight are not in the document.
    await page.setViewportSize({ width, height: 2400 });
    for (const name of Object.values(names)) await page.getByText(name, { exact: true }).first().waitFor();
    await fits(page, `page with every state, ${width} px`);
    await whole(page, `page with every state, ${width} px`);
  }
  await check(page, 'page with every state');
  await page.getByRole('progressbar', { name: names.finishing }).waitFor();
  const locked = page.getByRole('listitem').filter({ hasText: names.locked });
  await locked.getByText(/^The stream is protected by Widevine\. Trying again would change nothing\.$/).waitFor();
  const offered = await locked.getByRole('button').evaluateAll((all) => all.filter((one) => !one.hidden).map((one) => one.getAttribute('aria-label')));
  assert.deepEqual(offered, [`Details of ${names.locked}`, `Copy link of ${names.locked}`, `Remove ${names.locked}`]);
  await popup.getByRole('button', { name: `Remove ${names.locked}` }).waitFor();
  assert.equal(await popup.getByRole('button', { name: `Retry ${names.locked}` }).count(), 0);
  for (const row of [locked, popup.getByRole('listitem').filter({ hasText: names.gone })]) {
    assert.match(await row.innerText(), /Failed[^]*127\.0\.0\.1/, 'where it came from');
    assert.match(await row.innerText(), /\d:\d\d/, 'and when it failed');
  }
  await page.getByRole('button', { name: `Details of ${names.locked}` }).click();
  await page.getByRole('dialog').getByText('Failed', { exact: true }).first().waitFor();
  await check(page, 'details of what failed');
  await page.keyboard.press('Escape');
  for (const [name, words] of [[names.locked, 'Remove'], [names.file, 'With file']]) {
    await page.getByRole('button', { name: `Remove ${name}` }).click();
    await page.getByRole('dialog').getByRole('button', { name: words, exact: true }).waitFor();
    await page.keyboard.press('Escape');
  }
  // The daemon goes: what is shown is marked as old.
  await machine.stopDaemon();
  await page.getByRole('alert').getByText('was lost').waitFor();
  await check(page, 'page that lost its daemon');
});

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
