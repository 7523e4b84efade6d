// When the native side is missing, or dies in the middle.

import assert from 'node:assert/strict';
import { completed, downloadButton, found, offered, openPage, qualityOf, row } from './journey.mjs';
import { until } from './machine.mjs';
import { probe, SECONDS } from './media.mjs';
import { freePort } from '../bench/measure.mjs';
import { scenario } from './scenario.mjs';

scenario('without the host, streams are shown and the way to get it', { installed: false }, async ({ machine, site }) => {
  const { tab } = await machine.open(`${site.origin}/talk.html`);
  await found(machine, tab);
  const popup = await machine.popup(tab);
  const trouble = popup.getByRole('region', { name: 'Weir’s program is not installed' });
  await trouble.waitFor();
  await trouble.getByText('./scripts/install.sh', { exact: true }).waitFor();
  // What was found is shown all the same, and what works without the host is offered.
  const name = /A talk about weirs/;
  await popup.getByRole('button', { name: /^Copy link of A talk about weirs/ }).waitFor();
  assert.equal(await popup.getByRole('button', { name: /^Download / }).count(), 0);

  // Still missing: the answer is visible, not silence.
  const recheck = popup.getByRole('button', { name: 'Recheck' });
  await popup.evaluate(() => {
    globalThis.said = [];
    new MutationObserver(() => globalThis.said.push(document.body.innerText)).observe(document.body, {
      childList: true, subtree: true, characterData: true,
    });
  });
  await recheck.click();
  await until('an answer to Recheck', () => popup.evaluate(() => globalThis.said.some((text) => text.includes('Checking…'))
    && /Checked at/.test(document.body.innerText)));
  await trouble.waitFor();

  await machine.install();
  await recheck.click();
  await trouble.waitFor({ state: 'detached' });
  const [offer] = await offered(popup);
  assert.match(offer, name);
  await downloadButton(popup, offer).click();
  const started = await row(machine, (one) => one.kind === 'hls');
  await completed(machine, started.id);
});

// The page's address must still be right after the restart, so this machine has a port of its own.
const port = await freePort();
scenario('a daemon killed in the middle of a download is recovered from by popup and page', { port }, async ({ machine, site, report }) => {
  const { tab } = await machine.open(`${site.origin}/slow-12000/talk.html`);
  await found(machine, tab);
  const popup = await machine.popup(tab);
  const [name] = await offered(popup);
  // The page's own slow requests may keep the worker from reading the playlist at its first look.
  await qualityOf(popup, name).waitFor({ timeout: 30_000 });
  const smallest = (await qualityOf(popup, name).locator('option').count()) - 1;
  await qualityOf(popup, name).selectOption({ index: smallest });
  await downloadButton(popup, name).click();
  const started = await row(machine, (one) => one.status === 'downloading' && one.progress > 5);
  const page = await openPage(machine, popup);
  await page.getByRole('progressbar', { name: started.filename }).waitFor();

  const views = { popup, page };
  for (const one of Object.values(views)) await one.evaluate(watchBanner);
  const old = await machine.stopDaemon('SIGKILL');
  const fresh = await until('a new daemon', async () => {
    const endpoint = await machine.endpoint();
    return endpoint && endpoint.pid !== old.pid && endpoint;
  }, { timeout: 20_000 });
  assert.equal(fresh.url, old.url);
  // It goes on by itself; what was there counts as soon as the journal has been read.
  await row(machine, (one) => one.id === started.id && one.status === 'downloading' && one.progress > 0);

  // Nobody touches popup or page: both say that the connection is lost, find the new daemon and go on.
  for (const [what, one] of Object.entries(views)) {
    const { lost, back } = await until(`the ${what} to reconnect`, () => one.evaluate(() => globalThis.banner.back && globalThis.banner), { timeout: 30_000 });
    report(`${what}: live again ${Math.round(back - lost)} ms after it noticed the kill -9`);
    const value = async () => Number(await one.getByRole('progressbar', { name: started.filename }).getAttribute('aria-valuenow', { timeout: 500 }).catch(() => NaN));
    const first = await until(`the bar of the ${what}`, value, { timeout: 20_000 });
    await until(`the ${what} to move on from ${first}`, async () => {
      const now = await value();
      return now > first || (await one.getByRole('button', { name: `Open ${started.filename}` }).isVisible());
    }, { timeout: 30_000 });
  }
  const done = await completed(machine, started.id, { timeout: 90_000 });
  const facts = await probe(done.path);
  assert.ok(Math.abs(facts.seconds - SECONDS) <= 0.2, `${facts.seconds} s`);
  for (const one of [popup, page]) await one.getByRole('button', { name: `Open ${done.filename}` }).waitFor();
});

/** In a page: notes when it says that it reconnects, and when it says so no more. */
function watchBanner() {
  globalThis.banner = { lost: null, back: null };
  new MutationObserver(() => {
    const shown = document.body.innerText.includes('Reconnecting');
    if (shown) globalThis.banner.lost ??= performance.now();
    else if (globalThis.banner.lost) globalThis.banner.back ??= performance.now();
  }).observe(document.body, { childList: true, subtree: true, characterData: true });
}
