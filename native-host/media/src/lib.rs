//! Pure media knowledge: what an address is, what a playlist says, what a file may be called.
//!
//! Never does I/O and is never async, so the same code serves the daemon and the extension's Wasm. Invariant:
//! every function here is total; text from outside yields a value or an error, never a panic.

pub mod classify;
pub mod codec;
#[cfg(feature = "dash")]
pub mod dash;
pub mod drm;
pub mod filename;
pub mod fragment;
pub mod hls;
pub mod language;
pub mod mp4;
pub mod packed;
pub mod segment;
pub mod subtitle;
pub mod ts;
pub mod variants;
