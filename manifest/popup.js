// Starts the popup's module; everything else is Rust.
import init from "./wasm/popup.js";

init({ module_or_path: new URL("./wasm/popup_bg.wasm", import.meta.url) }).catch((error) => {
  console.error(error);
  document.getElementById("app").textContent = `Weir's popup could not start: ${error}`;
});
