//! The types on the wire between the daemon, the extension and the companion page.
//!
//! Owns the JSON shapes of REST bodies, `/ws` frames and native-messaging frames, and the few constants
//! both ends must agree on. Never does I/O, never validates meaning (the daemon does), depends on serde only
//! so that the same code compiles to native and to Wasm; the feature `openapi` adds the schemas that the daemon publishes.
//!
//! Invariant: names are append-only. The golden files in `tests/golden/` hold the exact JSON; a change there
//! is a change of the contract.

mod download;
mod error;
mod event;
mod meta;
mod native;
mod nullable;
mod session;
mod settings;

pub use download::{
    Download, DownloadDetail, DownloadId, DownloadKind, DownloadPatch, DownloadStatus, Finish, MoveDownload,
    MoveTo, NewDownload, Ranges,
};
pub use error::{Action, ErrorBody, ErrorInfo, code};
pub use event::{ClientMessage, Event, Progress, Topic};
pub use meta::{Meta, MetaRequest, Rendition, Variant};
pub use native::{NativeRequest, NativeResponse};
pub use session::{Endpoint, Health, SessionRequest, Ticket};
pub use settings::{Category, QuietHours, Settings, SettingsNow, SettingsPatch, Weekday};

/// Version of the native-messaging conversation; both sides name theirs in `hello`.
pub const PROTOCOL_VERSION: u32 = 1;

/// Name under which browsers know the native-messaging host.
pub const NATIVE_HOST_NAME: &str = "app.weir.host";

/// Identifier of the extension, fixed by the `key` in `manifest/manifest.json`.
pub const EXTENSION_ID: &str = "ljphibfajlfhggimfakdofbkblhihipa";

/// Port of the daemon when none is configured.
pub const DEFAULT_PORT: u16 = 8765;

/// WebSocket subprotocol every `/ws` client asks for and the daemon answers.
pub const WS_SUBPROTOCOL: &str = "weir.v1";

/// Prefix of the second subprotocol a browser client offers: `weir.token.<token>`. Never echoed.
pub const WS_TOKEN_PREFIX: &str = "weir.token.";

/// Header that state-changing requests with a session cookie must carry, with the value `1`.
pub const CSRF_HEADER: &str = "X-Weir";

/// Header of `GET /list` with the number of rows that match, whatever the page size.
pub const TOTAL_COUNT_HEADER: &str = "X-Total-Count";
