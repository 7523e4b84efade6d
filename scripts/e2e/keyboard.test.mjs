// Everything by keyboard: each action is reached, the focus is seen, and it is never lost to a row that changes or goes.

import assert from 'node:assert/strict';
import { openPage, row } from './journey.mjs';
import { until } from './machine.mjs';
import { scenario } from './scenario.mjs';
import { everyState, settled } from './states.mjs';

/** Accessible names of everything that can be operated now. */
const operable = (page) => page.evaluate(() => [...document.querySelectorAll('button, a[href], input, select')]
  .filter((one) => one.checkVisibility() && !one.disabled && !one.closest('dialog:not([open])'))
  .map((one) => window.nameOf(one)));

/** What has the focus, and whether it shows. */
const focused = (page) => page.evaluate(() => {
  const one = document.activeElement;
  const style = getComputedStyle(one);
  return {
    name: window.nameOf(one),
    tag: one.tagName,
    shows: style.outlineStyle !== 'none' || style.boxShadow !== 'none' || one.matches('.skip'),
    row: one.closest('.rows > li')?.querySelector('.row-name')?.textContent ?? null,
  };
});

const names = (page) => page.addInitScript(() => {
  window.nameOf = (one) => one?.getAttribute?.('aria-label') || one?.labels?.[0]?.textContent?.trim() || one?.textContent?.trim() || '';
});

async function press(page, name, key = 'Enter') {
  await page.getByRole('button', { name, exact: true }).focus();
  await page.keyboard.press(key);
}

const stays = (page, what, right) => until(what, async () => right(await focused(page))).catch(async (error) => {
  throw new Error(`${error.message}; it is on ${JSON.stringify(await focused(page))}`);
});

scenario('every action of every row is reached by Tab, and shows its focus', {}, async ({ machine, site }) => {
  const first = await machine.popup((await machine.open(`${site.origin}/none.html`)).tab);
  const page = await openPage(machine, first);
  await page.getByText('Nothing downloaded yet').waitFor();
  const { names: files, still } = await everyState(machine, site);
  const popup = await machine.popup((await machine.open(`${site.origin}/none.html`)).tab);
  for (const one of [page, popup]) {
    await names(one);
    await still(one);
    await one.reload();
    await one.bringToFront();
    await settled(one, files.lost);
    // What is painted first is the daemon's own word, before the frames that are rewritten.
    await one.getByRole('button', { name: `Pause ${files.finishing}`, exact: true }).waitFor({ state: 'hidden' });
    const wanted = await operable(one);
    const met = [];
    // Twice around, because the browser's own controls lie in between.
    for (let presses = 0; presses < wanted.length * 2 && !wanted.every((name) => met.includes(name)); presses += 1) {
      await one.keyboard.press('Tab');
      const now = await focused(one);
      if (now.tag !== 'BODY') assert.ok(now.shows, `${now.name} shows its focus`);
      met.push(now.name);
    }
    assert.deepEqual(wanted.filter((name) => !met.includes(name)), [], 'what Tab never came to');
  }
});

scenario('the focus stays where a row changes, and goes to a neighbour where it goes', {}, async ({ machine, site }) => {
  const first = await machine.popup((await machine.open(`${site.origin}/none.html`)).tab);
  const page = await openPage(machine, first);
  await page.getByText('Nothing downloaded yet').waitFor();
  await names(page);
  await page.reload();
  const add = async (number) => {
    const { body } = await machine.api('POST', '/download', { url: `${site.origin}/media/clip.mp4?${number}`, filename: `${number}.mp4`, paused: true });
    return body.id;
  };
  const ids = [];
  for (let number = 0; number < 6; number += 1) ids.push(await add(number));
  await settled(page, '5.mp4');
  await page.bringToFront();

  // The popup lists no cancelled ones: the row goes.
  const popup = await machine.popup((await machine.open(`${site.origin}/none.html`)).tab);
  await names(popup);
  await popup.reload();
  await settled(popup, '5.mp4');
  await popup.bringToFront();
  const extra = await add(6);
  await press(popup, 'Cancel 6.mp4');
  await row(machine, (one) => one.id === extra && one.status === 'cancelled');
  await stays(popup, 'the focus to go to the row below', (now) => now.row === '5.mp4');
  await machine.api('DELETE', `/download/${extra}`);
  await page.bringToFront();
  await page.getByText('6.mp4', { exact: true }).first().waitFor({ state: 'detached' });

  // The button that was pressed is hidden: another of the same row has the focus.
  await press(page, 'Cancel 4.mp4');
  await row(machine, (one) => one.id === ids[4] && one.status === 'cancelled');
  await stays(page, 'the focus to stay in the row', (now) => now.row === '4.mp4' && now.name === 'Retry 4.mp4');

  // Removed after a question, which gives the focus back to what is about to go.
  await press(page, 'Remove 3.mp4');
  const dialog = page.getByRole('dialog', { name: 'Remove 3.mp4?' });
  await dialog.getByText('what has arrived of it goes as well').waitFor();
  await page.keyboard.press('Tab');
  await stays(page, 'the focus to be in the dialog', (now) => now.name === 'Remove');
  await page.keyboard.press('Enter');
  await page.getByText('3.mp4', { exact: true }).first().waitFor({ state: 'detached' });
  await stays(page, 'the focus to go to the row below', (now) => now.row === '2.mp4');

  // Removed by somebody else, in the middle and at the end.
  await page.getByRole('button', { name: 'Copy link of 1.mp4', exact: true }).focus();
  await machine.api('DELETE', `/download/${ids[1]}`);
  await stays(page, 'the focus to go to the row below', (now) => now.row === '0.mp4');
  await machine.api('DELETE', `/download/${ids[0]}`);
  await stays(page, 'the focus to go to the row above', (now) => now.row === '2.mp4');

  // A list that the row leaves.
  await page.getByRole('button', { name: /^Paused/ }).click();
  await page.getByRole('button', { name: 'Resume 5.mp4', exact: true }).focus();
  await machine.api('POST', `/download/${ids[5]}/cancel`);
  await stays(page, 'the focus to go to the row that is left', (now) => now.row === '2.mp4');
  await machine.api('DELETE', `/download/${ids[2]}`);
  await page.getByText('No download is under “Paused”.').waitFor();
  await stays(page, 'the focus to go to the main part', (now) => now.tag === 'MAIN');

  // Where nothing has it, nothing takes it.
  await page.evaluate(() => document.activeElement.blur());
  await page.mouse.click(5, 5);
  await page.getByRole('button', { name: 'Show all downloads' }).waitFor();
  await machine.api('DELETE', `/download/${ids[5]}`);
  await page.getByRole('button', { name: /^Cancelled/ }).getByText('1').waitFor();
  await stays(page, 'the focus to be nowhere', (now) => now.tag === 'BODY');
});
