// What the page shows of the queue and lets people do with it: the map of a file, rows that wait for their time, the
// order, limits.

import assert from 'node:assert/strict';
import { completed, openPage, row } from './journey.mjs';
import { until } from './machine.mjs';
import { scenario } from './scenario.mjs';

/** Opens the companion page of a fresh machine. */
async function companion(machine, site) {
  const popup = await machine.popup((await machine.open(`${site.origin}/none.html`)).tab);
  const page = await openPage(machine, popup);
  await page.getByText('Nothing downloaded yet').waitFor();
  await page.bringToFront();
  return page;
}

const add = async (machine, url, more) => {
  const { status, body } = await machine.api('POST', '/download', { url, ...more });
  assert.equal(status, 201, JSON.stringify(body));
  return body;
};

const settings = async (machine, patch) => {
  const { status, body } = await machine.api('PATCH', '/settings', patch);
  assert.equal(status, 200, JSON.stringify(body));
  return body;
};

/** The list item of a file. */
const item = (page, name) => page.getByRole('listitem').filter({ has: page.getByRole('button', { name: `Details of ${name}`, exact: true }) });

const said = (page, text) => until(`the live region to say ${text}`, async () => {
  const now = await page.getByRole('status').allTextContents();
  return now.some((one) => one.includes(text));
});

/** Presses a button without a mouse. */
async function press(page, name, key = 'Enter') {
  const button = page.getByRole('button', { name, exact: true });
  await button.focus();
  await page.keyboard.press(key);
  return button;
}

const share = (label) => Number(/(\d+) % on disk/.exec(label)?.[1] ?? 0);

scenario('the map of a file fills while it is looked at, and nobody is asked otherwise', {}, async ({ machine, site }) => {
  const page = await companion(machine, site);
  let asked = 0;
  page.on('request', (request) => { if (request.url().endsWith('/ranges')) asked += 1; });
  const file = await add(machine, `${site.origin}/slow-40000/media/clip.mp4?token=abcdef`, { filename: 'Survey.mp4', connections: 4 });
  await row(machine, (one) => one.id === file.id && one.progress > 5);
  assert.equal(asked, 0, 'no map is asked for before the details are open');

  await press(page, 'Details of Survey.mp4');
  const dialog = page.getByRole('dialog', { name: 'Survey.mp4' });
  const map = dialog.getByRole('img', { name: /^Map of the file: \d+ % on disk in .+, \d+ connections at work$/ });
  await map.waitFor();
  const label = () => map.getAttribute('aria-label');
  const first = share(await label());
  const { body } = await machine.api('GET', `/download/${file.id}/ranges`);
  const there = (body.done.reduce((sum, [from, to]) => sum + to - from, 0) / body.total_bytes) * 100;
  assert.ok(Math.abs(there - first) < 15, `${first} % in the map, ${there} % in the daemon`);
  // As wide as it says: drawn from the same figures.
  const drawn = await map.locator('.map-done').evaluate((path) => [...path.getAttribute('d').matchAll(/h(-?[\d.]+)v/g)].reduce((sum, [, wide]) => sum + Number(wide), 0) / 10);
  assert.ok(Math.abs(drawn - share(await label())) <= 3, `${drawn} % drawn`);
  const begun = asked;
  const at = Date.now();
  await until('the map to fill', async () => share(await label()) >= first + 3);
  const often = (asked - begun) / ((Date.now() - at) / 1000 + 1);
  assert.ok(often <= 1.2, `${often} questions a second`);
  const text = await dialog.innerText();
  assert.ok(text.includes(`${site.origin}/slow-40000/media/clip.mp4`) && !text.includes('abcdef'), 'the address without its query');
  assert.ok(text.includes(machine.folders.downloads), 'the folder');

  await page.keyboard.press('Escape');
  await dialog.waitFor({ state: 'hidden' });
  const closed = asked;
  await new Promise((resolve) => setTimeout(resolve, 2500));
  assert.ok(asked <= closed + 1, 'closed details ask for nothing');
  assert.equal(await page.evaluate(() => document.activeElement.getAttribute('aria-label')), 'Details of Survey.mp4', 'the focus is back');

  // What rests is drawn, too, once.
  await press(page, 'Pause Survey.mp4');
  await row(machine, (one) => one.id === file.id && one.status === 'paused');
  await page.getByRole('button', { name: 'Resume Survey.mp4' }).waitFor();
  const resting = asked;
  await press(page, 'Details of Survey.mp4', 'Space');
  await dialog.getByRole('img', { name: /^Map of the file: \d+ % on disk in [^,]+$/ }).waitFor();
  await new Promise((resolve) => setTimeout(resolve, 2500));
  assert.equal(asked, resting + 1, 'a file that rests is asked for once');
});

scenario('a row that waits for its time says so and can start now', { env: { WEIR_RETRIES: '0' } }, async ({ machine, site }) => {
  const page = await companion(machine, site);
  const at = (seconds) => new Date(Date.now() + seconds * 1000).toISOString().replace(/\.\d+/, '');
  const soon = await add(machine, `${site.origin}/media/clip.mp4?1`, { filename: 'soon.mp4', start_at: at(50) });
  await add(machine, `${site.origin}/media/clip.mp4?2`, { filename: 'tonight.mp4', start_at: at(3 * 3600) });
  await item(page, 'tonight.mp4').getByText(/^Starts at .*\d:\d\d/).waitFor();
  const left = async () => Number(/Starts in (\d+) s/.exec(await item(page, 'soon.mp4').innerText())?.[1] ?? NaN);
  const first = await until('a countdown', left);
  assert.ok(first > 30 && first <= 50, `${first} s`);
  await until('it to count down', async () => (await left()) < first);
  await press(page, 'Start soon.mp4 now');
  await completed(machine, soon.id);
  await item(page, 'soon.mp4').getByText('Starts').waitFor({ state: 'detached' });

  site.refuse('clip.mp4');
  const busy = await add(machine, `${site.origin}/media/clip.mp4?3`, { filename: 'busy.mp4' });
  const note = item(page, 'busy.mp4').getByText(/^Tries again in \d+ s\. .+/);
  await note.waitFor();
  const why = (await machine.api('GET', `/download/${busy.id}`)).body.error.message;
  assert.ok((await note.innerText()).endsWith(why), 'and why');
  site.refuse();
  await press(page, 'Start busy.mp4 now', 'Space');
  await completed(machine, busy.id);
});

scenario('waiting rows are put into another order by keyboard', {}, async ({ machine, site }) => {
  const page = await companion(machine, site);
  await settings(machine, { max_active: 1 });
  const runs = await add(machine, `${site.origin}/slow-8000/media/clip.mp4`, { filename: 'runs.mp4', connections: 1 });
  await row(machine, (one) => one.id === runs.id && one.status === 'downloading');
  for (const name of ['a', 'b', 'c']) await add(machine, `${site.origin}/media/clip.mp4?${name}`, { filename: `${name}.mp4` });
  await item(page, 'c.mp4').getByText('3 of 3 in the queue').waitFor();

  await page.getByRole('button', { name: /^Active/ }).click();
  const list = page.getByRole('list', { name: 'Downloads' });
  const shown = async () => (await list.getByRole('button', { name: /^Details of / }).evaluateAll((all) => all.map((one) => one.getAttribute('aria-label').replace('Details of ', '')))).join(' ');
  const ordered = (wanted) => until(`the order ${wanted}`, async () => (await shown()) === wanted).catch(async (error) => { throw new Error(`${error.message}, only ${await shown()}`); });
  const daemon = async () => (await machine.api('GET', '/list?status=queued&sort=position')).body.map((one) => one.filename).join(' ');
  await ordered('runs.mp4 a.mp4 b.mp4 c.mp4');

  const focused = () => page.evaluate(() => document.activeElement.getAttribute('aria-label'));
  await press(page, 'Move c.mp4 up');
  await ordered('runs.mp4 a.mp4 c.mp4 b.mp4');
  await said(page, 'c.mp4 is now 2 of 3 in the queue.');
  await until('the focus to be on the button', async () => (await focused()) === 'Move c.mp4 up');
  await page.keyboard.press('Enter');
  await ordered('runs.mp4 c.mp4 a.mp4 b.mp4');
  assert.equal(await daemon(), 'c.mp4 a.mp4 b.mp4');
  await until('the focus to be on the button', async () => (await focused()) === 'Move c.mp4 up');
  await page.keyboard.press('Enter');
  await said(page, 'c.mp4 cannot go further up.');

  await press(page, 'Details of c.mp4');
  const dialog = page.getByRole('dialog', { name: 'c.mp4' });
  await press(page, 'Move c.mp4 to the end');
  await dialog.getByText('3 of 3 in the queue', { exact: true }).waitFor();
  // The page's own live region is out of reach while a dialog is open.
  await dialog.getByRole('status').getByText('c.mp4 is now 3 of 3 in the queue.').waitFor();
  assert.equal(await focused(), 'Move c.mp4 to the end', 'the focus stays in the dialog');
  await press(page, 'Move c.mp4 to the top');
  await dialog.getByText('1 of 3 in the queue', { exact: true }).waitFor();
  await page.keyboard.press('Escape');
  await ordered('runs.mp4 c.mp4 a.mp4 b.mp4');
  assert.equal(await daemon(), 'c.mp4 a.mp4 b.mp4');
});

scenario('limits are set for one and for all, and the page says what the queue waits for', {}, async ({ machine, site }) => {
  const page = await companion(machine, site);
  const slow = await add(machine, `${site.origin}/slow-8000/media/clip.mp4`, { filename: 'slow.mp4', connections: 1, category: 'Lectures' });
  await item(page, 'slow.mp4').getByText('Lectures').waitFor();
  await press(page, 'Details of slow.mp4');
  const number = page.getByRole('textbox', { name: 'Speed limit of slow.mp4' });
  await number.fill('fast');
  await number.press('Enter');
  await page.getByRole('alert').getByText('A limit is a number').waitFor();
  await number.fill('150');
  await page.getByRole('combobox', { name: 'Unit of the limit of slow.mp4' }).selectOption('kB/s');
  await number.press('Enter');
  await row(machine, (one) => one.id === slow.id && one.rate_limit === 150_000);
  await said(page, 'The speed limit is 150 kB/s.');
  await press(page, 'No limit');
  await row(machine, (one) => one.id === slow.id && one.rate_limit === null);
  await until('the field to be empty', async () => (await number.inputValue()) === '');
  await page.keyboard.press('Escape');

  await press(page, 'Speed: no limit');
  const dialog = page.getByRole('dialog', { name: 'Speed' });
  await dialog.getByRole('textbox', { name: 'Speed limit of all downloads' }).fill('1,5');
  await dialog.getByRole('spinbutton', { name: 'Downloads at the same time' }).fill('2');
  await dialog.getByRole('button', { name: 'Save' }).click();
  await page.getByRole('button', { name: 'Speed: 1.5 MB/s' }).waitFor();
  const now = (await machine.api('GET', '/settings')).body;
  assert.deepEqual([now.rate_limit, now.max_active], [1_500_000, 2]);

  // One more from the same server than it may be asked for, while there is room for others.
  await settings(machine, { max_per_host: 1 });
  await add(machine, `${site.origin}/media/clip.mp4`, { filename: 'next.mp4' });
  await page.reload();
  await item(page, 'next.mp4').getByText(/its\sserver\sis\sbusy\swith\sanother\sdownload/).waitFor();
  await settings(machine, { quiet_hours: [{ from: '00:00', to: '24:00', pause: true }] });
  await page.reload();
  await page.getByText(/^Quiet hours.*: nothing runs$/).first().waitFor();
  await item(page, 'next.mp4').getByText(/quiet\shours/).waitFor();
});
