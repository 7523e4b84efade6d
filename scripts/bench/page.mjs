// The companion page and the popup in real Chromium: how soon something is seen, how soon it is true, and how a list of
// many rows answers to typing, filters and scrolling.

import { Machine, EXTENSION_ID, until } from '../e2e/machine.mjs';
import { mediaFolder } from '../e2e/media.mjs';
import { startSite } from '../e2e/site.mjs';
import { median, option, table, version } from './measure.mjs';

const rounds = option('rounds', 5);
const many = option('rows', 10_000);
/** Unfinished ones, and all of the shorter list. */
const FEW = 500;
const AT_ONCE = 8;

/** What is typed, pressed and scrolled to, as a share of the list. */
const TYPED = ['L', 'Le', 'Lecture', 'Lecture 77', 'nothing like it', 'course/7', ''].map((text) => ({ text }));
const PRESSED = ['Paused', 'Cancelled', 'Completed', 'All', 'Failed', 'Active', 'All'].map((press) => ({ press }));
const SCROLLED = [0.5, 0.1, 0.9, 1, 0.33, 0.66, 0].map((scroll) => ({ scroll }));

const site = await startSite(await mediaFolder());
const lines = [['', 'median', 'max', 'budget']];
const line = (what, runs, budget) => lines.push([what, median(runs).toFixed(0), Math.max(...runs).toFixed(0), budget]);
try {
  await withMachine(bench);
} finally {
  await site.close();
}

async function withMachine(body) {
  const machine = await Machine.make();
  try {
    await machine.browse({ viewport: { width: 1280, height: 900 } });
    await body(machine);
  } finally {
    await machine.close();
  }
}

async function bench(machine) {
  const { tab } = await machine.open(`${site.origin}/none.html`);
  const popup = await machine.popup(tab);
  await popup.getByRole('button', { name: 'All downloads', disabled: false }).waitFor();
  await popup.close();
  await signIn(machine);

  await rowsUpTo(machine, 0, FEW);
  const popups = `chrome-extension://${EXTENSION_ID}/popup.html?tab=${tab}`;
  const { url } = await machine.endpoint();
  const short = await opened(machine, url, FEW);
  line(`page, ${FEW} rows: first paint, ms`, short.paint, 100);
  line(`page, ${FEW} rows: a row added just before is shown, ms`, short.live, 300);
  const small = await opened(machine, popups, FEW + rounds);
  line(`popup, ${FEW} rows: first paint, ms`, small.paint, 100);
  line(`popup, ${FEW} rows: a row added just before is shown, ms`, small.live, 300);

  // Of the rest, history: what is unfinished stays few.
  await rowsUpTo(machine, FEW + 2 * rounds, many, 'cancel');
  const long = await opened(machine, url, many);
  line(`page, ${many} rows: first paint, ms`, long.paint, 100);
  line(`page, ${many} rows: a row added just before is shown, ms`, long.live, '');
  const page = await machine.context.newPage();
  await page.goto(url);
  await page.getByRole('button', { name: new RegExp(`^All\\D*${many + rounds}$`) }).waitFor({ timeout: 60_000 });
  const typed = await answers(page, TYPED);
  line(`${many} rows: a key in the search is answered and painted, ms`, typed, 100);
  line(`${many} rows: a filter is answered and painted, ms`, await answers(page, PRESSED), 100);
  line(`${many} rows: a jump of the scroll bar is painted, ms`, await answers(page, SCROLLED), '');
  console.log(`${await version(machine.weir)}, ${machine.context.browser()?.version() ?? 'Chromium'}: ${rounds} openings each`);
  table(lines);
}

/** Rows `from` up to `to`; half of the names have a word that the other half lacks. `act` is what becomes of them. */
async function rowsUpTo(machine, from, to, act) {
  let next = from;
  const worker = async () => {
    for (let number = next++; number < to; number = next++) {
      const filename = `${number % 2 ? 'Lecture' : 'Recording'} ${number}.mp4`;
      const { status, body } = await machine.api('POST', '/download', { url: `${site.origin}/media/clip.mp4?${number}`, filename, page_url: `${site.origin}/course/${number % 40}`, paused: true });
      if (status !== 201) throw new Error(`row ${number}: ${status}`);
      if (act) await machine.api('POST', `/download/${body.id}/${act}`);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}

/** Gets in as a person does, with a ticket. */
async function signIn(machine) {
  const { body } = await machine.api('POST', '/session/ticket');
  const page = await machine.context.newPage();
  await page.goto(body.url);
  await page.getByText('Nothing downloaded yet').waitFor();
  await page.close();
}

/** Opens `address` again and again: first paint, and when a row is painted that no earlier opening can know. */
async function opened(machine, address, from) {
  const paint = [];
  const live = [];
  for (let round = 0; round < rounds; round += 1) {
    const filename = `just now ${from + round}.mp4`;
    await machine.api('POST', '/download', { url: `${site.origin}/media/clip.mp4?now${from + round}`, filename, paused: true });
    const page = await machine.context.newPage();
    await page.addInitScript((wanted) => {
      const look = () => {
        if (window.seen || !document.body?.textContent.includes(wanted)) return;
        window.seen = true;
        requestAnimationFrame(() => setTimeout(() => { window.liveAt = performance.now(); }));
      };
      new MutationObserver(look).observe(document, { childList: true, subtree: true, characterData: true });
    }, filename);
    await page.goto(address);
    live.push(await until('the row', () => page.evaluate(() => window.liveAt), { every: 20 }));
    paint.push(await page.evaluate(() => performance.getEntriesByName('first-contentful-paint')[0].startTime));
    await page.close();
  }
  return { paint, live };
}

/** Does each step in the page. Answers how long it took until the frame that shows it; a wrong list ends the suite. */
async function answers(page, steps) {
  await page.bringToFront();
  const times = [];
  for (const step of steps) {
    const { time, right } = await page.evaluate(async ({ text, press, scroll }) => {
      const input = document.querySelector('.search input');
      const filter = [...document.querySelectorAll('.filter')].find((one) => one.textContent.startsWith(press));
      const begun = performance.now();
      if (text !== undefined) {
        input.value = text;
        input.dispatchEvent(new InputEvent('input', { bubbles: true }));
      } else if (press) {
        filter.click();
      } else {
        window.scrollTo(0, scroll * document.documentElement.scrollHeight);
      }
      // Behind the frame that shows it.
      await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
      const time = performance.now() - begun;
      const rows = [...document.querySelectorAll('.rows > li')];
      const shown = rows.filter((row) => row.getBoundingClientRect().bottom > 0 && row.getBoundingClientRect().top < innerHeight);
      const size = Number(rows[0]?.getAttribute('aria-setsize') ?? 0);
      const said = Number(document.querySelector('.filter[aria-pressed="true"] .filter-count').textContent.trim());
      const named = !/^Lecture/.test(text) || shown.every((row) => row.textContent.includes(text));
      return { time, right: size === said && named && shown.length > 0 === size > 0 };
    }, step);
    if (!right) throw new Error(`the list is not what ${JSON.stringify(step)} asked for`);
    times.push(time);
  }
  return times;
}
