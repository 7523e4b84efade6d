// C: one large file as fast as this machine can, to memory and to a disk, plain and with TLS.
//
// `weir get` also computes the SHA-256 of what it brings and waits until a disk has it. Plain curl does neither, so it
// runs beside that as well.

import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { alternate, diskFolder, fill, median, option, table } from '../measure.mjs';
import { SPREAD, spread } from './bench.mjs';
import { aria2c, aria2cAsIs, aria2Next, aria2NextAsIs, curl, present, weir } from './peers.mjs';

const shell = (script) => ({ url, folder, name }) => ['sh', ['-c', script, 'sh', url, `${folder}/${name}`]];
const curlHashed = { name: 'curl | tee | openssl sha256', command: shell('curl -sS "$1" | tee "$2" | openssl dgst -sha256 >"$2.sum"') };
const curlSynced = { name: 'curl, then sync', command: shell('curl -sS -o "$2" "$1" && sync "$2"') };

export async function fullSpeed(bench) {
  const bytes = option('mib', 1024) * 1024 * 1024;
  const expected = await fill(path.join(bench.root, 'large.bin'), bytes);
  const size = `${bytes / 1024 / 1024} MiB`;

  const compare = async (title, base, contenders, place, usual, more) => {
    const url = `${base}/large.bin`;
    // Not counted: whoever came first would pay for cold caches.
    await bench.fetch(contenders[0], url, expected, place.folder, more);
    const runs = await alternate(bench.rounds(usual), contenders, async (contender) => {
      if (place !== bench.work) execFileSync('sync', ['-f', place.folder]);
      return bench.fetch(contender, url, expected, place.folder, more);
    });
    console.log(`\nC  ${size} ${title}, to ${place.parent}`);
    print(runs, bytes);
  };

  const plain = (await bench.nginx()).url;
  await compare('from nginx', plain, present(curl, weir, aria2c, aria2Next, curlHashed, aria2cAsIs, aria2NextAsIs), bench.work, 5);

  const certificate = selfSigned(bench.work.folder);
  const files = `ssl_certificate ${certificate.chain}; ssl_certificate_key ${certificate.key};`;
  const secure = (await bench.nginx(files, 'ssl')).url;
  await compare('from nginx with TLS', secure, present(curl, weir, ...[aria2c, aria2Next].map((one) => trusting(one, certificate))), bench.work, 3, {
    SSL_CERT_FILE: certificate.authority, CURL_CA_BUNDLE: certificate.authority,
  });

  const disk = await diskFolder(2 * bytes);
  if (!disk) return console.log('\nC  no temporary folder on a disk has room: left out');
  try {
    await compare('from nginx', plain, present(curl, weir, aria2c, aria2Next, curlHashed, curlSynced), disk, 3);
  } finally {
    await disk.remove();
  }
}

function print(runs, bytes) {
  const of = (name, figure) => median(runs.get(name).map((one) => one[figure]));
  table([
    ['', ...SPREAD, 'CPU s/GB', 'peak MiB', 'wall ÷ curl', 'CPU ÷ curl'],
    ...[...runs].map(([name, figures]) => [
      name, ...spread(figures),
      (of(name, 'cpu') / (bytes / 1e9)).toFixed(2),
      (of(name, 'rss') / 1048576).toFixed(1),
      (of(name, 'wall') / of('curl', 'wall')).toFixed(2),
      (of(name, 'cpu') / of('curl', 'cpu')).toFixed(2),
    ]),
  ]);
}

/** The aria2s take what to trust as an option. */
function trusting(contender, { authority }) {
  return contender && {
    ...contender,
    command: (file) => {
      const [program, args] = contender.command(file);
      return [program, [`--ca-certificate=${authority}`, ...args]];
    },
  };
}

/** An authority for an hour and a certificate of it for 127.0.0.1: `{ authority, chain, key }`. */
function selfSigned(folder) {
  const at = (name) => path.join(folder, name);
  const openssl = (...args) => execFileSync('openssl', args, { stdio: 'ignore' });
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  openssl('req', '-x509', ...key, '-keyout', at('authority.key'), '-out', at('authority.pem'), '-subj', '/CN=bench authority', '-days', '1');
  openssl('req', '-x509', ...key, '-keyout', at('server.key'), '-out', at('server.pem'), '-subj', '/CN=127.0.0.1', '-days', '1',
    '-CA', at('authority.pem'), '-CAkey', at('authority.key'),
    '-addext', 'subjectAltName=IP:127.0.0.1', '-addext', 'basicConstraints=critical,CA:FALSE');
  return { authority: at('authority.pem'), chain: at('server.pem'), key: at('server.key') };
}
