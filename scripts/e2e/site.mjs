// A small web site on loopback: pages that play media the way real ones do, and the media.
//
// Used by the demo and by the browser tests. Binds 127.0.0.1 only. Everything a page needs lies below one prefix, so
// `/slow-N/…` slows a whole page's media to N bytes per second and response.

import { createServer } from 'node:http';
import { createReadStream } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';

const TYPES = {
  '.m3u8': 'application/vnd.apple.mpegurl',
  '.mpd': 'application/dash+xml',
  '.m4s': 'video/iso.segment',
  '.ts': 'video/mp2t',
  '.mp4': 'video/mp4',
  '.bin': 'application/octet-stream',
};

/** What the hostile page calls itself and its file. Shown as text it is harmless. */
export const HOSTILE_TITLE = '<img src=x onerror="window.pwned=1"> & "quoted" \u202Etxt.exe';
export const HOSTILE_FILE = '"><svg onload=window.pwned=1>.mp4';

const escape = (text) => text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);

const page = (title, body) => `<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width"><title>${escape(title)}</title>
<style>body{font:16px/1.5 system-ui;max-width:42rem;margin:3rem auto;padding:0 1rem}video{width:100%;background:#000}
@media(prefers-color-scheme:dark){body{background:#111;color:#ddd}a{color:#8cf}}</style>
<h1>${escape(title)}</h1>${body}`;

// What a script player does: the multivariant playlist, one media playlist, the first segments.
const PLAYER = (playlist) => `<p id="state">loading</p><script>
const lines = async (url) => (await (await fetch(url)).text()).split('\\n').map((l) => l.trim()).filter((l) => l && l[0] !== '#').map((l) => new URL(l, url).href);
(async () => {
  const [variant] = await lines(new URL(${JSON.stringify(playlist)}, location.href).href);
  const segments = await lines(variant);
  const first = await (await fetch(segments[0])).arrayBuffer();
  document.querySelector('#state').textContent = 'playing, ' + first.byteLength + ' bytes';
})();
</script>`;

// The same for DASH: the manifest, the first initialisation section and segment of it.
const DASH_PLAYER = (manifest) => `<p id="state">loading</p><script>
(async () => {
  const url = new URL(${JSON.stringify(manifest)}, location.href).href;
  const mpd = new DOMParser().parseFromString(await (await fetch(url)).text(), 'text/xml');
  const id = mpd.querySelector('Representation').id;
  for (const name of ['init-stream' + id + '.m4s', 'chunk-stream' + id + '-00001.m4s']) {
    await (await fetch(new URL(name, url).href)).arrayBuffer();
  }
  document.querySelector('#state').textContent = 'playing';
})();
</script>`;

/** Segments a live playlist shows, and how often another appears. */
const LIVE_WINDOW = 6;
const LIVE_EVERY_MS = 500;

/** What a live playlist shows after `elapsed` ms of the whole that `text` is; it begins again and never ends. */
function liveWindow(text, elapsed) {
  const segments = [...text.matchAll(/^(#EXTINF:.*)\n(.+)$/gm)].map(([both]) => both);
  const first = Math.floor(elapsed / LIVE_EVERY_MS);
  const lines = ['#EXTM3U', '#EXT-X-VERSION:3', '#EXT-X-TARGETDURATION:1', `#EXT-X-MEDIA-SEQUENCE:${first}`,
    `#EXT-X-DISCONTINUITY-SEQUENCE:${Math.floor(first / segments.length)}`];
  for (let number = first; number < first + LIVE_WINDOW; number += 1) {
    if (number % segments.length === 0 && number > first) lines.push('#EXT-X-DISCONTINUITY');
    lines.push(segments[number % segments.length]);
  }
  return `${lines.join('\n')}\n`;
}

/** What a playlist says of films that only a licence opens. */
const DRM = `#EXTM3U
#EXT-X-VERSION:5
#EXT-X-TARGETDURATION:6
#EXT-X-PLAYLIST-TYPE:VOD
#EXT-X-KEY:METHOD=SAMPLE-AES,URI="data:text/plain;base64,AAAA",KEYFORMAT="urn:uuid:edef8ba9-79d6-4ace-a3c8-27dcd51d21ed",KEYFORMATVERSIONS="1"
#EXTINF:6,
1.m4s
#EXT-X-ENDLIST
`;

/** Pages by path, after the prefix. */
const PAGES = {
  '/': () => page('Weir demo', `<p>Two things to catch:</p><ul><li><a href="talk.html">a talk</a>, streamed in two qualities</li>
<li><a href="clip.html">a clip</a>, one plain file</li></ul>`),
  // For people: a native player where the browser has one. The script fetches the playlist either way.
  '/talk.html': () => page('A talk about weirs', `<video controls muted playsinline src="media/hls/master.m3u8"></video>
<p>Click the Weir icon in the toolbar: the number on it says what was found. Choose a quality and press Download.</p>${PLAYER('media/hls/master.m3u8')}`),
  '/clip.html': () => page('A clip', '<video controls muted playsinline preload="metadata" src="media/clip.mp4"></video>'),
  '/dash.html': () => page('A lecture in DASH', DASH_PLAYER('media/dash/manifest.mpd')),
  '/live.html': () => page('The river, live', PLAYER('live/hls/master.m3u8')),
  '/locked.html': () => page('Members only', PLAYER('locked/hls/master.m3u8')),
  '/hostile.html': () => page(HOSTILE_TITLE, '<video controls muted preload="metadata" src="hostile.mp4"></video>' + PLAYER('media/hls/master.m3u8')),
  '/none.html': () => page('Nothing here', '<p>Only words.</p>'),
};

/** The cookie `/locked.html` gives, without which everything below `/locked/` is 403. */
const PASS = 'pass=weir-demo';

/**
 * Starts the site over the folder of `mediaFolder()`. Answers `{ origin, port, requests, refuse, close }`:
 * `requests` is everything asked for so far as `{ method, path, range, referer, cookie, status }`,
 * `refuse(part)` answers 503 to paths containing `part` until called with nothing, and `lose(part)` answers 404 likewise.
 * Below `/live/` playlists of media show a window that moves on without end.
 */
export async function startSite(folder, { port = 0, extra = {} } = {}) {
  const requests = [];
  let refused = null;
  let lost = null;
  const begun = Date.now();
  const server = createServer((request, response) => {
    const seen = {
      method: request.method,
      path: request.url,
      range: request.headers.range,
      referer: request.headers.referer,
      cookie: request.headers.cookie,
    };
    requests.push(seen);
    response.on('close', () => { seen.status = response.statusCode; });
    answer(request, response).catch(() => response.destroy());
  });

  async function answer(request, response) {
    const url = new URL(request.url, 'http://site');
    let name = decodeURIComponent(url.pathname);
    const slow = /^\/slow-(\d+)(\/.*)$/.exec(name);
    const rate = slow ? Number(slow[1]) : null;
    if (slow) name = slow[2];

    if (refused && name.includes(refused)) return plain(response, 503, 'not now');
    if (lost && name.includes(lost)) return plain(response, 404, 'lost');
    const make = extra[name] || PAGES[name];
    if (make) {
      const headers = { 'content-type': 'text/html; charset=utf-8', 'cache-control': 'no-store' };
      if (name === '/locked.html') headers['set-cookie'] = `${PASS}; Path=/; HttpOnly`;
      response.writeHead(200, headers);
      return response.end(make());
    }
    if (name === '/drm/master.m3u8') {
      response.writeHead(200, { 'content-type': TYPES['.m3u8'] });
      return response.end(DRM);
    }
    if (name === '/hostile.mp4') {
      const disposition = `attachment; filename*=UTF-8''${encodeURIComponent(HOSTILE_FILE)}`;
      return file(request, response, path.join(folder, 'clip.mp4'), rate, { 'content-disposition': disposition });
    }
    const media = /^\/(media|locked|live)\/([\w./-]+)$/.exec(name);
    if (!media || media[2].includes('..')) return plain(response, 404, 'no such page');
    if (media[1] === 'locked') {
      // The playlists want the cookie, the segments also the page they are played on.
      const own = (request.headers.referer || '').startsWith(`http://${request.headers.host}/`);
      const known = (request.headers.cookie || '').includes(PASS);
      if (!known || (name.endsWith('.ts') && !own)) return plain(response, 403, 'members only');
    }
    if (media[1] === 'live' && name.endsWith('/index.m3u8')) {
      const whole = await readFile(path.join(folder, media[2]), 'utf8');
      response.writeHead(200, { 'content-type': TYPES['.m3u8'], 'cache-control': 'no-store' });
      return response.end(liveWindow(whole, Date.now() - begun));
    }
    return file(request, response, path.join(folder, media[2]), rate);
  }

  await new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  const bound = server.address().port;
  return {
    origin: `http://127.0.0.1:${bound}`,
    port: bound,
    requests,
    refuse: (part = null) => { refused = part; },
    lose: (part = null) => { lost = part; },
    close: () => new Promise((resolve) => {
      server.close(resolve);
      server.closeAllConnections();
    }),
  };
}

function plain(response, status, text) {
  response.writeHead(status, { 'content-type': 'text/plain' });
  response.end(text);
}

/** One file with `Range`, `ETag` and `Last-Modified`, as RFC 9110 wants them. */
async function file(request, response, name, rate, more = {}) {
  const facts = await stat(name).catch(() => null);
  if (!facts?.isFile()) return plain(response, 404, 'no such file');
  const etag = `"${facts.size.toString(16)}-${Math.trunc(facts.mtimeMs).toString(16)}"`;
  const headers = {
    'content-type': TYPES[path.extname(name)] || 'application/octet-stream',
    'accept-ranges': 'bytes',
    'last-modified': facts.mtime.toUTCString(),
    etag,
    ...more,
  };
  const asked = request.headers['if-range'] && request.headers['if-range'] !== etag ? null : request.headers.range;
  const range = /^bytes=(\d*)-(\d*)$/.exec(asked || '');
  let [start, end] = [0, facts.size - 1];
  if (range && (range[1] || range[2])) {
    start = range[1] ? Number(range[1]) : Math.max(0, facts.size - Number(range[2]));
    end = range[1] && range[2] ? Math.min(Number(range[2]), end) : end;
    if (start > end) {
      response.writeHead(416, { ...headers, 'content-range': `bytes */${facts.size}` });
      return response.end();
    }
    headers['content-range'] = `bytes ${start}-${end}/${facts.size}`;
  }
  response.writeHead(headers['content-range'] ? 206 : 200, { ...headers, 'content-length': end - start + 1 });
  if (request.method === 'HEAD') return response.end();
  const body = createReadStream(name, { start, end });
  return pipeline(rate ? [body, throttle(rate), response] : [body, response]);
}

/** At most `rate` bytes per second, in twenty portions a second. */
function throttle(rate) {
  const portion = Math.max(1, Math.ceil(rate / 20));
  return new Transform({
    async transform(chunk, _encoding, done) {
      for (let at = 0; at < chunk.length && !this.destroyed; at += portion) {
        this.push(chunk.subarray(at, at + portion));
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      done();
    },
  });
}
