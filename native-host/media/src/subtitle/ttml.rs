//! TTML (and its profiles IMSC, EBU-TT-D and SMPTE-TT): paragraphs with times.
//!
//! Keeps text, line breaks and italics; places and colours go. Never expands entities from outside: documents that declare
//! any are refused. Invariant: a paragraph without an end of its own ends with what it stands in, or is left out.

use roxmltree::{Document, Node};

use super::{Cue, escaped, tidy};

/// Deepest nesting that is followed.
const MAX_DEPTH: usize = 64;

/// What a document holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Text {
    /// In the document's own time.
    pub cues: Vec<Cue>,
    /// Some subtitles are pictures, which are not among the cues.
    pub has_pictures: bool,
}

/// Why a document cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("its TTML cannot be read")]
pub struct TtmlError;

/// Documents in a run of them: segments of TTML have nothing between them.
pub fn documents(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{feff}' || c == '\0');
        if rest.is_empty() {
            return None;
        }
        // The end tag of the root, with whatever prefix.
        let mut from = 0;
        let end = loop {
            let Some(found) = rest[from..].find("</") else { break rest.len() };
            let name_at = from + found + 2;
            let name_end = rest[name_at..].find('>').map_or(rest.len(), |end| name_at + end);
            let name = rest[name_at..name_end].trim_end();
            if name == "tt" || name.ends_with(":tt") {
                break (name_end + 1).min(rest.len());
            }
            from = name_at;
        };
        let (document, after) = rest.split_at(end);
        rest = after;
        Some(document)
    })
}

/// Whether a text begins as TTML does.
#[must_use]
pub fn is_ttml(text: &str) -> bool {
    let text = text.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
    let head: String = text.chars().take(2000).collect();
    text.starts_with('<') && (head.contains("<tt ") || head.contains(":tt ") || head.contains("<tt>"))
}

/// Reads one document.
///
/// # Errors
/// It is no well-formed XML, declares entities, or its root is no `tt`.
pub fn parse(document: &str) -> Result<Text, TtmlError> {
    let xml = Document::parse(document).map_err(|_| TtmlError)?;
    let root = xml.root_element();
    if root.tag_name().name() != "tt" {
        return Err(TtmlError);
    }
    let mut out = Text::default();
    let rates = Rates::of(root);
    let body = root.children().find(|node| node.tag_name().name() == "body");
    if let Some(body) = body {
        let around = Around { start: 0, end: None, italic: false };
        walk(body, around, &rates, &italics(root), &mut out, 0);
    }
    out.has_pictures |= out.cues.is_empty()
        && root
            .descendants()
            .any(|node| node.tag_name().name() == "image" && node.tag_name().namespace().is_some());
    Ok(out)
}

/// What the elements around one say.
#[derive(Clone, Copy)]
struct Around {
    start: i64,
    end: Option<i64>,
    italic: bool,
}

struct Rates {
    frame: f64,
    sub_frame: f64,
    tick: f64,
}

impl Rates {
    fn of(root: Node<'_, '_>) -> Self {
        let number = |name: &str| attribute(root, name).and_then(|value| value.trim().parse::<f64>().ok());
        let positive = |value: Option<f64>| value.filter(|value| value.is_finite() && *value > 0.0);
        let multiplier = attribute(root, "frameRateMultiplier").and_then(|value| {
            let mut parts = value.split_whitespace().filter_map(|part| part.parse::<f64>().ok());
            positive(Some(parts.next()? / parts.next()?))
        });
        let stated = positive(number("frameRate"));
        let frame = stated.unwrap_or(30.0) * multiplier.unwrap_or(1.0);
        let sub_frame = positive(number("subFrameRate")).unwrap_or(1.0);
        let tick =
            positive(number("tickRate")).unwrap_or(if stated.is_some() { frame * sub_frame } else { 1.0 });
        Self { frame, sub_frame, tick }
    }

    /// Microseconds of a time expression (TTML2 section 12.3.1).
    fn time(&self, text: &str) -> Option<i64> {
        let text = text.trim();
        let seconds = if text.contains(':') {
            let parts: Vec<&str> = text.split(':').collect();
            let number =
                |part: &str| part.parse::<f64>().ok().filter(|value| value.is_finite() && *value >= 0.0);
            let (hours, minutes, seconds) =
                (number(parts.first()?)?, number(parts.get(1)?)?, number(parts.get(2)?)?);
            let frames = match parts.get(3) {
                None => 0.0,
                Some(frames) => {
                    let (frames, sub) = frames.split_once('.').unwrap_or((frames, "0"));
                    (number(frames)? + number(sub)? / self.sub_frame) / self.frame
                }
            };
            (hours * 60.0 + minutes) * 60.0 + seconds + frames
        } else {
            let unit_at = text.find(|c: char| c.is_ascii_alphabetic())?;
            let (value, unit) = text.split_at(unit_at);
            let value: f64 = value.trim().parse().ok()?;
            match unit {
                "h" => value * 3600.0,
                "m" => value * 60.0,
                "s" => value,
                "ms" => value / 1000.0,
                "f" => value / self.frame,
                "t" => value / self.tick,
                _ => return None,
            }
        };
        let us = (seconds * 1e6).round();
        (us.is_finite() && (0.0..1e15).contains(&us)).then_some(us as i64)
    }
}

/// Attributes are told by their local names: every profile has namespaces of its own.
fn attribute<'a>(node: Node<'a, '_>, name: &str) -> Option<&'a str> {
    node.attributes().find(|attribute| attribute.name() == name).map(|attribute| attribute.value())
}

/// Names of the styles that are italic.
fn italics<'a>(root: Node<'a, '_>) -> Vec<&'a str> {
    let styles = root
        .descendants()
        .filter(|node| node.tag_name().name() == "style" && attribute(*node, "fontStyle") == Some("italic"));
    styles.filter_map(|style| attribute(style, "id")).collect()
}

fn inside(node: Node<'_, '_>, around: Around, rates: &Rates, italics: &[&str]) -> Around {
    let time = |name: &str| attribute(node, name).and_then(|value| rates.time(value));
    let start = around.start + time("begin").unwrap_or(0);
    let own = time("end").map(|end| around.start + end).or_else(|| time("dur").map(|length| start + length));
    let end = match (own, around.end) {
        (Some(own), Some(outer)) => Some(own.min(outer)),
        (own, outer) => own.or(outer),
    };
    let styled = attribute(node, "style")
        .is_some_and(|names| names.split_whitespace().any(|name| italics.contains(&name)));
    let italic = match attribute(node, "fontStyle") {
        Some(style) => style == "italic",
        None => styled || around.italic,
    };
    Around { start, end, italic }
}

fn walk(node: Node<'_, '_>, around: Around, rates: &Rates, italics: &[&str], out: &mut Text, depth: usize) {
    if depth > MAX_DEPTH {
        return;
    }
    let here = inside(node, around, rates, italics);
    out.has_pictures |= attribute(node, "backgroundImage").is_some();
    if node.tag_name().name() != "p" {
        for child in node.children().filter(Node::is_element) {
            walk(child, here, rates, italics, out, depth + 1);
        }
        return;
    }
    // Spans with times of their own are cues of their own.
    let timed: Vec<Node<'_, '_>> = node
        .children()
        .filter(|child| child.tag_name().name() == "span" && attribute(*child, "begin").is_some())
        .collect();
    for span in &timed {
        let span_here = inside(*span, here, rates, italics);
        push(*span, span_here, italics, out);
    }
    if timed.is_empty() {
        push(node, here, italics, out);
    }
}

fn push(node: Node<'_, '_>, here: Around, italics: &[&str], out: &mut Text) {
    let mut text = String::new();
    write(node, here.italic, italics, &mut text, 0);
    let text = tidy(&text.lines().map(str::trim).collect::<Vec<_>>().join("\n"));
    if let Some(end_us) = here.end.filter(|end| *end > here.start && !text.is_empty()) {
        out.cues.push(Cue { start_us: here.start, end_us, text, settings: String::new() });
    }
}

fn write(node: Node<'_, '_>, italic: bool, italics: &[&str], out: &mut String, depth: usize) {
    for child in node.children() {
        if child.is_text() {
            let words = child.text().unwrap_or_default();
            let preserved = out.ends_with('\n') || out.is_empty();
            let mut line = escaped(words).split_whitespace().collect::<Vec<_>>().join(" ");
            if line.is_empty() {
                if !preserved && !out.ends_with(' ') {
                    out.push(' ');
                }
                continue;
            }
            if words.starts_with(char::is_whitespace) && !preserved && !out.ends_with(' ') {
                out.push(' ');
            }
            if italic {
                line = format!("<i>{line}</i>");
            }
            out.push_str(&line);
            if words.ends_with(char::is_whitespace) {
                out.push(' ');
            }
        } else if child.tag_name().name() == "br" {
            out.push('\n');
        } else if child.tag_name().name() == "span" && depth < MAX_DEPTH {
            let styled = attribute(child, "style")
                .is_some_and(|names| names.split_whitespace().any(|name| italics.contains(&name)));
            let italic = match attribute(child, "fontStyle") {
                Some(style) => style == "italic",
                None => styled || italic,
            };
            write(child, italic, italics, out, depth + 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DOCUMENT: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<tt xmlns="http://www.w3.org/ns/ttml" xmlns:tts="http://www.w3.org/ns/ttml#styling" xmlns:ttp="http://www.w3.org/ns/ttml#parameter"
    ttp:frameRate="25" ttp:tickRate="10000000">
  <head><styling><style xml:id="it" tts:fontStyle="italic"/></styling></head>
  <body><div begin="10s">
    <p begin="00:00:01.500" end="00:00:03:05">One &amp; <span style="it">two</span><br/>three</p>
    <p begin="40000000t" dur="1.5s">a &lt; b</p>
    <p><span begin="6s" end="7s">left</span><span begin="7s" end="8s">right</span></p>
    <p begin="9s">without an end</p>
    <p begin="9s" end="8s">backwards</p>
  </div></body>
</tt>"#;

    #[test]
    fn paragraphs_become_cues() {
        let text = parse(DOCUMENT).unwrap();
        let cues: Vec<(i64, i64, &str)> =
            text.cues.iter().map(|cue| (cue.start_us / 1000, cue.end_us / 1000, cue.text.as_str())).collect();
        assert_eq!(
            cues,
            [
                (11_500, 13_200, "One &amp; <i>two</i>\nthree"),
                (14_000, 15_500, "a &lt; b"),
                (16_000, 17_000, "left"),
                (17_000, 18_000, "right"),
            ]
        );
        assert!(!text.has_pictures);
    }

    #[test]
    fn a_run_of_documents_is_parted() {
        let run = format!("{DOCUMENT}\n{DOCUMENT}<tt:tt xmlns:tt=\"http://www.w3.org/ns/ttml\"></tt:tt>");
        let all: Vec<_> = documents(&run).map(parse).collect();
        assert_eq!(all.len(), 3);
        assert!(all.iter().all(Result::is_ok) && is_ttml(&run));
    }

    #[test]
    fn what_is_no_ttml_or_declares_entities_is_refused() {
        for document in [
            "<html></html>",
            "<tt",
            "<!DOCTYPE tt [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;\">]><tt><body><div><p begin=\"1s\" end=\"2s\">&b;</p></div></body></tt>",
        ] {
            assert_eq!(parse(document), Err(TtmlError), "{document}");
        }
    }

    proptest! {
        #[test]
        fn nothing_makes_it_fail(flips in prop::collection::vec((0_usize..900, 32_u8..127), 0..6)) {
            let mut bytes = DOCUMENT.as_bytes().to_vec();
            for (at, value) in flips {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = value;
                }
            }
            if let Ok(text) = String::from_utf8(bytes) {
                for document in documents(&text) {
                    let _ = parse(document);
                }
            }
        }
    }
}
