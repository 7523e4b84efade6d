//! What went wrong, in the user's words, with the one thing to do about it.

use serde::{Deserialize, Serialize};

/// The one button a failed row offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Try again; what is on disk is kept.
    Retry,
    /// Begin again from nothing, because the content changed.
    StartOver,
    /// Install ffmpeg, then retry.
    InstallFfmpeg,
    /// Install yt-dlp (`weir tools install yt-dlp`), then retry.
    InstallYtDlp,
    /// `retry`, or `finish`: take what is there and leave out what cannot be had.
    KeepPartial,
    /// Make room on the disk, then retry.
    FreeSpace,
    /// Choose another folder or repair this one.
    CheckFolder,
    /// Open the page again, sign in or get a fresh link, then retry.
    OpenPage,
    /// Correct the input.
    EditInput,
    /// Run the installer of the native host.
    InstallHost,
    /// Bring extension and host to the same version.
    Update,
    /// Get a session: `weir open`, or the button in the popup.
    SignIn,
    /// An action this client does not know yet.
    #[serde(other)]
    Unknown,
}

/// A failure as every client shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ErrorInfo {
    /// Stable, snake_case, append-only: see [`code`].
    pub code: String,
    /// One sentence in the user's words.
    pub message: String,
    /// What to do about it.
    pub action: Option<Action>,
}

/// Body of every answer that is not a success.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ErrorBody {
    /// The failure.
    pub error: ErrorInfo,
}

/// Codes, append-only. Which HTTP status belongs to which is decided by the daemon's `api::error`.
pub mod code {
    /// The body, the query or a field is not what it should be.
    pub const BAD_REQUEST: &str = "bad_request";
    /// Not an absolute `http` or `https` address.
    pub const BAD_URL: &str = "bad_url";
    /// No token or session, or a wrong one.
    pub const UNAUTHORIZED: &str = "unauthorized";
    /// Asked by a page that has no business here.
    pub const FORBIDDEN_ORIGIN: &str = "forbidden_origin";
    /// The `Host` header does not name this daemon.
    pub const WRONG_HOST: &str = "wrong_host";
    /// Nothing has this name or number.
    pub const NOT_FOUND: &str = "not_found";
    /// The route exists, the method does not.
    pub const METHOD_NOT_ALLOWED: &str = "method_not_allowed";
    /// The body is not JSON by its `Content-Type`.
    pub const UNSUPPORTED_MEDIA_TYPE: &str = "unsupported_media_type";
    /// The body is larger than its limit.
    pub const TOO_LARGE: &str = "too_large";
    /// Too many wrong tokens.
    pub const TOO_MANY_REQUESTS: &str = "too_many_requests";
    /// Pausing what does not run, resuming what is not paused and the like.
    pub const ILLEGAL_TRANSITION: &str = "illegal_transition";
    /// The environment or the command line sets this, which wins over `config.toml`.
    pub const SETTING_OVERRIDDEN: &str = "setting_overridden";
    /// The daemon's own fault.
    pub const INTERNAL: &str = "internal";
    /// The server could not be found, reached or understood.
    pub const UNREACHABLE: &str = "unreachable";
    /// The server fell silent.
    pub const TIMEOUT: &str = "timeout";
    /// This machine has no network; the download waits for it.
    pub const OFFLINE: &str = "offline";
    /// The secure connection failed.
    pub const TLS: &str = "tls";
    /// The server refused: 401, 403 or a login page where a file was expected.
    pub const LOGIN_REQUIRED: &str = "login_required";
    /// The server says the file is not there: 404, 410.
    pub const GONE: &str = "gone";
    /// Any other answer that is not a success.
    pub const HTTP_STATUS: &str = "http_status";
    /// The server sent less, more or other bytes than it announced.
    pub const BROKEN_TRANSFER: &str = "broken_transfer";
    /// What is on the server is no longer what was begun.
    pub const CONTENT_CHANGED: &str = "content_changed";
    /// The finished file does not have the stated hash.
    pub const CHECKSUM_MISMATCH: &str = "checksum_mismatch";
    /// The playlist is empty, cut, HTML or no playlist at all.
    pub const BAD_PLAYLIST: &str = "bad_playlist";
    /// A segment cannot be had; the file would have a hole.
    pub const SEGMENT_MISSING: &str = "segment_missing";
    /// The MPD is empty, cut, HTML or no MPD at all.
    pub const BAD_MANIFEST: &str = "bad_manifest";
    /// A live stream ended before anything of it was there.
    pub const NOTHING_RECORDED: &str = "nothing_recorded";
    /// No yt-dlp on this machine.
    pub const YT_DLP_MISSING: &str = "yt_dlp_missing";
    /// yt-dlp could not download the page.
    pub const SITE_FAILED: &str = "site_failed";
    /// No longer used: a playlist of something that is still going on.
    pub const LIVE_UNSUPPORTED: &str = "live_unsupported";
    /// Protected by DRM, which Weir does not touch.
    pub const DRM_PROTECTED: &str = "drm_protected";
    /// An encryption method or feature this version does not know.
    pub const UNSUPPORTED_MEDIA: &str = "unsupported_media";
    /// No ffmpeg on this machine.
    pub const FFMPEG_MISSING: &str = "ffmpeg_missing";
    /// ffmpeg could not put the streams together.
    pub const MUX_FAILED: &str = "mux_failed";
    /// The finished media is shorter or longer than its playlist says.
    pub const DURATION_MISMATCH: &str = "duration_mismatch";
    /// No room on the disk.
    pub const DISK_FULL: &str = "disk_full";
    /// The folder cannot be written or has gone.
    pub const FOLDER_UNWRITABLE: &str = "folder_unwritable";
    /// Another process works on the same file.
    pub const FILE_BUSY: &str = "file_busy";
    /// Downloading from the daemon's own door.
    pub const OWN_ADDRESS: &str = "own_address";
    /// The finished file is no longer where it was put.
    pub const FILE_MISSING: &str = "file_missing";
    /// The desktop could not, or must not, open the file.
    pub const CANNOT_OPEN: &str = "cannot_open";
    /// A native-messaging frame that cannot be read.
    pub const BAD_FRAME: &str = "bad_frame";
    /// The caller is not an extension this host serves.
    pub const FORBIDDEN_EXTENSION: &str = "forbidden_extension";
    /// Extension and host speak different protocol versions.
    pub const VERSION_MISMATCH: &str = "version_mismatch";
    /// The daemon did not start; the message says why.
    pub const DAEMON_UNAVAILABLE: &str = "daemon_unavailable";
    /// Another program holds the port.
    pub const PORT_BUSY: &str = "port_busy";
    /// The proxy cannot be reached, refuses, or wants a login.
    pub const PROXY_FAILED: &str = "proxy_failed";
    /// The checksum that was to be compared is not where it should be.
    pub const CHECKSUM_UNAVAILABLE: &str = "checksum_unavailable";
}
