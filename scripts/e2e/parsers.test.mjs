// What `weir get --dry-run` plans for a manifest, beside what the parsers of Video.js make of the same text.
//
// Never downloads media: the server has manifests, and indexes made up here. Invariant: every fixture that m3u8-parser and
// mpd-parser publish is compared, segment by segment, or stands in the table of differences with the reason.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import http from 'node:http';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { Parser } from 'm3u8-parser';
import { addSidxSegmentsToPlaylist, parse as parseMpd } from 'mpd-parser';
import { program } from './machine.mjs';

const require = createRequire(import.meta.url);
const HLS = path.join(path.dirname(require.resolve('m3u8-parser/package.json')), 'test/fixtures/integration');
const DASH = path.join(path.dirname(require.resolve('mpd-parser/package.json')), 'test/manifests');

/**
 * Where Weir answers something else on purpose. `says` is the error it ends with; without it the plan itself differs as
 * `why` has it and only its success is looked at. The section numbers are those of draft-pantos-hls-rfc8216bis-22.
 */
const DIFFERENCES = {
  byteRange: {
    says: /line 13 .*a byte range continues nothing/,
    why: 'a range without offset must continue one of the same resource (4.4.4.2), else wrong bytes would be fetched',
  },
  'llhls-byte-range': {
    says: /line 7 .*a byte range cannot be understood/,
    why: '`587500@` names no offset: from where on is anybody’s guess (4.4.4.2)',
  },
  empty: { says: /empty/, why: 'nothing to download is an error, not an empty file' },
  headerOnly: { says: /empty/, why: 'nothing to download is an error, not an empty file' },
  emptyMediaSequence: {
    says: /line 3 .*the sequence number cannot be understood/,
    why: 'vectors of keys and the order of live segments are counted from it (4.4.3.2, 5.2)',
  },
  invalidMediaSequence: {
    says: /line 3 .*the sequence number cannot be understood/,
    why: 'vectors of keys and the order of live segments are counted from it (4.4.3.2, 5.2)',
  },
  negativeMediaSequence: {
    says: /line 3 .*the sequence number cannot be understood/,
    why: 'it is a decimal integer, which is never negative (4.2, 4.4.3.2)',
  },
  twoMediaSequences: {
    says: /line 4 .*the sequence number changes/,
    why: 'one of two would have to be guessed; a client must refuse (4.4.3)',
  },
  extinf: {
    says: /line 9 .*the duration of a segment cannot be understood/,
    why: 'without durations nothing tells that a segment is missing from the result (4.4.4.1)',
  },
  liveMissingSegmentDuration: {
    says: /line 8 .*a segment has no duration/,
    why: 'EXTINF is required for each segment (4.4.4.1); without it the length of the result cannot be checked',
  },
  missingSegmentDuration: {
    says: /line 8 .*a segment has no duration/,
    why: 'EXTINF is required for each segment (4.4.4.1); without it the length of the result cannot be checked',
  },
  missingExtinf: {
    says: /line 8 .*a segment has no duration/,
    why: 'EXTINF is required for each segment (4.4.4.1); without it the length of the result cannot be checked',
  },
  multipleTargetDurations: {
    says: /line 2 .*a segment has no duration/,
    why: 'EXTINF is required for each segment (4.4.4.1); without it the length of the result cannot be checked',
  },
  iFramesOnly: { says: /only single pictures/, why: 'pictures for scrubbing are no video (4.4.3.6)' },
  'llhls-delta-byte-range': {
    says: /line 8 .*a segment before it has no address/,
    why: 'an EXTINF that no address follows is a segment lost on the way',
  },
  llhlsDelta: {
    says: /only a part of the playlist/,
    why: 'which key and initialisation section hold behind what was left out is not known (4.4.5.2)',
  },
  manifestNoExtM3u: { says: /not a playlist/, why: 'any text would be a playlist without its header (4.4.1.1)' },
  start: { says: /not a playlist/, why: 'any text would be a playlist without its header (4.4.1.1)' },
  zeroDuration: { why: 'a duration of 0 is 0; m3u8-parser makes it 0.01 for its player' },
};

/** A media playlist for whatever a list of qualities names. */
const LEAF = '#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\nleaf.ts\n#EXT-X-ENDLIST\n';

/** Texts by path; what was asked for, in order. */
const texts = new Map();
const asked = [];
let server;
let origin;
let folder;
let weir;

before(async () => {
  server = http.createServer((request, response) => {
    const { pathname } = new URL(request.url, 'http://a');
    asked.push({ pathname, range: request.headers.range });
    const text = texts.get(pathname);
    if (text !== undefined) return response.end(text);
    if (request.headers.range?.startsWith('bytes=0-')) {
      // The head of a file whose manifest names no index: there is none.
      const head = Buffer.from('\0\0\0\x10ftypiso6\0\0\0\0\0\0\0\x08mdat', 'latin1');
      response.writeHead(206, { 'content-range': `bytes 0-${head.length - 1}/${head.length}` });
      return response.end(head);
    }
    const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '');
    if (range) {
      const [first, last] = [Number(range[1]), Number(range[2])];
      const body = Buffer.alloc(last - first + 1);
      index(body.length).copy(body);
      response.writeHead(206, { 'content-range': `bytes ${first}-${last}/1000000000`, 'content-length': body.length });
      return response.end(body);
    }
    return response.end(LEAF);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  origin = `http://127.0.0.1:${server.address().port}`;
  folder = await mkdtemp(path.join(tmpdir(), 'weir-parsers-'));
  weir = await program();
});

after(async () => {
  server?.closeAllConnections();
  server?.close();
  if (folder) await rm(folder, { recursive: true, force: true });
});

/** A segment index (ISO/IEC 14496-12, section 8.16.3) of three segments, which begin behind so many bytes. */
function index(room) {
  const box = Buffer.alloc(32 + 3 * 12);
  box.writeUInt32BE(box.length, 0);
  box.write('sidx', 4);
  box.writeUInt32BE(1, 12);
  box.writeUInt32BE(1000, 16);
  box.writeUInt32BE(room - box.length, 24);
  box.writeUInt16BE(3, 30);
  INDEX.references.forEach(({ referencedSize, subsegmentDuration }, at) => {
    box.writeUInt32BE(referencedSize, 32 + at * 12);
    box.writeUInt32BE(subsegmentDuration, 36 + at * 12);
  });
  return box;
}

/** The same index as mpd-parser wants to be handed it. */
const INDEX = {
  timescale: 1000,
  earliestPresentationTime: 0,
  firstOffset: 0,
  references: [5000, 6000, 7000].map((referencedSize) => ({ referenceType: 0, referencedSize, subsegmentDuration: 2000 })),
};

/** The plan, or the error it ended with. */
function plan(url) {
  const args = ['get', '--dry-run', '--json', '--retries', '0', '--live-from-start', '--subs', 'all', '-d', folder, url];
  return new Promise((resolve) => {
    execFile(weir, args, { env: { ...process.env, WEIR_HOME: folder }, maxBuffer: 1 << 26 }, (error, out, err) => {
      resolve(error ? { error: `${err}${out}`.trim() } : JSON.parse(out));
    });
  });
}

/** Serves a text under an address of its own. Hosts in it become this server: nothing here leaves the machine. */
function serve(name, file, change = (text) => text) {
  const text = change(readFileSync(file, 'utf8')).replaceAll(/https?:\/\/(?!www\.w3\.org)[a-z.]+(?=\/)/g, origin);
  const address = `/${path.basename(name)}/${path.basename(file)}`;
  texts.set(address, text);
  return { text, url: `${origin}${address}` };
}

const absolute = (uri, base) => new URL(uri, base).href;
const range = (one) => (one ? [Number(one.offset ?? 0), Number(one.length)] : null);

/** A segment of the plan or of a reference, with what both say of it. */
const planned = (segment) => ({
  url: segment.url,
  duration: Math.round(segment.duration_s * 1e5) / 1e5,
  range: segment.byte_range,
  map: segment.map && { url: segment.map.url, range: segment.map.byte_range },
  discontinuity: segment.discontinuity,
});

/** The comparison of one list of segments. */
function compare(found, expected, name) {
  assert.equal(found.length, expected.length, `${name}: segments`);
  found.forEach((segment, at) => assert.deepEqual(segment, expected[at], `${name}: segment ${at}`));
}

/** What m3u8-parser says of a text. */
function referenceHls(text) {
  const parser = new Parser();
  parser.push(text);
  parser.end();
  return parser.manifest;
}

/** A vector as Weir writes it: the explicit one, or the number of the segment (section 5.2). */
function vector(key, sequence) {
  const words = key.iv ? [...key.iv] : [0, 0, 0, sequence];
  return words.map((word) => word.toString(16).padStart(8, '0')).join('');
}

const withoutQuery = (url) => url.split('?')[0];

function hlsSegments(manifest, base) {
  return manifest.segments.map((segment, at) => ({
    url: absolute(segment.uri, base),
    duration: Math.round(segment.duration * 1e5) / 1e5,
    range: range(segment.byterange),
    map: segment.map ? { url: absolute(segment.map.uri, base), range: range(segment.map.byterange) } : null,
    discontinuity: Boolean(segment.discontinuity),
    sequence: manifest.mediaSequence + at,
    gap: Boolean(segment.gap),
    key: segment.key
      ? {
        method: segment.key.method,
        url: withoutQuery(absolute(segment.key.uri, base)),
        iv: vector(segment.key, manifest.mediaSequence + at),
      }
      : null,
  }));
}

/** The variant Weir takes by default: most lines, then most frames, then most bits. */
function bestOf(playlists) {
  const rank = ({ attributes = {} }) => [
    attributes.RESOLUTION ? Math.min(attributes.RESOLUTION.width, attributes.RESOLUTION.height) : 0,
    Number(attributes['FRAME-RATE'] ?? 0),
    Number(attributes.BANDWIDTH ?? 0),
  ];
  const above = (a, b) => a.map((value, at) => value - b[at]).find((difference) => difference !== 0) ?? 0;
  return playlists.reduce((best, one) => (above(rank(one), rank(best)) > 0 ? one : best));
}

for (const file of readdirSync(HLS).filter((name) => name.endsWith('.m3u8'))) {
  const name = path.basename(file, '.m3u8');
  test(`HLS: ${name}`, async () => {
    const { text, url } = serve(`hls-${name}`, path.join(HLS, file));
    asked.length = 0;
    const found = await plan(url);
    const difference = DIFFERENCES[name];
    if (difference) return judge(found, difference);
    assert.equal(found.error, undefined);
    assert.equal(found.kind, 'hls');
    const manifest = referenceHls(text);
    if (manifest.playlists?.length) {
      const best = bestOf(manifest.playlists);
      const requests = asked.map(({ pathname }) => pathname);
      assert.ok(requests.includes(new URL(best.uri, url).pathname), `${requests} misses ${best.uri}`);
      const sounds = Object.values(manifest.mediaGroups.AUDIO[best.attributes?.AUDIO] ?? {});
      const sound = sounds.find((one) => one.default) ?? sounds.find((one) => one.autoselect) ?? sounds[0];
      if (sound?.uri) assert.ok(requests.includes(new URL(sound.uri, url).pathname), `${requests} misses ${sound.uri}`);
      return undefined;
    }
    assert.equal(found.live, !manifest.endList);
    const [track] = found.tracks;
    const segments = track.segments.map((segment) => ({
      ...planned(segment), sequence: segment.sequence, gap: segment.gap, key: segment.key,
    }));
    return compare(segments, hlsSegments(manifest, url), name);
  });
}

function judge(found, { says, why }) {
  assert.ok(why);
  if (says) assert.match(found.error ?? 'no error', says, why);
  else assert.equal(found.error, undefined, why);
}

/**
 * The tracks of an MPD by mpd-parser, with the segments an index gives. It breaks a representation in two where its bit rate
 * changes from one period to the next; Weir goes on, so those of one name are joined here.
 */
function dashTracks(manifest, url) {
  const { AUDIO, SUBTITLES } = manifest.mediaGroups;
  const languages = [AUDIO.audio, SUBTITLES.subs].flatMap((group) => Object.values(group ?? {}));
  return [manifest.playlists, ...languages.map((one) => one.playlists)].flatMap((playlists) => {
    const names = [...new Set(playlists.map(({ attributes }) => attributes.NAME))];
    return names.map((name) => playlists
      .filter(({ attributes }) => attributes.NAME === name)
      .flatMap(dashSegments));
  });
}

function dashSegments(playlist) {
  const { sidx } = playlist;
  const { segments } = sidx ? addSidxSegmentsToPlaylist(playlist, INDEX, sidx.resolvedUri) : playlist;
  return segments.map((segment) => {
    const { map } = segment;
    // A section in the same file has no address of its own; without an Initialization element the folder is named.
    const named = map && (map.uri || map.byterange);
    return {
      url: segment.resolvedUri,
      duration: Math.round(segment.duration * 1e5) / 1e5,
      range: range(segment.byterange),
      map: named ? { url: map.uri ? map.resolvedUri : sidx.resolvedUri, range: range(map.byterange) } : null,
    };
  });
}

const PROTECTION = /<ContentProtection\b[^>]*\/>|<ContentProtection\b[^]*?<\/ContentProtection>/g;

for (const file of readdirSync(DASH).filter((name) => name.endsWith('.mpd'))) {
  const name = path.basename(file, '.mpd');
  test(`DASH: ${name}`, async () => {
    const source = path.join(DASH, file);
    let { text, url } = serve(`dash-${name}`, source);
    if (PROTECTION.test(text)) {
      assert.match((await plan(url)).error ?? 'no error', /Widevine|PlayReady/);
      // Its segments are looked at as if they were in the clear.
      ({ text, url } = serve(`dash-${name}-clear`, source, (protectedText) => protectedText.replaceAll(PROTECTION, '')));
    }
    const found = await plan(url);
    const difference = DIFFERENCES[name];
    if (difference) return judge(found, difference);
    assert.equal(found.error, undefined);
    assert.equal(found.kind, 'dash');
    const known = dashTracks(parseMpd(text, { manifestUri: url }));
    assert.ok(found.tracks.length > 0);
    for (const track of found.tracks) {
      const segments = track.segments.map(planned).map(({ discontinuity, ...rest }) => rest);
      const [first] = segments;
      const same = known.find(([one]) => one?.url === first?.url && String(one?.range) === String(first?.range));
      assert.ok(same, `${name}: no track begins with ${JSON.stringify(first)}, but ${JSON.stringify(known.map(([one]) => one))}`);
      compare(segments, same, `${name} ${track.kind}`);
    }
    return undefined;
  });
}
