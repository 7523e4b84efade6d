// An nginx of our own, with its own configuration, folder and port.

import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { freePort, start } from '../measure.mjs';

export const NGINX = process.env.NGINX || '/usr/sbin/nginx';

/** Serves the files of `root`; `directives` go into the server block; `ssl` needs a certificate there. Answers `{ url, close }`. */
export async function nginx(own, root, directives = '', ssl = '') {
  const port = await freePort();
  await mkdir(path.join(own, 'logs'), { recursive: true });
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${own}/${name};`);
  await writeFile(path.join(own, 'nginx.conf'), `
${process.getuid() === 0 ? 'user root;' : ''}
worker_processes 2;
pid ${own}/pid;
error_log ${own}/logs/error.log;
events { worker_connections 256; }
http {
  ${temporary.join(' ')}
  access_log off;
  sendfile on;
  tcp_nopush on;
  server { listen 127.0.0.1:${port} ${ssl}; root ${root}; ${directives} }
}
`);
  const child = start(NGINX, ['-p', own, '-c', path.join(own, 'nginx.conf'), '-g', 'daemon off;'], { stdio: 'inherit' });
  const close = () => child.kill('SIGTERM');
  for (let tries = 0; tries < 200; tries += 1) {
    if (child.exitCode !== null) throw new Error('nginx did not start');
    // Over TLS a plain request is answered too, with a 400.
    const up = await fetch(`http://127.0.0.1:${port}/`).then(() => true, () => false);
    if (up) return { url: `${ssl ? 'https' : 'http'}://127.0.0.1:${port}`, close };
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  close();
  throw new Error('nginx did not answer');
}
