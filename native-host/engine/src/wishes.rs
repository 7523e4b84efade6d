//! What is wanted of a stream beside its quality.
//!
//! Pure values. Invariant: the default is what a person gets who never asked: the stream's own sound, no subtitles, the
//! whole of it, and no holes.

use std::time::Duration;

/// Languages, codecs and limits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wishes {
    /// Languages of the sound (RFC 5646), most wanted first; `pt` takes `pt-BR` too. Empty takes the stream's default.
    pub audio_languages: Vec<String>,
    /// Languages of subtitles, or `all`. Empty takes none.
    pub subtitles: Vec<String>,
    /// Where subtitles go.
    pub subtitle_form: SubtitleForm,
    /// Picture and sound codecs by their common names (`av1`, `hevc`, `h264`, `vp9`, `opus`, `aac`, …), most wanted first;
    /// they decide among equals of resolution.
    pub codecs: Vec<String>,
    /// A live stream is recorded for at most as long.
    pub live_limit: Option<Duration>,
    /// A live stream begins with the oldest the server still has, not with now.
    pub live_from_start: bool,
    /// Segments that cannot be had are left out, and the result is named partial.
    pub holes: bool,
}

/// Where subtitles go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SubtitleForm {
    /// Into the file.
    #[default]
    Embedded,
    /// Beside it, as `NAME.LANGUAGE.vtt`.
    Vtt,
    /// Beside it, as `NAME.LANGUAGE.srt`.
    Srt,
}

impl SubtitleForm {
    /// Every form there is.
    pub const ALL: [Self; 3] = [Self::Embedded, Self::Vtt, Self::Srt];

    /// The name on the wire and on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::Vtt => "vtt",
            Self::Srt => "srt",
        }
    }

    /// The form with this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|form| form.as_str() == name)
    }
}
