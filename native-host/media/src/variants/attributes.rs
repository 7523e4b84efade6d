//! What a manifest says about one quality.
//!
//! Never looks at addresses. Invariant: a value that makes no sense (no bits, no frames) is not there.

use super::codec;
use crate::hls::line;

/// What a `STREAM-INF` tag says about one variant.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Attributes {
    pub(crate) width: Option<u64>,
    pub(crate) height: Option<u64>,
    pub(crate) frame_rate: Option<f64>,
    pub(crate) bandwidth: Option<u64>,
    pub(crate) average_bandwidth: Option<u64>,
    pub(crate) codecs: Option<String>,
    pub(crate) audio_group: Option<String>,
    pub(crate) subtitles_group: Option<String>,
    /// The manifest says that there is nothing to see; HLS leaves that to the codecs.
    pub(crate) sound_only: bool,
}

impl Attributes {
    /// What a `STREAM-INF` tag says (section 4.4.6.2 of the draft). None of it is required: without its bandwidth a variant
    /// is still a variant.
    pub(crate) fn from_tag(tag: line::Attributes<'_>) -> Self {
        let number =
            |name| tag.get(name).and_then(|text| text.parse::<u64>().ok()).filter(|number| *number > 0);
        let (width, height) = tag.get("RESOLUTION").and_then(|text| text.split_once(['x', 'X'])).unzip();
        let pixels = |text: Option<&str>| text.and_then(|text| text.trim().parse().ok());
        Self {
            width: pixels(width),
            height: pixels(height),
            frame_rate: tag.get("FRAME-RATE").and_then(decimal).filter(|rate| *rate > 0.0),
            bandwidth: number("BANDWIDTH"),
            average_bandwidth: number("AVERAGE-BANDWIDTH"),
            codecs: tag.text("CODECS"),
            audio_group: tag.text("AUDIO"),
            subtitles_group: tag.text("SUBTITLES"),
            sound_only: false,
        }
    }

    pub(super) fn audio_only(&self) -> bool {
        self.sound_only || (self.height.is_none() && self.codecs.as_deref().is_some_and(codec::only_sound))
    }

    /// See [`super::Variant::lines`].
    pub(super) fn lines(&self) -> Option<u64> {
        super::lines(self.width, self.height)
    }
}

/// A number with up to three decimals, as a frame rate has (section 4.4.6.2). By hand, because a reader of floats weighs
/// 10 kB in the extension.
fn decimal(text: &str) -> Option<f64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let thousandths = |digit: usize| match fraction.as_bytes().get(digit) {
        None => Some(0),
        Some(byte) if byte.is_ascii_digit() => Some(u32::from(byte - b'0')),
        Some(_) => None,
    };
    let fraction = thousandths(0)? * 100 + thousandths(1)? * 10 + thousandths(2)?;
    let whole: u32 = whole.parse().ok()?;
    Some((f64::from(whole) * 1000.0 + f64::from(fraction)) / 1000.0)
}
