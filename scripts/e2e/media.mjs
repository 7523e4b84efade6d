// Test media, made once with ffmpeg and kept in a cache folder, and what ffprobe says of a file.
//
// Never downloads anything. The cache is keyed by the recipe: change the recipe and it is made anew.

import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, mkdtemp, rename, rm, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Length of the demo stream and of the plain file. */
export const SECONDS = 20;
/** Heights of the two qualities of the demo stream. */
export const HEIGHTS = [360, 180];

const SOURCE = [
  '-f', 'lavfi', '-i', `testsrc2=size=640x360:rate=25:duration=${SECONDS}`,
  '-f', 'lavfi', '-i', `sine=frequency=330:sample_rate=48000:duration=${SECONDS}`,
];
// One picture group a segment, so that every segment starts on a key frame.
const VIDEO = ['-c:v', 'libx264', '-preset', 'veryfast', '-g', '25', '-keyint_min', '25', '-sc_threshold', '0', '-pix_fmt', 'yuv420p'];

const STREAM = [
  '-filter_complex', '[0:v]split=2[high][b];[b]scale=320:180[low]',
  '-map', '[high]', '-map', '1:a', '-map', '[low]', '-map', '1:a',
  ...VIDEO, '-b:v:0', '900k', '-b:v:1', '250k', '-c:a', 'aac', '-b:a', '96k',
  '-f', 'hls', '-hls_time', '1', '-hls_playlist_type', 'vod', '-hls_flags', 'independent_segments',
  '-var_stream_map', 'v:0,a:0,name:360p v:1,a:1,name:180p',
  '-master_pl_name', 'master.m3u8', '-hls_segment_filename', '%v/segment-%03d.ts', '%v/index.m3u8',
];

const DASH = [
  '-filter_complex', '[0:v]split=2[high][b];[b]scale=320:180[low]',
  '-map', '[high]', '-map', '[low]', '-map', '1:a',
  ...VIDEO, '-b:v:0', '900k', '-b:v:1', '250k', '-c:a', 'aac', '-b:a', '96k',
  '-f', 'dash', '-seg_duration', '1', '-use_template', '1', '-use_timeline', '1', '-adaptation_sets', 'id=0,streams=v id=1,streams=a',
  'manifest.mpd',
];

const FILE = ['-map', '0:v', '-map', '1:a', ...VIDEO, '-b:v', '2500k', '-c:a', 'aac', '-b:a', '128k', '-movflags', '+faststart', 'clip.mp4'];

/** Folder with `hls/master.m3u8` and `dash/manifest.mpd` (two qualities each) and `clip.mp4`; made when it is not there. */
export async function mediaFolder() {
  const recipe = createHash('sha256').update(JSON.stringify([SOURCE, STREAM, DASH, FILE])).digest('hex').slice(0, 16);
  const cache = path.join(process.env.XDG_CACHE_HOME || path.join(homedir(), '.cache'), 'weir-demo');
  const folder = path.join(cache, recipe);
  if (await exists(path.join(folder, 'clip.mp4'))) return folder;
  await mkdir(cache, { recursive: true });
  // Made aside and renamed whole, so that two runs at once do not see each other's halves.
  const making = await mkdtemp(path.join(cache, 'making-'));
  for (const [name, recipe] of [['hls', STREAM], ['dash', DASH]]) {
    await mkdir(path.join(making, name));
    await ffmpeg([...SOURCE, ...recipe], path.join(making, name));
  }
  await ffmpeg([...SOURCE, ...FILE], making);
  try {
    await rename(making, folder);
  } catch (error) {
    await rm(making, { recursive: true, force: true });
    if (!(await exists(path.join(folder, 'clip.mp4')))) throw error;
  }
  return folder;
}

async function ffmpeg(args, cwd) {
  await run('ffmpeg', ['-hide_banner', '-loglevel', 'error', '-nostdin', '-y', ...args], { cwd });
}

async function exists(file) {
  return stat(file).then(() => true, () => false);
}

/** `{ seconds, height, video, audio }` of a media file. */
export async function probe(file) {
  const { stdout } = await run('ffprobe', [
    '-v', 'error', '-show_entries', 'format=duration:stream=codec_type,height', '-of', 'json', file,
  ]);
  const { format, streams } = JSON.parse(stdout);
  const video = streams.filter((one) => one.codec_type === 'video');
  const audio = streams.filter((one) => one.codec_type === 'audio');
  return { seconds: Number(format.duration), height: video[0]?.height, video: video.length, audio: audio.length };
}

/** Lower-case hex of a file's SHA-256. */
export async function sha256(file) {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash);
  return hash.digest('hex');
}
