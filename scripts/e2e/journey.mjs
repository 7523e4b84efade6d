// What a person does with Weir, step by step, by the names a screen reader would read.
//
// Used by the tests and by the demo. Never reaches into the extension's insides.

import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { until } from './machine.mjs';

/** Waits for the badge of a tab to say that something was found. */
export async function found(machine, tab, atLeast = 1) {
  return until(`a badge of ${atLeast} or more`, async () => {
    const text = await machine.badge(tab);
    return Number.parseInt(text, 10) >= atLeast && text;
  });
}

/** Names of the streams the popup offers. */
export async function offered(popup) {
  const buttons = popup.getByRole('button', { name: /^Download / });
  await buttons.first().waitFor();
  const names = await buttons.evaluateAll((all) => all.map((one) => one.getAttribute('aria-label') || one.textContent));
  return names.map((name) => name.trim().replace(/^Download /, ''));
}

/** The Download button of a stream. */
export const downloadButton = (popup, name) => popup.getByRole('button', { name: `Download ${name}`, exact: true });

/** The quality choice of a stream. */
export const qualityOf = (popup, name) => popup.getByRole('combobox', { name: `Quality of ${name}`, exact: true });

/** Waits until the daemon has a row that `matches`, and answers it. */
export async function row(machine, matches, { timeout = 20_000 } = {}) {
  let rows = [];
  try {
    return await until('the row', async () => {
      if (!(await machine.endpoint())) return null;
      rows = (await machine.api('GET', '/list').catch(() => null))?.body ?? rows;
      return rows.find(matches);
    }, { timeout });
  } catch (error) {
    const known = rows.map((one) => `${one.filename}: ${one.status} ${one.progress} ${one.error?.message ?? ''}`);
    throw new Error(`no download with ${matches} within ${timeout} ms, only [${known.join('; ')}]`, { cause: error });
  }
}

/** Waits until a download is whole. An error row is an error here. */
export async function completed(machine, id, options = { timeout: 60_000 }) {
  const done = await row(machine, (one) => one.id === id && ['completed', 'error', 'cancelled'].includes(one.status), options);
  if (done.status !== 'completed') throw new Error(`${done.filename}: ${done.status}: ${JSON.stringify(done.error)}`);
  return done;
}

/** Values a progress bar shows until it is gone or full: distinct, in order. */
export async function watchBar(page, name, { timeout = 60_000 } = {}) {
  const bar = page.getByRole('progressbar', { name });
  const values = [];
  const filling = { toString: () => `the bar of ${name} to fill beyond ${values.join(', ') || 'nothing'}` };
  await until(filling, async () => {
    const now = await bar.first().getAttribute('aria-valuenow', { timeout: 500 }).catch(() => undefined);
    if (now === undefined) return values.length > 0;
    if (now !== null && values.at(-1) !== Number(now)) values.push(Number(now));
    return values.at(-1) === 100;
  }, { timeout, every: 100 });
  return values;
}

/** Presses the popup's button to the companion page and answers the tab it opens, past the login. */
export async function openPage(machine, popup) {
  const opening = machine.context.waitForEvent('page', { predicate: (page) => !page.url().startsWith('chrome') });
  await popup.getByRole('button', { name: PAGE_BUTTON }).click();
  const page = await opening;
  await page.waitForLoadState();
  return page;
}

/** The popup's button to the companion page. */
export const PAGE_BUTTON = 'All downloads';

/** Files in the download folder. */
export async function files(machine) {
  const names = await readdir(machine.folders.downloads);
  return names.map((name) => path.join(machine.folders.downloads, name));
}
