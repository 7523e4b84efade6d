// Starts the page's module. The theme is set first so that the first paint has the right colours.
import init from "./wasm/page.js";

try {
  document.documentElement.dataset.theme = localStorage.getItem("weir-theme") ?? "system";
} catch {
  // Storage is refused: the system's theme it is.
}

init({ module_or_path: new URL("./wasm/page_bg.wasm", import.meta.url) }).catch((error) => {
  console.error(error);
  document.getElementById("app").textContent = `Weir's page could not start: ${error}`;
});
