// How quick it feels. Figures are reported, never judged: the machine decides them as much as the code does.

import assert from 'node:assert/strict';
import { found } from './journey.mjs';
import { EXTENSION_ID, until } from './machine.mjs';
import { scenario } from './scenario.mjs';

const ROWS = 500;

scenario('popup and page with 500 downloads', {}, async ({ machine, site, report }) => {
  const { tab } = await machine.open(`${site.origin}/talk.html`);
  await found(machine, tab);
  const first = await machine.popup(tab);
  await until('the daemon', () => machine.endpoint());
  await first.close();
  const add = (number) => machine.api('POST', '/download', {
    url: `${site.origin}/media/clip.mp4?${number}`, filename: `row ${number}.mp4`, paused: true,
  });
  for (let number = 0; number < ROWS; number += 1) assert.equal((await add(number)).status, 201);

  const runs = [];
  for (let round = 0; round < 5; round += 1) {
    // Added just before: no cache of an earlier popup can know it.
    const name = `live ${round}.mp4`;
    await machine.api('POST', '/download', { url: `${site.origin}/media/clip.mp4?live${round}`, filename: name, paused: true });
    const popup = await machine.context.newPage();
    await popup.addInitScript((wanted) => {
      const look = () => {
        if (window.liveAt || !document.body?.textContent.includes(wanted)) return;
        window.liveAt = performance.now();
      };
      new MutationObserver(look).observe(document, { childList: true, subtree: true, characterData: true });
    }, name);
    await popup.goto(`chrome-extension://${EXTENSION_ID}/popup.html?tab=${tab}`);
    const live = await until('live data in the popup', () => popup.evaluate(() => window.liveAt));
    const paint = await popup.evaluate(() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime);
    runs.push({ paint, live });
    await popup.close();
  }
  const middle = (figure) => Math.round(runs.map((run) => run[figure]).sort((a, b) => a - b)[2]);
  report(`popup: first paint ${middle('paint')} ms (budget 100), live data ${middle('live')} ms (budget 300), ${ROWS} downloads, median of 5`);
});

scenario('a sleeping worker wakes and stores what it saw', {}, async ({ machine, site, report }) => {
  const { page, tab } = await machine.open(`${site.origin}/none.html`);
  const once = async () => {
    await machine.inExtension(() => {
      globalThis.storedAt = null;
      if (globalThis.watching) return;
      globalThis.watching = true;
      chrome.storage.session.onChanged.addListener((changes) => {
        const now = Object.entries(changes).some(([key, { newValue }]) => key.startsWith('tab:') && newValue?.streams?.length);
        if (now) globalThis.storedAt ??= Date.now();
      });
    });
    // Counted from the click that leads to the page, whose request is what wakes the worker.
    const at = Date.now();
    await page.goto(`${site.origin}/clip.html`);
    const stored = await until('the stream to be stored', () => machine.inExtension(() => globalThis.storedAt));
    await found(machine, tab);
    await page.goto(`${site.origin}/none.html`);
    await until('the badge to empty', async () => (await machine.badge(tab)) === '');
    return stored - at;
  };
  const cold = [];
  const warm = [];
  const ready = [];
  for (let round = 0; round < 5; round += 1) {
    await machine.stopWorker();
    cold.push(await once());
    // Noted by the worker itself: from its first line to Wasm running with everything stored loaded.
    ready.push(await machine.inWorker("performance.getEntriesByName('weir-ready')[0].duration"));
    warm.push(await once());
  }
  const middle = (values) => values.sort((a, b) => a - b)[2];
  assert.ok(ready.every(Number.isFinite), ready.join());
  report(`worker: awake to ready ${Math.round(middle(ready))} ms (budget 60), median of 5`);
  report(`click to stored stream: ${middle(cold)} ms from a stopped worker, ${middle(warm)} ms from a running one, median of 5`);
});
