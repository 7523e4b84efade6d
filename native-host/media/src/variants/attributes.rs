//! What a manifest says about one quality.
//!
//! Never looks at addresses. Invariant: a value that makes no sense (no bits, no frames) is not there.

use quick_m3u8::tag::hls;

use super::codec;

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
    pub(crate) fn from_tag(tag: &hls::StreamInf<'_>) -> Self {
        let resolution = tag.resolution();
        Self {
            width: resolution.map(|resolution| resolution.width),
            height: resolution.map(|resolution| resolution.height),
            frame_rate: tag.frame_rate().filter(|rate| rate.is_finite() && *rate > 0.0),
            bandwidth: Some(tag.bandwidth()).filter(|bandwidth| *bandwidth > 0),
            average_bandwidth: tag.average_bandwidth().filter(|bandwidth| *bandwidth > 0),
            codecs: tag.codecs().map(str::to_owned),
            audio_group: tag.audio().map(str::to_owned),
            subtitles_group: tag.subtitles().map(str::to_owned),
            sound_only: false,
        }
    }

    /// For a tag the reader refused, usually because the required bandwidth is missing: the few attributes that
    /// matter, found by name.
    pub(crate) fn from_text(line: &str) -> Self {
        let value = |name: &str| {
            let at = line
                .match_indices(name)
                .map(|(at, _)| at)
                .find(|&at| at > 0 && matches!(line.as_bytes()[at - 1], b':' | b',' | b' '))?;
            let rest = line[at + name.len()..].strip_prefix('=')?;
            Some(match rest.strip_prefix('"') {
                Some(quoted) => quoted.split('"').next().unwrap_or_default(),
                None => rest.split(',').next().unwrap_or_default().trim(),
            })
        };
        let (width, height) = value("RESOLUTION").and_then(|text| text.split_once(['x', 'X'])).unzip();
        Self {
            width: width.and_then(|text| text.parse().ok()),
            height: height.and_then(|text| text.parse().ok()),
            frame_rate: value("FRAME-RATE").and_then(decimal).filter(|rate| *rate > 0.0),
            bandwidth: value("BANDWIDTH")
                .and_then(|text| text.parse().ok())
                .filter(|bandwidth| *bandwidth > 0),
            average_bandwidth: value("AVERAGE-BANDWIDTH").and_then(|text| text.parse().ok()),
            codecs: value("CODECS").map(str::to_owned),
            audio_group: value("AUDIO").map(str::to_owned),
            subtitles_group: value("SUBTITLES").map(str::to_owned),
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

/// A number with up to three decimals, as a frame rate has (section 4.4.6.2). By hand, because the tables of another
/// float parser beside the line reader's would take 5 kB in the extension.
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
