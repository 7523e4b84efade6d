// One browser test: a machine and a site of its own, made before and gone after; screenshots of every tab when it fails.

import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Machine } from './machine.mjs';
import { mediaFolder } from './media.mjs';
import { startSite } from './site.mjs';

const RESULTS = path.join(path.dirname(fileURLToPath(import.meta.url)), 'test-results');

/**
 * Registers a test. `body` gets `{ machine, site, media, report }` with the browser already open; `report(text)`
 * prints a figure beside the test's name. `options` are those of `Machine.make`.
 */
export function scenario(name, options, body) {
  test(name, { timeout: 180_000 }, async (t) => {
    const media = await mediaFolder();
    const site = await startSite(media);
    const machine = await Machine.make(options);
    try {
      await machine.browse(options.browser);
      await body({ machine, site, media, report: (text) => t.diagnostic(text) });
    } catch (error) {
      await photograph(machine, name).catch(() => {});
      throw error;
    } finally {
      await machine.close();
      await site.close();
    }
  });
}

async function photograph(machine, name) {
  await mkdir(RESULTS, { recursive: true });
  const stem = name.toLowerCase().replace(/[^a-z0-9]+/g, '-').slice(0, 60);
  for (const [number, page] of (machine.context?.pages() || []).entries()) {
    await page.screenshot({ path: path.join(RESULTS, `${stem}-${number}.png`), timeout: 3000 }).catch(() => {});
  }
}
