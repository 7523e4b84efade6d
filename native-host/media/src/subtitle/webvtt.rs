//! WebVTT as streams deliver it: many small files one after another, each with a map from its times to those of the media
//! (RFC 8216 section 3.5).
//!
//! Reads leniently, as browsers do; never fails. Invariant: a time is only believed when it is written as one.

use super::{Cue, tidy};

/// One file of a run of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Document {
    /// `X-TIMESTAMP-MAP`: a local time in microseconds, and the 90 kHz time of the media it is.
    pub map: Option<(i64, i64)>,
    /// Its cues, in local time.
    pub cues: Vec<Cue>,
}

/// Whether a text begins as WebVTT does.
#[must_use]
pub fn is_webvtt(text: &str) -> bool {
    is_header(text.trim_start_matches('\u{feff}').lines().next().unwrap_or_default())
}

fn is_header(line: &str) -> bool {
    let line = line.trim_start_matches('\u{feff}').trim_end();
    line.strip_prefix("WEBVTT").is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t']))
}

/// Reads a run of files. Text without a header, as SubRip, is one file.
#[must_use]
pub fn documents(text: &str) -> Vec<Document> {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let mut documents: Vec<Document> = Vec::new();
    let mut in_header = false;
    let mut open: Option<Cue> = None;
    let close = |documents: &mut Vec<Document>, cue: Option<Cue>| {
        if let Some(mut cue) = cue {
            cue.text = tidy(&cue.text);
            if documents.is_empty() {
                documents.push(Document::default());
            }
            if let Some(document) = documents.last_mut().filter(|_| !cue.text.is_empty()) {
                document.cues.push(cue);
            }
        }
    };
    for line in text.split('\n') {
        if is_header(line) {
            close(&mut documents, open.take());
            documents.push(Document::default());
            in_header = true;
        } else if line.trim().is_empty() {
            close(&mut documents, open.take());
            in_header = false;
        } else if let Some(map) = line.trim().strip_prefix("X-TIMESTAMP-MAP=").filter(|_| in_header) {
            if let Some(document) = documents.last_mut() {
                document.map = timestamp_map(map);
            }
        } else if let Some(cue) = timing(line) {
            // The line before it, if any, was its name.
            if let Some(before) = open.take() {
                close(&mut documents, Some(before));
            }
            in_header = false;
            open = Some(cue);
        } else if let Some(cue) = &mut open {
            cue.text.push_str(line);
            cue.text.push('\n');
        }
        // Everything else is a name of a cue, a note, a style or a region.
    }
    close(&mut documents, open);
    documents
}

/// `00:01.000 --> 00:02.000 align:start`
fn timing(line: &str) -> Option<Cue> {
    let (start, rest) = line.split_once("-->")?;
    let mut words = rest.split_whitespace();
    let (start_us, end_us) = (time(start.trim())?, time(words.next()?)?);
    let settings = words.filter(|word| word.contains(':')).collect::<Vec<_>>().join(" ");
    Some(Cue { start_us, end_us, text: String::new(), settings })
}

/// Microseconds of `HH:MM:SS.mmm` or `MM:SS.mmm`; a comma for the point as SubRip has it.
pub(super) fn time(text: &str) -> Option<i64> {
    let (clock, fraction) = text.split_once(['.', ',']).unwrap_or((text, "0"));
    let digits = |text: &str, most: usize| {
        let well = !text.is_empty() && text.len() <= most && text.bytes().all(|byte| byte.is_ascii_digit());
        well.then(|| text.parse::<i64>().ok())?
    };
    let millis = digits(fraction, 9)? * 10_i64.pow(9 - fraction.len() as u32) / 1000;
    let mut parts = clock.split(':').rev();
    let (seconds, minutes) = (digits(parts.next()?, 2)?, digits(parts.next()?, 2)?);
    let hours = parts.next().map_or(Some(0), |hours| digits(hours, 6))?;
    parts.next().is_none().then(|| ((hours * 60 + minutes) * 60 + seconds) * 1_000_000 + millis)
}

/// `LOCAL:00:00:00.000,MPEGTS:900000`, in any order.
fn timestamp_map(text: &str) -> Option<(i64, i64)> {
    let (mut local, mut media) = (None, None);
    for part in text.split(',') {
        match part.trim().split_once(':')? {
            ("LOCAL", value) => local = time(value.trim()),
            ("MPEGTS", value) => media = value.trim().parse::<i64>().ok().filter(|ticks| *ticks >= 0),
            _ => {}
        }
    }
    Some((local?, media?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn files_one_after_another_are_read() {
        let text = "\u{feff}WEBVTT\r\nX-TIMESTAMP-MAP=MPEGTS:900000,LOCAL:00:00:00.000\r\n\r\nSTYLE\r\n::cue { color: red }\r\n\r\n\
                    1\r\n00:01.500 --> 00:03.000 line:0 align:start\r\nOne\r\nline two\r\n\nNOTE nothing\n\n\
                    WEBVTT - second\nX-TIMESTAMP-MAP=LOCAL:00:00:04.000,MPEGTS:8589934591\n\n\
                    00:00:05.000 --> 00:00:06.000\nTwo --> three\nWEBVTT\n\n100:00:00.000 --> 100:00:01.000\nThree\n";
        let documents = documents(text);
        assert_eq!(documents.len(), 3);
        assert_eq!(documents[0].map, Some((0, 900_000)));
        assert_eq!(
            documents[0].cues,
            [Cue {
                start_us: 1_500_000,
                end_us: 3_000_000,
                text: "One\nline two".into(),
                settings: "line:0 align:start".into()
            }]
        );
        assert_eq!(documents[1].map, Some((4_000_000, (1 << 33) - 1)));
        // An arrow without times is text, and stays so when it is written again.
        assert_eq!(documents[1].cues[0].text, "Two --&gt; three");
        assert_eq!((documents[2].map, documents[2].cues[0].start_us), (None, 360_000_000_000));
    }

    #[test]
    fn subrip_is_read_as_well() {
        let documents =
            documents("1\n00:00:01,000 --> 00:00:02,500\nHello\n\n2\n00:00:03,000 --> 00:00:04,000\nthere\n");
        let cues: Vec<(i64, &str)> =
            documents[0].cues.iter().map(|cue| (cue.start_us, cue.text.as_str())).collect();
        assert_eq!(cues, [(1_000_000, "Hello"), (3_000_000, "there")]);
    }

    proptest! {
        #[test]
        fn nothing_makes_it_fail(text in "(WEBVTT|\n|X-TIMESTAMP-MAP=|LOCAL:|MPEGTS:|[0-9:.,-]{0,12}| --> |\\PC{0,8}){0,40}") {
            for document in documents(&text) {
                prop_assert!(document.cues.iter().all(|cue| !cue.text.is_empty() && !cue.text.contains("\n\n")));
            }
        }
    }
}
