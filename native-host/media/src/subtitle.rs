//! Timed text: cues, and the two forms in which they are written.
//!
//! Pure. Never loses a cue that has text and a time. Invariant: written cues are in order, and what one player would show
//! once is written once.

pub mod boxed;
#[cfg(feature = "dash")]
pub mod ttml;
pub mod webvtt;

use std::fmt::Write as _;

/// Cues of the same text that are no further apart are one that was cut at the border of a segment.
const TOUCHING_US: i64 = 10_000;

/// Text that is shown for a while.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cue {
    /// Microseconds from the beginning of its clock.
    pub start_us: i64,
    /// Microseconds, after `start_us`.
    pub end_us: i64,
    /// As WebVTT writes it: tags and entities, lines parted by `\n`, none of them empty.
    pub text: String,
    /// WebVTT's settings of the place, as they came.
    pub settings: String,
}

/// Puts cues in order, and makes one of what was repeated in every segment it plays in.
#[must_use]
pub fn merged(mut cues: Vec<Cue>) -> Vec<Cue> {
    cues.retain(|cue| cue.end_us > cue.start_us && !cue.text.trim().is_empty());
    cues.sort_by_key(|cue| (cue.start_us, cue.end_us));
    let mut out: Vec<Cue> = Vec::with_capacity(cues.len());
    for cue in cues {
        // Few are shown at a time, so one that is still open is near.
        let open = out.iter_mut().rev().take(32).find(|one| {
            one.text == cue.text
                && one.settings == cue.settings
                && cue.start_us <= one.end_us.saturating_add(TOUCHING_US)
        });
        match open {
            Some(one) => one.end_us = one.end_us.max(cue.end_us),
            None => out.push(cue),
        }
    }
    out
}

/// A WebVTT file.
#[must_use]
pub fn to_webvtt(cues: &[Cue]) -> String {
    let mut out = String::from("WEBVTT\n");
    for cue in cues {
        let settings = if cue.settings.is_empty() { String::new() } else { format!(" {}", cue.settings) };
        let (start, end) = (time(cue.start_us, '.'), time(cue.end_us, '.'));
        let _ = write!(out, "\n{start} --> {end}{settings}\n{}\n", cue.text);
    }
    out
}

/// A SubRip file. Of the tags only those for bold, italic and underlined text are known to its readers.
#[must_use]
pub fn to_srt(cues: &[Cue]) -> String {
    let mut out = String::new();
    let mut number = 0;
    for cue in cues {
        let text = plain(&cue.text);
        if text.trim().is_empty() {
            continue;
        }
        number += 1;
        let (start, end) = (time(cue.start_us, ','), time(cue.end_us, ','));
        let _ = write!(out, "{number}\n{start} --> {end}\n{text}\n\n");
    }
    out
}

fn time(us: i64, point: char) -> String {
    let millis = (us.max(0) + 500) / 1000;
    let (seconds, millis) = (millis / 1000, millis % 1000);
    format!("{:02}:{:02}:{:02}{point}{millis:03}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// Text without WebVTT's own tags and entities.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['<', '&']) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(tag) = rest.strip_prefix('<').and_then(|tag| Some(&tag[..tag.find('>')?])) {
            let name = tag.trim_start_matches('/').split(['.', ' ', '\t']).next().unwrap_or_default();
            if matches!(name, "b" | "i" | "u") {
                let slash = if tag.starts_with('/') { "/" } else { "" };
                let _ = write!(out, "<{slash}{name}>");
            }
            rest = &rest[tag.len() + 2..];
            continue;
        }
        let entities = [
            ("&amp;", "&"),
            ("&lt;", "<"),
            ("&gt;", ">"),
            ("&nbsp;", "\u{a0}"),
            ("&lrm;", "\u{200e}"),
            ("&rlm;", "\u{200f}"),
        ];
        let (taken, put) = entities
            .into_iter()
            .find(|(entity, _)| rest.starts_with(entity))
            .unwrap_or((&rest[..1], &rest[..1]));
        out.push_str(put);
        rest = &rest[taken.len()..];
    }
    out.push_str(rest);
    out
}

/// Text as WebVTT has to write it: what would be taken for a tag is not.
#[must_use]
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Lines without empty ones, which would end a cue.
fn tidy(text: &str) -> String {
    let lines = text.lines().map(str::trim_end).filter(|line| !line.trim().is_empty());
    // An arrow would be taken for a time.
    lines.collect::<Vec<_>>().join("\n").replace("-->", "--&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cue(start: i64, end: i64, text: &str) -> Cue {
        Cue { start_us: start * 1000, end_us: end * 1000, text: text.to_owned(), settings: String::new() }
    }

    #[test]
    fn what_is_repeated_in_every_segment_is_one_cue() {
        let cues = vec![
            cue(4000, 6000, "over the border"),
            cue(1000, 2000, "first"),
            cue(6000, 7500, "over the border"),
            cue(4000, 6000, "over the border"),
            cue(5000, 5500, "meanwhile"),
            cue(9000, 9500, "over the border"),
            cue(9000, 9000, "never shown"),
            cue(9000, 9100, "  "),
        ];
        let merged = merged(cues);
        assert_eq!(
            merged,
            [
                cue(1000, 2000, "first"),
                cue(4000, 7500, "over the border"),
                cue(5000, 5500, "meanwhile"),
                cue(9000, 9500, "over the border"),
            ]
        );
    }

    #[test]
    fn both_forms_are_written() {
        let mut first = cue(3_661_001, 3_662_000, "<v Ann>1 &lt; 2 &amp; <i>so on</i></v>\n<c.red>red</c>");
        first.settings = "align:start line:0".to_owned();
        let cues = [first, cue(3_700_000, 3_701_000, "<00:01:02.000>")];
        assert_eq!(
            to_webvtt(&cues[..1]),
            "WEBVTT\n\n01:01:01.001 --> 01:01:02.000 align:start line:0\n<v Ann>1 &lt; 2 &amp; <i>so on</i></v>\n<c.red>red</c>\n"
        );
        assert_eq!(to_srt(&cues), "1\n01:01:01,001 --> 01:01:02,000\n1 < 2 & <i>so on</i>\nred\n\n");
        assert_eq!(plain("a < b & c &unknown; <"), "a < b & c &unknown; <");
    }
}
