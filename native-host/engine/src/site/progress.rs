//! The lines yt-dlp says of a download, and what they add up to.
//!
//! Pure bookkeeping. Reads only what we asked for by template, never text made for people. Invariant: the fraction never
//! falls, and a total is told only when it is known and not guessed.

use std::path::Path;

use serde_json::Value;

/// Begins a line about bytes that arrive.
pub(super) const BYTES: &str = "P ";
/// Begins a line about what is done with them afterwards.
pub(super) const AFTERWARDS: &str = "PP ";
/// Begins the line of the finished file.
pub(super) const FILE: &str = "F ";

/// One line understood.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Said {
    /// So much of a file is here.
    Bytes(Bytes),
    /// Bytes are being put together.
    Afterwards,
    /// Path of the finished file.
    File(String),
}

/// How much of one file is here.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Bytes {
    file: String,
    received: u64,
    total: Option<u64>,
    /// 0.0–1.0, when anything is known about the size.
    fraction: Option<f64>,
    finished: bool,
    /// How many segments it comes in, if in any.
    segments: Option<u64>,
}

/// Understands a line; none for everything else that may be said.
pub(super) fn read(line: &str) -> Option<Said> {
    if let Some(text) = line.strip_prefix(BYTES) {
        return Some(Said::Bytes(bytes(&serde_json::from_str(text).ok()?)?));
    }
    if let Some(text) = line.strip_prefix(AFTERWARDS) {
        let value: Value = serde_json::from_str(text).ok()?;
        // The last step moves the file; what counts is that something takes time before it.
        return value.get("postprocessor").map(|_| Said::Afterwards);
    }
    let value: Value = serde_json::from_str(line.strip_prefix(FILE)?).ok()?;
    Some(Said::File(value.get("filepath")?.as_str()?.to_owned()))
}

fn bytes(value: &Value) -> Option<Bytes> {
    let number = |key: &str| value.get(key).and_then(count);
    let total = number("total_bytes").filter(|total| *total > 0);
    let received = number("downloaded_bytes").unwrap_or(0);
    let finished = value.get("status").and_then(Value::as_str) == Some("finished");
    let ratio = |part: u64, whole: u64| (whole > 0).then(|| part as f64 / whole as f64);
    let segments = number("fragment_count").filter(|count| *count > 0);
    let fragments = number("fragment_index").zip(segments.filter(|count| *count > 1));
    let fraction = match (total, fragments) {
        _ if finished => Some(1.0),
        (Some(total), _) => ratio(received, total),
        (None, Some((index, count))) => ratio(index, count),
        (None, None) => number("total_bytes_estimate").and_then(|total| ratio(received, total)),
    };
    Some(Bytes {
        file: value.get("filename")?.as_str()?.to_owned(),
        received,
        total,
        fraction: fraction.map(|fraction| fraction.clamp(0.0, 1.0)),
        finished,
        segments,
    })
}

/// A number of bytes, however JSON writes it.
pub(super) fn count(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| {
        let number = value.as_f64().filter(|number| number.is_finite() && *number >= 0.0)?;
        (number < 1e18).then_some(number as u64)
    })
}

/// Files of one download: usually a picture and its sound.
#[derive(Debug)]
pub(super) struct Tally {
    /// Sizes of the files to come as the page tells them, in their order.
    expected: Vec<Option<u64>>,
    /// Seen so far, in the order of their first line.
    files: Vec<Bytes>,
    fraction: f64,
}

impl Tally {
    /// For files of these sizes.
    pub(super) fn new(expected: Vec<Option<u64>>) -> Self {
        Self { expected, files: Vec::new(), fraction: 0.0 }
    }

    /// Books a line.
    pub(super) fn book(&mut self, bytes: Bytes) {
        match self.files.iter_mut().find(|known| known.file == bytes.file) {
            // The last line of a file says no more of its segments.
            Some(known) => *known = Bytes { segments: bytes.segments.or(known.segments), ..bytes },
            None => self.files.push(bytes),
        }
        self.fraction = self.fraction.max(self.measured());
    }

    /// Bytes here.
    pub(super) fn received(&self) -> u64 {
        self.files.iter().map(|file| file.received).fold(0, u64::saturating_add)
    }

    /// Size of all together, once each file has told its own.
    pub(super) fn total(&self) -> Option<u64> {
        if self.files.len() < self.expected.len() {
            return None;
        }
        self.files.iter().try_fold(0_u64, |sum, file| {
            sum.checked_add(if file.finished { file.received } else { file.total? })
        })
    }

    /// Name and number of segments of each file that comes in segments.
    pub(super) fn segments(&self) -> impl Iterator<Item = (String, u64)> {
        let name = |file: &Bytes| Some(Path::new(&file.file).file_name()?.to_string_lossy().into_owned());
        self.files.iter().filter_map(move |file| name(file).zip(file.segments))
    }

    /// 0.0–1.0.
    pub(super) fn fraction(&self) -> f64 {
        self.fraction
    }

    /// Each file by its share of the bytes, when all shares are known, else all alike.
    fn measured(&self) -> f64 {
        let count = self.expected.len().max(self.files.len()).max(1);
        let size = |at: usize| {
            self.expected
                .get(at)
                .copied()
                .flatten()
                .or_else(|| self.files.get(at).and_then(|file| file.total))
        };
        let sizes: Option<Vec<u64>> = (0..count).map(size).collect();
        let sizes =
            sizes.filter(|sizes| sizes.iter().any(|size| *size > 0)).unwrap_or_else(|| vec![1; count]);
        let whole: f64 = sizes.iter().map(|size| *size as f64).sum();
        let done: f64 = self
            .files
            .iter()
            .zip(&sizes)
            .map(|(file, size)| file.fraction.unwrap_or(0.0) * *size as f64)
            .sum();
        (done / whole).clamp(0.0, 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(file: &str, fields: &str) -> String {
        format!("P {{\"filename\":\"{file}\",\"status\":\"downloading\"{fields}}}")
    }

    fn book(tally: &mut Tally, line: &str) {
        match read(line) {
            Some(Said::Bytes(bytes)) => tally.book(bytes),
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn lines_of_ours_are_understood_and_all_others_are_not() {
        assert_eq!(read("PP {\"status\":\"started\",\"postprocessor\":\"Merger\"}"), Some(Said::Afterwards));
        assert_eq!(read("F {\"filepath\":\"/x/a b.mp4\"}"), Some(Said::File("/x/a b.mp4".into())));
        for junk in [
            "",
            "P",
            "P ",
            "P {",
            "P null",
            "P []",
            "P {\"filename\":3}",
            "P {}",
            "PP 3",
            "F /x/a.mp4",
            "F {}",
            "[download] 12% of 3MiB",
            "P NaN",
            "WARNING: P {}",
        ] {
            assert_eq!(read(junk), None, "{junk}");
        }
        // Figures that cannot be are none.
        let Some(Said::Bytes(odd)) = read(&line("a", ",\"downloaded_bytes\":-5,\"total_bytes\":1e300"))
        else {
            panic!("not understood")
        };
        assert_eq!((odd.received, odd.total, odd.fraction), (0, None, None));
    }

    #[test]
    fn picture_and_sound_count_by_their_bytes() {
        let mut tally = Tally::new(vec![Some(900), Some(100)]);
        book(&mut tally, &line("v", ",\"downloaded_bytes\":450,\"total_bytes\":900"));
        assert_eq!((tally.received(), tally.total()), (450, None));
        assert!((tally.fraction() - 0.45).abs() < 1e-9);
        book(&mut tally, "P {\"filename\":\"v\",\"status\":\"finished\",\"downloaded_bytes\":900}");
        book(&mut tally, &line("a", ",\"downloaded_bytes\":50.0,\"total_bytes\":100.0"));
        assert_eq!((tally.received(), tally.total()), (950, Some(1000)));
        assert!((tally.fraction() - 0.95).abs() < 1e-9);
    }

    #[test]
    fn the_number_of_segments_outlives_the_last_line() {
        let mut tally = Tally::new(vec![None]);
        book(&mut tally, &line("/folder/media.mp4", ",\"fragment_index\":1,\"fragment_count\":12"));
        book(
            &mut tally,
            "P {\"filename\":\"/folder/media.mp4\",\"status\":\"finished\",\"downloaded_bytes\":9}",
        );
        book(&mut tally, &line("/folder/media.de.vtt", ",\"downloaded_bytes\":5"));
        assert_eq!(tally.segments().collect::<Vec<_>>(), [("media.mp4".to_owned(), 12)]);
    }

    #[test]
    fn without_sizes_fragments_and_estimates_tell_and_nothing_falls() {
        let mut tally = Tally::new(vec![None]);
        book(&mut tally, &line("v", ",\"downloaded_bytes\":50,\"fragment_index\":5,\"fragment_count\":10"));
        assert_eq!((tally.received(), tally.total()), (50, None));
        assert!((tally.fraction() - 0.5).abs() < 1e-9);
        book(&mut tally, &line("v", ",\"downloaded_bytes\":60,\"total_bytes_estimate\":600"));
        assert_eq!(tally.received(), 60);
        assert!((tally.fraction() - 0.5).abs() < 1e-9, "{}", tally.fraction());
    }
}
