// A whole machine in a temporary folder: Weir's home, a download folder, a browser profile with the built extension
// and its native messaging, and the daemon the browser starts through it.
//
// Never touches the real home, the real profile or a daemon that was there before. Invariant: `close()` leaves no
// process behind, and no file in a folder it made itself.

import { execFile, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { chromium } from 'playwright-core';

const run = promisify(execFile);

const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
/** The built extension. */
export const EXTENSION = path.join(ROOT, 'dist/extension');
/** Its ID, fixed by the `key` of its manifest. */
export const EXTENSION_ID = 'ljphibfajlfhggimfakdofbkblhihipa';

/** Waits until `probe` answers something true, and answers that. */
export async function until(what, probe, { timeout = 15_000, every = 50 } = {}) {
  const deadline = Date.now() + timeout;
  for (;;) {
    const value = await probe();
    if (value) return value;
    if (Date.now() > deadline) throw new Error(`waited ${timeout} ms in vain for: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, every));
  }
}

/** Path of the program under test: `$WEIR`, or the debug build. */
export async function program() {
  if (process.env.WEIR) return path.resolve(process.env.WEIR);
  const { stdout } = await run('cargo', ['metadata', '--format-version', '1', '--no-deps'], { cwd: ROOT, maxBuffer: 1 << 26 });
  return path.join(JSON.parse(stdout).target_directory, 'debug', 'weir');
}

/** Switches of a Chromium that has the extension, and does nothing on its own account. */
export function chromiumArgs({ headless = true } = {}) {
  return [
    ...(headless ? ['--headless=new', '--disable-gpu'] : []),
    // Chromium refuses its sandbox to root, which is who runs tests in containers.
    ...(process.getuid?.() === 0 || headless ? ['--no-sandbox'] : []),
    '--disable-quic', '--no-first-run', '--no-default-browser-check', '--disable-background-networking',
    '--disable-component-update', '--disable-sync',
    `--disable-extensions-except=${EXTENSION}`, `--load-extension=${EXTENSION}`,
  ];
}

export class Machine {
  /** `{ folder, home, downloads, profile }`, all temporary. */
  folders;
  /** Playwright's context of the running browser. */
  context;

  /**
   * A machine with Weir installed for its browser profile, unless `installed` is false. `port` is the daemon's
   * (0: any free one). `keep` names a folder to use that stays behind. Starts nothing yet.
   */
  static async make({ installed = true, port = 0, keep = null, env = {} } = {}) {
    const machine = new Machine();
    machine.kept = keep !== null;
    const folder = keep ?? (await mkdtemp(path.join(tmpdir(), 'weir-e2e-')));
    machine.folders = {
      folder,
      home: path.join(folder, 'home'),
      downloads: path.join(folder, 'downloads'),
      profile: path.join(folder, 'profile'),
    };
    for (const one of [machine.folders.downloads, machine.folders.profile]) await mkdir(one, { recursive: true });
    machine.weir = await program();
    machine.env = {
      ...process.env,
      WEIR_HOME: machine.folders.home,
      WEIR_DOWNLOAD_DIR: machine.folders.downloads,
      WEIR_PORT: String(port),
      // Messages of the browser's own words would make the tests speak the language of whoever runs them.
      LANG: 'C.UTF-8',
      ...env,
    };
    if (installed) await machine.install();
    return machine;
  }

  /** Registers native messaging for this machine's profile and nothing else. */
  async install() {
    await this.command('install', '--user-data-dir', this.folders.profile);
  }

  /** Runs `weir …` on this machine. Answers `{ stdout, stderr }`; a failure throws. */
  async command(...args) {
    return run(this.weir, args, { env: this.env, maxBuffer: 1 << 26 });
  }

  /** Starts Chromium with the extension. */
  async browse({ colorScheme = 'light', viewport = { width: 1000, height: 800 } } = {}) {
    this.context = await chromium.launchPersistentContext(this.folders.profile, {
      executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
      headless: false,
      args: chromiumArgs(),
      ignoreDefaultArgs: ['--disable-extensions'],
      env: this.env,
      colorScheme,
      viewport,
    });
    this.context.setDefaultTimeout(15_000);
    const ours = (worker) => worker.url().includes(EXTENSION_ID);
    const worker = this.context.serviceWorkers().find(ours)
      || (await this.context.waitForEvent('serviceworker', { predicate: ours, timeout: 15_000 }));
    // The extension was installed this instant: until its worker has run once, the browser knows none of its listeners.
    await until('the worker to be ready', () => worker.evaluate(() => performance.getEntriesByName('weir-ready').length).catch(() => 0));
    return this.context;
  }

  /** Runs `body(argument)` in a document of the extension, where the browser's extension interfaces are. */
  async inExtension(body, argument) {
    if (!this.bench || this.bench.isClosed()) {
      this.bench = await this.context.newPage();
      // The plainest document of the extension: its scripts must not run just because a test looks around.
      await this.bench.goto(`chrome-extension://${EXTENSION_ID}/manifest.json`);
    }
    return this.bench.evaluate(body, argument);
  }

  /** Opens `url` in a tab of its own. Answers `{ page, tab }`, the latter being the browser's number for it. */
  async open(url) {
    const page = await this.context.newPage();
    await page.goto(url);
    const tab = await this.inExtension(async (wanted) => {
      const tabs = await chrome.tabs.query({});
      return tabs.filter((one) => one.url === wanted).at(-1)?.id;
    }, page.url());
    return { page, tab };
  }

  /** Text of the badge on a tab. */
  async badge(tab) {
    return this.inExtension((tabId) => chrome.action.getBadgeText({ tabId }), tab);
  }

  /** Opens the popup of a tab as a page of its own, as wide as the real one. */
  async popup(tab) {
    const popup = await this.context.newPage();
    await popup.setViewportSize({ width: 400, height: 600 });
    await popup.goto(`chrome-extension://${EXTENSION_ID}/popup.html?tab=${tab}`);
    return popup;
  }

  /** Stops the extension's worker, as the browser does when it is idle. It starts again at the next event. */
  async stopWorker() {
    await this.inExtension(() => 0);
    const session = await this.context.newCDPSession(this.bench);
    await session.send('ServiceWorker.enable');
    await session.send('ServiceWorker.stopAllWorkers');
    await until('the worker to stop', async () => {
      const { targetInfos } = await session.send('Target.getTargets');
      return !targetInfos.some((target) => target.type === 'service_worker' && target.url.includes(EXTENSION_ID));
    });
    await session.detach();
  }

  /** Value of `expression` in the extension's worker; nothing when it does not run. */
  async inWorker(expression) {
    const session = await this.context.browser().newBrowserCDPSession();
    try {
      const { targetInfos } = await session.send('Target.getTargets');
      const worker = targetInfos.find((target) => target.type === 'service_worker' && target.url.includes(EXTENSION_ID));
      if (!worker) return undefined;
      const { sessionId } = await session.send('Target.attachToTarget', { targetId: worker.targetId, flatten: false });
      const answer = new Promise((resolve) => {
        session.on('Target.receivedMessageFromTarget', (event) => {
          const message = JSON.parse(event.message);
          if (event.sessionId === sessionId && message.id === 1) resolve(message.result?.result?.value);
        });
      });
      const message = JSON.stringify({ id: 1, method: 'Runtime.evaluate', params: { expression, returnByValue: true } });
      await session.send('Target.sendMessageToTarget', { sessionId, message });
      return await answer;
    } finally {
      await session.detach();
    }
  }

  /** Content of `endpoint.json`, or nothing while no daemon runs. */
  async endpoint() {
    try {
      return JSON.parse(await readFile(path.join(this.folders.home, 'endpoint.json'), 'utf8'));
    } catch {
      return null;
    }
  }

  /** Asks the daemon: `{ status, headers, body }`. */
  async api(method, route, body) {
    const { url, token } = await this.endpoint();
    const response = await fetch(url + route, {
      method,
      headers: { authorization: `Bearer ${token}`, ...(body ? { 'content-type': 'application/json' } : {}) },
      body: body ? JSON.stringify(body) : undefined,
    });
    const text = await response.text();
    return { status: response.status, headers: response.headers, body: text ? JSON.parse(text) : null };
  }

  /** Starts the daemon without a browser. */
  async serve() {
    const child = spawn(this.weir, ['serve'], { env: this.env, stdio: ['ignore', 'ignore', 'pipe'] });
    let said = '';
    child.stderr.on('data', (text) => { said = (said + text).slice(-4000); });
    await until('the daemon to listen', async () => {
      if (child.exitCode !== null) throw new Error(`weir serve ended with ${child.exitCode}: ${said}`);
      const endpoint = await this.endpoint();
      return endpoint && endpoint.pid === child.pid && isOk(endpoint.url);
    });
    return child;
  }

  /** Ends the daemon, gently or not, and waits until it is gone. */
  async stopDaemon(signal = 'SIGTERM') {
    const endpoint = await this.endpoint();
    if (!endpoint || !isAlive(endpoint.pid)) return null;
    process.kill(endpoint.pid, signal);
    await until(`the daemon to end on ${signal}`, () => !isAlive(endpoint.pid));
    return endpoint;
  }

  /** Ends everything and removes the folder, unless it is to be kept. */
  async close() {
    await this.context?.close();
    try {
      await this.stopDaemon();
    } catch {
      await this.stopDaemon('SIGKILL');
    }
    if (!this.kept) await rm(this.folders.folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  }
}

async function isOk(url) {
  return fetch(`${url}/health`).then((response) => response.ok, () => false);
}

/** A process that is a zombie waits only for its parent to look: it is gone. */
function isAlive(pid) {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  return !processState(pid).startsWith('Z');
}

function processState(pid) {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1);
  } catch {
    return '';
  }
}
