// What pages may not do: be more than text, or command the daemon.

import assert from 'node:assert/strict';
import path from 'node:path';
import { completed, files, found, offered, openPage, row } from './journey.mjs';
import { HOSTILE_FILE, HOSTILE_TITLE, startSite } from './site.mjs';
import { scenario } from './scenario.mjs';

scenario('hostile titles and file names are shown as text', {}, async ({ machine, site }) => {
  const { tab } = await machine.open(`${site.origin}/hostile.html`);
  await found(machine, tab, 2);
  const popup = await machine.popup(tab);
  const names = await offered(popup);
  assert.equal(names.length, 2, names.join(' | '));
  assert.ok(names.some((name) => name.includes('<img src=x onerror=')), names.join(' | '));
  for (const button of await popup.getByRole('button', { name: /^Download / }).all()) await button.click();
  for (const kind of ['hls', 'file']) {
    const started = await row(machine, (one) => one.kind === kind);
    const done = await completed(machine, started.id);
    assert.equal(path.dirname(done.path), machine.folders.downloads, done.path);
    assert.doesNotMatch(done.filename, /[<>"/\\\u202e]/, 'a name every system can keep');
  }
  assert.equal((await files(machine)).length, 2);

  const page = await openPage(machine, popup);
  await page.getByRole('list', { name: 'Downloads' }).getByRole('listitem').nth(1).waitFor();
  for (const one of [popup, page]) {
    assert.equal(await one.evaluate(() => window.pwned), undefined);
    assert.equal(await one.locator('img[src="x"], svg[onload]').count(), 0);
  }
  assert.ok(HOSTILE_TITLE.includes('onerror') && HOSTILE_FILE.includes('onload'), 'the site is hostile');
});

scenario('other sites cannot command the daemon, session or not', {}, async ({ machine, site, media }) => {
  const popup = await machine.popup((await machine.open(`${site.origin}/none.html`)).tab);
  // A browser that is signed in, so that cookies would go along: the hardest case.
  const page = await openPage(machine, popup);
  await page.getByText('Nothing downloaded yet').waitFor();
  const { url: door } = await machine.endpoint();
  const bait = `${site.origin}/media/clip.mp4`;
  const json = JSON.stringify({ url: bait });

  const evil = await startSite(media, {
    extra: {
      '/form.html': () => `<!doctype html><title>evil</title><form method="post" enctype="text/plain" action="${door}/download">
<input name='{"url":"${bait}","title":"' value='"}'></form><script>document.forms[0].submit()</script>`,
      '/fetch.html': () => '<!doctype html><title>evil</title>',
    },
  });
  try {
    for (const host of ['127.0.0.1', 'localhost']) {
      const origin = `http://${host}:${evil.port}`;
      const tab = await machine.context.newPage();
      await tab.goto(`${origin}/form.html`).catch(() => {});
      await tab.waitForLoadState();

      await tab.goto(`${origin}/fetch.html`);
      const outcome = await tab.evaluate(async ({ door, json }) => {
        const told = async (init, route = '/download') => {
          try {
            const response = await fetch(door + route, { credentials: 'include', ...init });
            return `${response.type} ${response.status} ${await response.text()}`;
          } catch (error) {
            return error.name;
          }
        };
        const socket = (protocols) => new Promise((resolve) => {
          const one = new WebSocket(`${door.replace('http', 'ws')}/ws`, protocols);
          one.onopen = () => resolve('open');
          one.onerror = () => resolve('refused');
        });
        return {
          simple: await told({ method: 'POST', mode: 'no-cors', body: json }),
          preflighted: await told({ method: 'POST', headers: { 'content-type': 'application/json', 'x-weir': '1' }, body: json }),
          list: await told({}, '/list'),
          ticket: await told({ method: 'POST' }, '/session/ticket'),
          remove: await told({ method: 'DELETE' }, '/download/1'),
          socket: await socket('weir.v1'),
          bareSocket: await socket([]),
        };
      }, { door, json });
      assert.deepEqual(outcome, {
        simple: 'TypeError',
        preflighted: 'TypeError',
        list: 'TypeError',
        ticket: 'TypeError',
        remove: 'TypeError',
        socket: 'refused',
        bareSocket: 'refused',
      }, origin);
      await tab.close();
    }
  } finally {
    await evil.close();
  }
  const { body } = await machine.api('GET', '/list');
  assert.deepEqual(body, [], 'nothing was added');
  assert.ok(!site.requests.some((one) => one.path === '/media/clip.mp4'), 'nothing was fetched');

  // The signed-in page itself still may: the refusals above were about who asked.
  await page.getByRole('button', { name: 'Add download' }).click();
  await page.getByRole('textbox').last().fill(bait);
  await page.keyboard.press('Enter');
  const dialog = page.getByRole('dialog');
  await dialog.getByRole('button', { name: /^(Download|Add)/ }).last().click();
  const started = await row(machine, (one) => one.url === bait);
  await completed(machine, started.id);
});
