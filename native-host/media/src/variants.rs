//! What can be chosen of a stream: its qualities, sounds and subtitles, their order and names, and which one a wish means.
//!
//! Never parses manifests. Invariant: identifiers are unique within a stream and do not depend on addresses, so
//! that a choice survives tokens in links.

use quick_m3u8::tag::hls;
use url::Url;

use crate::drm::Drm;

/// The qualities and renditions of a stream: a multivariant playlist (section 4.4.6 of the draft), or an MPD.
#[derive(Debug, Clone, PartialEq)]
pub struct Multivariant<A = Url> {
    /// Best first. I-frame variants are not among them, they are no video.
    pub variants: Vec<Variant<A>>,
    /// Alternative audio, subtitles and so on, in the playlist's order.
    pub renditions: Vec<Rendition<A>>,
    /// Every session key belongs to a DRM system.
    pub drm: Option<Drm>,
}

/// One quality.
#[derive(Debug, Clone, PartialEq)]
pub struct Variant<A = Url> {
    /// Stable for the same playlist: made of the label and the bit rate, not of the address.
    pub id: String,
    /// What a person reads: `1080p`, `720p60`, `Audio 128 kb/s`.
    pub label: String,
    /// Its media playlist.
    pub url: A,
    /// The same content elsewhere, in the playlist's order.
    pub backups: Vec<A>,
    /// Pixels.
    pub width: Option<u64>,
    /// Pixels.
    pub height: Option<u64>,
    /// Frames per second.
    pub frame_rate: Option<f64>,
    /// Bits per second, peak.
    pub bandwidth: Option<u64>,
    /// Bits per second, average.
    pub average_bandwidth: Option<u64>,
    /// RFC 6381 codecs string.
    pub codecs: Option<String>,
    /// `GROUP-ID` of its audio renditions.
    pub audio_group: Option<String>,
    /// `GROUP-ID` of its subtitles.
    pub subtitles_group: Option<String>,
    /// Sound without a picture.
    pub audio_only: bool,
}

/// What a rendition carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RenditionKind {
    /// Sound.
    Audio,
    /// Another camera.
    Video,
    /// Timed text as its own playlist.
    Subtitles,
    /// Timed text inside the video.
    ClosedCaptions,
}

/// Alternative content for a group (`EXT-X-MEDIA`, or an adaptation set of DASH).
#[derive(Debug, Clone, PartialEq)]
pub struct Rendition<A = Url> {
    /// What it carries.
    pub kind: RenditionKind,
    /// `GROUP-ID`, named by variants.
    pub group: String,
    /// Human name.
    pub name: String,
    /// RFC 5646 language.
    pub language: Option<String>,
    /// Bits per second, peak; only DASH says.
    pub bandwidth: Option<u64>,
    /// RFC 6381 codecs string; only DASH says.
    pub codecs: Option<String>,
    /// For viewers who do not know the language of a foreign passage: shown without being asked for.
    pub forced: bool,
    /// To be played unless the user chose otherwise.
    pub default: bool,
    /// May be chosen by the system's language.
    pub autoselect: bool,
    /// Its media playlist; none when it is inside the variant's own segments.
    pub url: Option<A>,
}

/// A wish that no variant fits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no quality named {wanted}")]
pub struct NoSuchQuality {
    /// As asked for.
    pub wanted: String,
}

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
        }
    }

    fn audio_only(&self) -> bool {
        self.height.is_none()
            && self.codecs.as_deref().is_some_and(|codecs| codecs.split(',').all(is_audio_codec))
    }

    /// Rows of pixels as people name them: the short side, so that an upright video is not called `1920p`.
    fn lines(&self) -> Option<u64> {
        self.height.map(|height| self.width.map_or(height, |width| width.min(height)))
    }
}

/// First parts of RFC 6381 names that carry sound.
fn is_audio_codec(codec: &str) -> bool {
    let name = codec.trim().split('.').next().unwrap_or_default().to_ascii_lowercase();
    matches!(
        name.as_str(),
        "mp4a"
            | "ac-3"
            | "ec-3"
            | "ac-4"
            | "opus"
            | "flac"
            | "alac"
            | "mp3"
            | "vorbis"
            | "dtsc"
            | "dtse"
            | "dtsh"
            | "dtsl"
            | "dtsx"
            | "iamf"
    )
}

/// Puts variants into order, names them, and folds the same content from several servers into one.
pub(crate) fn variants<A: PartialEq>(found: Vec<(Attributes, A)>) -> Vec<Variant<A>> {
    let mut folded: Vec<(Attributes, A, Vec<A>)> = Vec::new();
    for (attributes, url) in found {
        // Without a bandwidth two tags may look alike and still be different content.
        let twin =
            folded.iter().position(|(known, ..)| *known == attributes && attributes.bandwidth.is_some());
        match twin {
            Some(at) if folded[at].1 == url => {}
            Some(at) => folded[at].2.push(url),
            None => folded.push((attributes, url, Vec::new())),
        }
    }
    // Stable, so that equals keep the order their author gave them.
    folded.sort_by(|(a, ..), (b, ..)| {
        let rank = |x: &Attributes| {
            let rate = x.frame_rate.map_or(0, |rate| (rate * 1000.0) as u64);
            (!x.audio_only(), x.lines().unwrap_or(0), rate, x.bandwidth.unwrap_or(0))
        };
        rank(b).cmp(&rank(a))
    });
    let plain: Vec<String> = folded.iter().map(|(attributes, ..)| label(attributes)).collect();
    let mut ids: Vec<String> = Vec::with_capacity(folded.len());
    let mut out = Vec::with_capacity(folded.len());
    for (at, (attributes, url, backups)) in folded.into_iter().enumerate() {
        let mut label = plain[at].clone();
        let twins = plain.iter().filter(|other| **other == label).count();
        if let (true, Some(bandwidth), Some(_)) = (twins > 1, attributes.bandwidth, attributes.height) {
            label = format!("{label} {}", bit_rate(bandwidth));
        }
        let wanted = identifier(&plain[at], attributes.bandwidth);
        let id = (1..)
            .map(|n| if n == 1 { wanted.clone() } else { format!("{wanted}-{n}") })
            .find(|id| !ids.contains(id))
            .unwrap_or(wanted);
        ids.push(id.clone());
        let audio_only = attributes.audio_only();
        out.push(Variant {
            id,
            label,
            url,
            backups,
            width: attributes.width,
            height: attributes.height,
            frame_rate: attributes.frame_rate,
            bandwidth: attributes.bandwidth,
            average_bandwidth: attributes.average_bandwidth,
            codecs: attributes.codecs,
            audio_group: attributes.audio_group,
            subtitles_group: attributes.subtitles_group,
            audio_only,
        });
    }
    out
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

fn label(attributes: &Attributes) -> String {
    if let Some(lines) = attributes.lines() {
        // Film, PAL and NTSC rates go without saying.
        // Whole numbers here and below: printing floats takes 12 kB of code in the extension.
        return match attributes.frame_rate.map(|rate| rate.round() as u64) {
            Some(rate) if rate > 30 => format!("{lines}p{rate}"),
            _ => format!("{lines}p"),
        };
    }
    match (attributes.audio_only(), attributes.bandwidth) {
        (true, Some(bandwidth)) => format!("Audio {}", bit_rate(bandwidth)),
        (true, None) => "Audio".to_owned(),
        (false, Some(bandwidth)) => bit_rate(bandwidth),
        (false, None) => "Video".to_owned(),
    }
}

fn bit_rate(bits_per_second: u64) -> String {
    if bits_per_second >= 1_000_000 {
        let tenths = bits_per_second.saturating_add(50_000) / 100_000;
        format!("{}.{} Mb/s", tenths / 10, tenths % 10)
    } else {
        format!("{} kb/s", (bits_per_second + 500) / 1000)
    }
}

fn identifier(label: &str, bandwidth: Option<u64>) -> String {
    let kind = label.split(' ').next().unwrap_or_default().to_ascii_lowercase();
    match bandwidth {
        Some(bandwidth) if kind.ends_with(|c: char| c.is_ascii_digit()) && !kind.contains('p') => {
            format!("{bandwidth}bps")
        }
        Some(bandwidth) => format!("{kind}-{bandwidth}bps"),
        None => kind,
    }
}

impl<A> Multivariant<A> {
    /// The variant a wish means: `best`, `worst`, `audio`, a number of lines (`1080p`, `720`: that or the nearest
    /// below, else the lowest), or the id of a variant.
    ///
    /// # Errors
    /// The wish is none of these, or `audio` and there is no variant with sound only.
    pub fn choose(&self, quality: &str) -> Result<&Variant<A>, NoSuchQuality> {
        let wanted = quality.trim();
        let fail = || NoSuchQuality { wanted: wanted.chars().take(64).collect() };
        if let Some(variant) = self.variants.iter().find(|variant| variant.id == wanted) {
            return Ok(variant);
        }
        // Best first, so sound only variants come last; they count as video only when there is nothing else.
        let videos = || self.variants.iter().filter(|variant| !variant.audio_only);
        match wanted.to_ascii_lowercase().as_str() {
            "" | "best" => self.variants.first().ok_or_else(fail),
            "worst" => videos().next_back().or(self.variants.last()).ok_or_else(fail),
            "audio" => self.variants.iter().find(|variant| variant.audio_only).ok_or_else(fail),
            lines => {
                let (number, rate) = lines.split_once('p').unwrap_or((lines, ""));
                let (Ok(number), true) = (number.parse::<u64>(), rate.bytes().all(|b| b.is_ascii_digit()))
                else {
                    return Err(fail());
                };
                let fits = |variant: &&Variant<A>| lines_of(variant).is_some_and(|lines| lines <= number);
                let nearest = videos().find(fits).and_then(lines_of);
                let exact = |variant: &&Variant<A>| {
                    lines_of(variant) == nearest
                        && (rate.is_empty() || variant.label.split(' ').next() == Some(lines))
                };
                let chosen = nearest.and_then(|_| videos().find(exact).or_else(|| videos().find(fits)));
                chosen.or_else(|| videos().next_back()).or(self.variants.last()).ok_or_else(fail)
            }
        }
    }
}

fn lines_of<A>(variant: &Variant<A>) -> Option<u64> {
    variant.height.map(|height| variant.width.map_or(height, |width| width.min(height)))
}

impl<A> Multivariant<A> {
    /// The audio rendition that goes with a variant: the default of its group, else one that may be chosen
    /// automatically, else the first. None when the variant names no group.
    #[must_use]
    pub fn audio_for(&self, variant: &Variant<A>) -> Option<&Rendition<A>> {
        let group = variant.audio_group.as_deref()?;
        self.renditions
            .iter()
            .filter(|rendition| rendition.kind == RenditionKind::Audio && rendition.group == group)
            // The first of equals wins: `max_by_key` would take the last.
            .min_by_key(|rendition| (!rendition.default, !rendition.autoselect))
    }
}
