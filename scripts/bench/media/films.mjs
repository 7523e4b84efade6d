// Streams to measure with: real transport streams of a rate, cut into segments, and what is in them as a hash.

import { execFile } from 'node:child_process';
import { mkdir, readdir, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const QUIET = ['-hide_banner', '-loglevel', 'error', '-nostdin', '-y'];
/** Seconds of film that are encoded; longer ones repeat them. */
const CLIP_S = 20;
/** Bits a second of sound. */
const SOUND_RATE = 24_000;

async function ffmpeg(...args) {
  await run('ffmpeg', [...QUIET, ...args], { maxBuffer: 1 << 24 });
}

/**
 * A stream of `count` segments of about `bytes` each, `list.m3u8` in `folder`; `file` also makes one file of it. Answers the
 * bytes of all segments and the hash of the pictures.
 */
export async function film(folder, { count, bytes, seconds = 1, file = false }) {
  await mkdir(folder);
  const rate = Math.round((bytes * 8) / seconds);
  const videoRate = Math.max(rate - SOUND_RATE * 1.5, 8_000).toFixed(0);
  const clip = path.join(folder, 'clip.mp4');
  // Noise, so that there is something to fill the rate with; fillers hold it where there is not. Pictures alone: they repeat
  // without a seam, as sound does not.
  const size = rate > 4e6 ? '1280x720' : '320x180';
  await ffmpeg(
    '-f', 'lavfi', '-i', `testsrc2=size=${size}:rate=10,noise=alls=60:allf=t`, '-t', String(CLIP_S), '-c:v', 'libx264', '-preset', 'ultrafast',
    '-bf', '0', '-g', '10', '-keyint_min', '10', '-sc_threshold', '0', '-b:v', videoRate, '-minrate', videoRate, '-maxrate', videoRate,
    '-bufsize', videoRate, '-nal-hrd', 'cbr', '-pix_fmt', 'yuv420p', clip,
  );
  const length = count * seconds;
  await ffmpeg(
    '-stream_loop', String(Math.ceil(length / CLIP_S) - 1), '-i', clip, '-f', 'lavfi', '-i', `anoisesrc=r=16000:a=0.1:d=${length}`,
    '-t', String(length), '-c:v', 'copy', '-c:a', 'aac', '-b:a', String(SOUND_RATE), '-f', 'hls', '-hls_time', String(seconds),
    '-hls_playlist_type', 'vod', '-hls_segment_filename', path.join(folder, 's%d.ts'), path.join(folder, 'list.m3u8'),
  );
  await rm(clip);
  const names = (await readdir(folder)).filter((name) => name.endsWith('.ts'));
  if (Math.abs(names.length - count) > 2) throw new Error(`${names.length} segments instead of ${count}`);
  let total = 0;
  for (const name of names) total += (await stat(path.join(folder, name))).size;
  if (file) await ffmpeg('-i', path.join(folder, 'list.m3u8'), '-c', 'copy', path.join(folder, 'whole.mp4'));
  return { segments: names.length, total, hash: await pictures(path.join(folder, 'list.m3u8')) };
}

/** A hash of every picture as it is encoded, whatever container it is in and wherever its parameter sets are. */
export async function pictures(name) {
  const { stdout } = await run('ffmpeg', [
    ...QUIET, '-i', name, '-map', '0:v:0', '-c', 'copy', '-bsf:v', 'h264_mp4toannexb,filter_units=remove_types=6-9|12', '-f', 'md5', '-',
  ]);
  return stdout.trim();
}
