//! Order, labels and identifiers.
//!
//! Never drops content: what is folded stays as a backup. Invariant: identifiers are unique, and the same manifest gives the
//! same ones.

use super::{Attributes, Rendition, RenditionKind, Variant};

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
        let id = unique(identifier(&plain[at], attributes.bandwidth), &ids);
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

/// Gives every rendition an identifier made of its kind, its language and its place among its like.
pub(crate) fn name_renditions<A>(renditions: &mut [Rendition<A>]) {
    let mut ids: Vec<String> = Vec::with_capacity(renditions.len());
    for rendition in renditions {
        let kind = match rendition.kind {
            RenditionKind::Audio => "audio",
            RenditionKind::Video => "video",
            RenditionKind::Subtitles => "subs",
            RenditionKind::ClosedCaptions => "captions",
        };
        let mut wanted = kind.to_owned();
        let tag = rendition.language.iter().flat_map(|language| language.split(['-', '_']));
        let plain = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric());
        // Longer parts are no language, and an identifier is for people too.
        for part in tag.filter(plain).filter(|part| part.len() <= 8).take(4) {
            wanted.push('-');
            wanted.push_str(&part.to_ascii_lowercase());
        }
        if rendition.forced {
            wanted.push_str("-forced");
        }
        rendition.id = unique(wanted, &ids);
        ids.push(rendition.id.clone());
    }
}

/// The wanted identifier, or one with a number behind it.
fn unique(wanted: String, taken: &[String]) -> String {
    if !taken.contains(&wanted) {
        return wanted;
    }
    // Those who wanted the same came before and took the numbers below; without counting them, a list of equals would cost
    // the cube of its length.
    let number = |id: &String| {
        let rest = id.strip_prefix(&wanted).and_then(|rest| rest.strip_prefix('-'));
        rest.is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let free = taken.iter().filter(|id| number(id)).count() + 2;
    (free..).map(|n| format!("{wanted}-{n}")).find(|id| !taken.contains(id)).unwrap_or(wanted)
}
