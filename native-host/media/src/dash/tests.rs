//! Manifests in, values out: one table for each kind of question.

mod addressing;
mod any_text;
mod live;
mod offer;
mod packagers;
mod periods;

use super::*;
use crate::variants::{Multivariant, Rendition};

fn base() -> Url {
    Url::parse("https://a.example/dir/list.mpd?token=1").unwrap()
}

fn mpd(text: &str) -> Mpd {
    parse(text, &base()).unwrap()
}

const EARLY: Moment = Moment { now_unix_ms: 0 };

/// A static MPD of ten seconds.
fn ten_seconds(periods: &str) -> String {
    format!(
        "<MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\" type=\"static\" mediaPresentationDuration=\"PT10S\">{periods}</MPD>"
    )
}

/// One representation of video.
fn video(id: &str, inside: &str) -> String {
    format!(
        "<AdaptationSet mimeType=\"video/mp4\"><Representation id=\"{id}\" bandwidth=\"800000\" width=\"640\" \
         height=\"360\" codecs=\"avc1.4d401e\">{inside}</Representation></AdaptationSet>"
    )
}

/// An MPD of ten seconds with one representation `v1`.
fn single(inside: &str) -> String {
    ten_seconds(&format!("<Period>{}</Period>", video("v1", inside)))
}

fn track_at(mpd: &Mpd, at: Moment) -> Result<Track, MpdError> {
    mpd.track(&mpd.offer().variants.first().expect("a variant").url, at)
}

fn track(text: &str) -> Track {
    track_at(&mpd(text), EARLY).unwrap()
}

/// Each segment as `start+length path#first-last`, times in milliseconds; `!` where decoders begin anew.
fn lines(track: &Track) -> Vec<String> {
    let path = |url: &Url| url.path().strip_prefix("/dir/").unwrap_or(url.path()).to_owned();
    let mut lines = Vec::new();
    for part in &track.parts {
        match &part.media {
            Media::Segments(segments) => lines.extend(segments.iter().map(|timed| {
                let segment = &timed.segment;
                let range = segment.byte_range.map(|range| format!("#{}-{}", range.offset, range.end() - 1));
                let anew = if segment.discontinuity { "!" } else { "" };
                let (start, length) = (timed.start_us / 1000, segment.duration.as_millis());
                format!("{anew}{start}+{length} {}{}", path(&segment.url), range.unwrap_or_default())
            })),
            Media::Indexed(indexed) => lines.push(format!("index {}", path(&indexed.url))),
            Media::Absent => lines.push("absent".to_owned()),
        }
    }
    lines
}

fn timed(track: &Track) -> Vec<&Timed> {
    fn segments(part: &Part) -> Vec<&Timed> {
        match &part.media {
            Media::Segments(segments) => segments.iter().collect::<Vec<_>>(),
            Media::Indexed(_) | Media::Absent => Vec::new(),
        }
    }
    track.parts.iter().flat_map(segments).collect()
}

fn labels(offer: &Multivariant<RepresentationId>) -> Vec<&str> {
    offer.variants.iter().map(|variant| variant.label.as_str()).collect()
}

fn name(rendition: &Rendition<RepresentationId>) -> &str {
    rendition.url.as_ref().map_or("", RepresentationId::name)
}
