// The worker's listeners. The browser demands that they are registered in the worker's first turn, and Wasm cannot
// start within one: so each of them hands its event on once Wasm is there. Nothing is decided here.

import init, * as weir from "./wasm/background.js";

const started = performance.now();

/** Resolves once Wasm runs and has loaded what was stored. */
const ready = init({ module_or_path: new URL("./wasm/background_bg.wasm", import.meta.url) })
  .then(() => weir.start())
  .then(() => {
    performance.measure("weir-ready", { start: started, end: performance.now() });
  });
ready.catch((error) => console.error("Weir's worker cannot start", error));

/** A listener that calls one of Wasm's functions, after all events that came before. */
const to = (handle) => (...event) => {
  ready.then(() => handle(...event)).catch((error) => console.error("Weir's worker failed at an event", error));
};

// Pictures, styles, fonts and scripts are what pages are made of, never what is downloaded here; playlists that call
// themselves pictures are fetched by scripts all the same.
const requests = {
  urls: ["http://*/*", "https://*/*"],
  types: ["main_frame", "sub_frame", "object", "xmlhttprequest", "media", "other"],
};
const { webRequest, webNavigation, tabs, runtime } = chrome;

// Redirects need no listener: the request is sent again under the same id, and the first address is kept.
webRequest.onSendHeaders.addListener(to(weir.request_sent), requests, ["requestHeaders", "extraHeaders"]);
webRequest.onResponseStarted.addListener(to(weir.response_started), requests, ["responseHeaders"]);
webRequest.onErrorOccurred.addListener(to(weir.request_failed), requests);

webNavigation.onCommitted.addListener(to(weir.navigated));
tabs.onUpdated.addListener(to((tabId, change) => {
  if (change.url !== undefined || change.title !== undefined) weir.tab_updated(tabId, change);
}));
tabs.onRemoved.addListener(to(weir.tab_removed));

runtime.onInstalled.addListener(to(weir.installed));
runtime.onStartup.addListener(to(weir.installed));

// Only the extension's own pages may ask; a page of the web has no way here, and shall have none by accident.
runtime.onMessage.addListener((message, sender, answer) => {
  if (sender.id !== runtime.id || !sender.url?.startsWith(runtime.getURL(""))) return false;
  ready.then(() => weir.message(message)).then(answer, (error) => {
    console.error("Weir's worker cannot answer", error);
    answer(undefined);
  });
  return true;
});
