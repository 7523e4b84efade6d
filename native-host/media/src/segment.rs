//! Segments: what a stream is made of, whichever kind of manifest named them.
//!
//! Never fetches or decrypts. Invariant: a byte range has at least one byte and its end is a number.

use std::sync::Arc;
use std::time::Duration;

use url::Url;

/// An absolute address, as whoever reads the playlist keeps it. The daemon uses [`Url`]; in the extension the browser's own
/// parser does, which saves the worker the tables of international domain names.
pub trait Address: Clone + PartialEq + AsRef<str> {
    /// The address `reference` has when it stands in a document at this one (RFC 3986 section 5); none when it is no
    /// reference.
    fn resolve(&self, reference: &str) -> Option<Self>;
}

impl Address for Url {
    fn resolve(&self, reference: &str) -> Option<Self> {
        // Joining leaves room to grow, which a million of them would keep; a copy has none.
        self.join(reference).ok().as_ref().cloned()
    }
}

/// A unit of media that is fetched on its own or as a range.
#[derive(Debug, Clone, PartialEq)]
pub struct Segment<A = Url> {
    /// Where it is.
    pub url: A,
    /// How long it plays.
    pub duration: Duration,
    /// Media sequence number; the implicit IV of AES-128.
    pub sequence: u64,
    /// The part of `url` it is; none for the whole.
    pub byte_range: Option<ByteRange>,
    /// How to decrypt it; none when it is in the clear.
    pub key: Option<Arc<Key<A>>>,
    /// What must come before it in the output.
    pub map: Option<Arc<Map<A>>>,
    /// Timestamps or encoding may begin anew here.
    pub discontinuity: bool,
    /// The server says this segment does not exist.
    pub gap: bool,
    /// When it was recorded, in milliseconds since 1970, where the manifest says (`EXT-X-PROGRAM-DATE-TIME`).
    pub date_ms: Option<i64>,
    /// What has to be added to the timestamps inside to get its place in the presentation, in microseconds. A manifest of
    /// DASH says so; none where only the timestamps themselves tell, as in HLS.
    pub shift_us: Option<i64>,
}

/// A part of a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByteRange {
    /// First byte.
    pub offset: u64,
    /// Number of bytes, at least 1.
    pub length: u64,
}

impl ByteRange {
    /// One past the last byte.
    #[must_use]
    pub const fn end(&self) -> u64 {
        // Checked when the playlist was read.
        self.offset.saturating_add(self.length)
    }
}

/// How segments are encrypted with a key that is handed over in the clear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encryption {
    /// Whole segments, AES-128 in CBC mode, PKCS #7 padding.
    Aes128,
    /// The same with a key of 32 bytes.
    Aes256,
    /// Parts of the samples inside the segments, AES-128 in CBC mode.
    SampleAes,
}

/// A key handed over in the clear (`KEYFORMAT=identity`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key<A = Url> {
    /// What it is used for.
    pub encryption: Encryption,
    /// Where its 16 or 32 bytes are.
    pub url: A,
    /// Initialisation vector; none means the media sequence number of the segment, big endian.
    pub iv: Option<[u8; 16]>,
}

impl<A> Key<A> {
    /// The vector for a segment (section 5.2 of the draft).
    #[must_use]
    pub fn iv_for(&self, sequence: u64) -> [u8; 16] {
        self.iv.unwrap_or_else(|| u128::from(sequence).to_be_bytes())
    }
}

/// Initialisation section (`EXT-X-MAP`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Map<A = Url> {
    /// Where it is.
    pub url: A,
    /// The part of `url` it is; none for the whole.
    pub byte_range: Option<ByteRange>,
    /// How to decrypt it.
    pub key: Option<Arc<Key<A>>>,
    /// Sequence number of the first segment it stands before, for an implicit IV.
    pub sequence: u64,
}
