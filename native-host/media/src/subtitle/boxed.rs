//! WebVTT in MP4 (ISO/IEC 14496-30): the boxes of one sample.
//!
//! Pure. Invariant: what is no cue box is left out, whatever it claims to be.

use super::{Cue, tidy};
use crate::mp4::{boxes, child};

/// The cues of a sample of a `wvtt` track that is shown from `start_us` to `end_us`. A sample without any says that nothing
/// is shown.
#[must_use]
pub fn cues(sample: &[u8], start_us: i64, end_us: i64) -> Vec<Cue> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end_matches('\0').to_owned();
    boxes(sample)
        .filter(|(kind, _)| kind == b"vttc")
        .filter_map(|(_, cue)| {
            let payload = tidy(&text(child(cue, b"payl")?).replace("\r\n", "\n"));
            let settings = child(cue, b"sttg").map(text).unwrap_or_default();
            let settings = settings.split_whitespace().collect::<Vec<_>>().join(" ");
            (!payload.is_empty()).then_some(Cue { start_us, end_us, text: payload, settings })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boxed(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
        [&(body.len() as u32 + 8).to_be_bytes()[..], kind, body].concat()
    }

    #[test]
    fn a_sample_holds_any_number_of_cues() {
        let one = boxed(
            b"vttc",
            &[boxed(b"sttg", b"line:0"), boxed(b"payl", "Grüße\n\nan alle".as_bytes())].concat(),
        );
        let two = boxed(b"vttc", &boxed(b"payl", b"<i>two</i>"));
        let sample = [one, boxed(b"vtta", b"note"), two].concat();
        let cues = cues(&sample, 5, 9);
        assert_eq!(
            cues.iter().map(|cue| cue.text.as_str()).collect::<Vec<_>>(),
            ["Grüße\nan alle", "<i>two</i>"]
        );
        assert_eq!((cues[0].settings.as_str(), cues[0].start_us, cues[1].end_us), ("line:0", 5, 9));
        assert!(super::cues(&boxed(b"vtte", b""), 0, 1).is_empty());
        assert!(super::cues(b"\0\0\xFF\xFFvttc", 0, 1).is_empty());
    }
}
