// How each program is asked for a stream: with sixteen at a time where it can, and as it comes.

import { access } from 'node:fs/promises';
import path from 'node:path';
import { version } from '../measure.mjs';

const { WEIR, YT_DLP, STREAMLINK } = process.env;

const ytDlp = (more) => ({ url, folder }) => [
  YT_DLP, ['--ignore-config', '--no-update', '--no-cache-dir', '-q', '--no-warnings', ...more, '-o', path.join(folder, 'result.%(ext)s'), '--', url],
];

/** `name`, and `command({ url, folder })` as program and arguments; whoever is slow by design runs once. */
export const weir = { name: 'weir get', command: ({ url, folder }) => [WEIR, ['get', url, '-d', folder, '-o', 'result', '--json']] };
export const ytDlp16 = YT_DLP && { name: 'yt-dlp -N 16', command: ytDlp(['-N', '16']) };
export const ytDlpAsIs = YT_DLP && { name: 'yt-dlp as it comes', rounds: 1, command: ytDlp([]) };
export const ffmpeg = {
  name: 'ffmpeg -c copy',
  rounds: 1,
  command: ({ url, folder }) => ['ffmpeg', ['-hide_banner', '-loglevel', 'error', '-nostdin', '-i', url, '-c', 'copy', path.join(folder, 'result.mp4')]],
};
export const streamlink = STREAMLINK && {
  name: 'streamlink, 10 threads',
  rounds: 1,
  command: ({ url, folder }) => [
    STREAMLINK, ['--no-config', '-l', 'error', '--stream-segment-threads', '10', '-o', path.join(folder, 'result.ts'), `hls://${url}`, 'best'],
  ],
};

/** Those that are there. */
export const present = (...contenders) => contenders.filter(Boolean);

/** One line naming what runs. */
export async function versions() {
  await access(WEIR);
  const said = [await version(WEIR)];
  said.push(YT_DLP ? `yt-dlp ${await version(YT_DLP)}` : 'yt-dlp is not installed and left out');
  said.push(STREAMLINK ? await version(STREAMLINK) : 'streamlink is not installed and left out');
  said.push((await version('ffmpeg', '-version')).split(' ').slice(0, 3).join(' '));
  return said.join(' · ');
}
