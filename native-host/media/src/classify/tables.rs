//! The names media goes by. Data only: what a hit means is decided beside the verdicts.
//!
//! Invariant: everything is lower case, without parameters and without dots.

/// Content types of HLS playlists seen in the wild; RFC 8216 section 4 names the first and `audio/mpegurl`.
pub(super) const HLS_TYPES: &[&str] = &[
    "application/vnd.apple.mpegurl",
    "application/x-mpegurl",
    "application/mpegurl",
    "application/octet-stream-m3u8",
    "application/vnd.apple.mpegurl.audio",
    "audio/mpegurl",
    "audio/x-mpegurl",
    "audio/vnd.apple.mpegurl",
    "video/mpegurl",
    "video/x-mpegurl",
    "video/vnd.apple.mpegurl",
    "vnd.apple.mpegurl",
];

/// DASH.
pub(super) const DASH_TYPES: &[&str] = &["application/dash+xml", "video/vnd.mpeg.dash.mpd"];

/// Smooth Streaming and HDS.
pub(super) const FOREIGN_MANIFEST_TYPES: &[&str] =
    &["application/vnd.ms-sstr+xml", "application/f4m", "application/f4m+xml"];

/// Types that say nothing, so that the name decides.
pub(super) const GENERIC_TYPES: &[&str] = &[
    "application/octet-stream",
    "binary/octet-stream",
    "application/x-octet-stream",
    "application/binary",
    "application/force-download",
    "application/x-download",
    "application/download",
    "text/plain",
];

/// Types of pieces of streams.
pub(super) const SEGMENT_TYPES: &[&str] =
    &["video/mp2t", "video/mp2ts", "video/iso.segment", "audio/iso.segment", "application/m4s"];

/// Extensions of pieces of streams.
pub(super) const SEGMENT_EXTENSIONS: &[&str] =
    &["ts", "m4s", "m4f", "cmfv", "cmfa", "cmft", "cmfm", "mp4s", "dash"];

/// First words of the names of pieces that wear a file's extension.
pub(super) const SEGMENT_STEMS: &[&str] = &["init", "seg", "segment", "chunk", "frag", "fragment"];

/// Names under which playlists hide behind `.txt` or no extension at all.
pub(super) const PLAYLIST_STEMS: &[&str] =
    &["master", "playlist", "index", "manifest", "chunklist", "media", "hls", "stream", "prog_index"];

/// Subtitle types that call themselves audio or video nowhere, listed so that nobody adds them to media.
pub(super) const SUBTITLE_TYPES: &[&str] = &["video/vtt", "audio/vtt"];

/// Extensions of audio and video files.
pub(super) const MEDIA_EXTENSIONS: &[&str] = &[
    "mp4", "m4v", "f4v", "flv", "hlv", "mov", "mkv", "webm", "avi", "wmv", "asf", "mpeg", "mpg", "mpeg4",
    "movie", "divx", "vid", "3gp", "3g2", "ogv", "ogm", "m2t", "m2ts", "mts", "vob", "mp3", "m4a", "m4b",
    "aac", "wav", "wma", "ogg", "oga", "opus", "flac", "weba", "mka", "aiff", "aif", "ac3", "alac",
];

/// Types of archives, documents and installers.
pub(super) const ARCHIVE_AND_DOCUMENT_TYPES: &[&str] = &[
    "application/pdf",
    "application/epub+zip",
    "application/zip",
    "application/x-zip-compressed",
    "application/x-7z-compressed",
    "application/vnd.rar",
    "application/x-rar-compressed",
    "application/gzip",
    "application/x-gzip",
    "application/x-tar",
    "application/x-gtar",
    "application/x-bzip2",
    "application/x-xz",
    "application/zstd",
    "application/x-iso9660-image",
    "application/x-apple-diskimage",
    "application/vnd.debian.binary-package",
    "application/x-debian-package",
    "application/x-rpm",
    "application/vnd.android.package-archive",
    "application/java-archive",
    "application/x-msdownload",
    "application/x-msdos-program",
    "application/x-msi",
    "application/vnd.microsoft.portable-executable",
    "application/x-bittorrent",
    "application/msword",
    "application/vnd.ms-excel",
    "application/vnd.ms-powerpoint",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    "application/vnd.oasis.opendocument.text",
    "application/vnd.oasis.opendocument.spreadsheet",
    "application/vnd.oasis.opendocument.presentation",
    "application/x-mobipocket-ebook",
];

/// Extensions of archives, documents and installers.
pub(super) const ARCHIVE_AND_DOCUMENT_EXTENSIONS: &[&str] = &[
    "zip", "7z", "rar", "gz", "tgz", "tar", "bz2", "tbz2", "xz", "txz", "zst", "lz", "lzma", "cab", "iso",
    "img", "dmg", "pkg", "deb", "rpm", "apk", "appimage", "exe", "msi", "jar", "torrent", "pdf", "epub",
    "mobi", "azw3", "djvu", "doc", "docx", "xls", "xlsx", "ppt", "pptx", "odt", "ods", "odp", "rtf", "bin",
];
