//! Segments that came and are not what their playlist says: which they are, and what becomes of them.
//!
//! Owns naming them, leaving them out, and putting what follows a cut one where it belongs. Never fetches. Invariant: whatever
//! is left out is counted as lost, and said.

use std::ops::Range;
use std::time::Duration;

use super::finish::Film;
use super::recorder::Recorder;
use super::segments;
use crate::journal::TrackState;
use crate::mux::{self, Flaw, Input, Section, TrackKind};
use crate::{EngineError, FlawedSegment};

/// One of them.
pub(super) struct Found {
    /// Which of the inputs of the film it is of.
    input: usize,
    flaw: Flaw,
    segment: mux::Segment,
    named: FlawedSegment,
}

impl Found {
    /// For who wants the whole film.
    pub(super) fn error(&self, film: &Film) -> EngineError {
        let planned = film.inputs.first().map_or(Duration::ZERO, |main| main.timing.planned).as_secs_f64();
        let missing = self.named.missing_s.unwrap_or_default();
        EngineError::DurationMismatch {
            expected_s: planned,
            actual_s: (planned - missing).max(0.0),
            segment: Some(self.named.clone()),
        }
    }

    /// It cannot be read to its end.
    pub(super) const fn is_torn(&self) -> bool {
        self.flaw.torn
    }

    /// What follows it is taken for a part of it.
    pub(super) const fn swallows(&self) -> bool {
        self.flaw.swallows
    }
}

/// For who takes what there is.
pub(super) fn in_words(found: &[Found], left_out: bool) -> Option<String> {
    let first = found.first()?.named.in_words();
    let out = match (left_out, found.len()) {
        (false, _) => "",
        (true, 1) => ", and was left out",
        (true, _) => ", and they were left out",
    };
    Some(match found.len() {
        1 => format!("{first}{out}"),
        count => format!("{count} segments are not what their playlist says, the first of them {first}{out}"),
    })
}

/// Looks at the segments of every track, or only of those that are nothing but frames of sound: nothing else tells of
/// these when one is cut, because frames simply follow each other.
pub(super) async fn look(
    film: &Film,
    recorder: &Recorder,
    only_packed: bool,
) -> Result<Vec<Found>, EngineError> {
    let mut found = Vec::new();
    for (at, (input, number)) in film.inputs.iter().zip(&film.numbers).enumerate() {
        if input.kind == TrackKind::Subtitles || (only_packed && !mux::is_packed_input(input)) {
            continue;
        }
        let state = recorder.track(*number);
        let known = recorder.segments(*number);
        let placed: Vec<mux::Segment> = known.iter().map(|segment| placed(segment, &state)).collect();
        for flaw in mux::flaws(input, placed.clone()).await? {
            let (Some(segment), Some(own)) = (placed.get(flaw.at), known.get(flaw.at)) else { continue };
            found.push(Found {
                input: at,
                flaw,
                segment: segment.clone(),
                named: FlawedSegment {
                    number: own.index + 1,
                    count: state.written.segments,
                    of_sound: input.kind == TrackKind::Audio && film.inputs.len() > 1,
                    at_s: own.start.as_secs_f64(),
                    missing_s: flaw.missing.map(|missing| missing.as_secs_f64()),
                },
            });
        }
    }
    Ok(found)
}

fn placed(segment: &segments::Segment, state: &TrackState) -> mux::Segment {
    let begins = state.breaks.iter().any(|run| run.byte == segment.bytes.start && run.clock);
    mux::Segment {
        bytes: segment.bytes.clone(),
        start: segment.start,
        duration: segment.duration,
        lost: segment.lost,
        fresh: begins,
    }
}

/// Lets what follows a cut segment of packed sound begin when its tag says.
pub(super) fn set_apart(film: &mut Film, found: &[Found]) {
    for found in found {
        let Some(missing) = found.flaw.missing else { continue };
        let Some(input) = film.inputs.get_mut(found.input) else { continue };
        input.timing.lost += missing;
        // A frame that is cut would be an error of its own.
        let segment = &found.segment;
        let bytes = segment.bytes.start + found.flaw.whole..segment.bytes.end;
        let end = segment.start + segment.duration;
        let span = end.saturating_sub(missing).max(segment.start)..end;
        input.sections = without(std::mem::take(&mut input.sections), &bytes, &span);
    }
}

/// Leaves segments out. False when nothing would be left of a track.
pub(super) fn leave_out(film: &mut Film, found: &[&Found]) -> bool {
    for found in found {
        let Some(input) = film.inputs.get_mut(found.input) else { continue };
        let segment = &found.segment;
        let bytes = segment.bytes.start + found.flaw.init..segment.bytes.end;
        let span = segment.start..segment.start + segment.duration;
        input.sections = without(std::mem::take(&mut input.sections), &bytes, &span);
        input.timing.lost += segment.duration;
    }
    film.inputs.iter().all(|input: &Input| !input.sections.is_empty())
}

/// Two sections where there was one: the second begins at `byte`, and by the manifest at `start`.
fn split(sections: Vec<Section>, byte: u64, start: Duration) -> Vec<Section> {
    let mut out = Vec::new();
    for section in sections {
        if !(section.bytes.start < byte && byte < section.bytes.end) {
            out.push(section);
            continue;
        }
        let end = section.start + section.duration;
        out.push(Section {
            bytes: section.bytes.start..byte,
            duration: start.saturating_sub(section.start),
            ..section
        });
        out.push(Section {
            bytes: byte..section.bytes.end,
            start,
            duration: end.saturating_sub(start),
            // Its clock goes on.
            new_clock: false,
            ..section
        });
    }
    out
}

/// The sections without the bytes of one segment, which plays in `span`.
fn without(sections: Vec<Section>, bytes: &Range<u64>, span: &Range<Duration>) -> Vec<Section> {
    let halves = split(split(sections, bytes.end, span.end), bytes.start, span.start);
    let gone = |section: &Section| bytes.start <= section.bytes.start && section.bytes.end <= bytes.end;
    let mut out: Vec<Section> = Vec::new();
    let mut new_clock = false;
    for section in halves {
        if gone(&section) {
            new_clock |= section.new_clock;
            continue;
        }
        // A clock that began with what is left out begins with what follows.
        out.push(Section { new_clock: section.new_clock || new_clock, ..section });
        new_clock = false;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(bytes: Range<u64>, from: u64, to: u64, new_clock: bool) -> Section {
        Section {
            bytes,
            start: Duration::from_secs(from),
            duration: Duration::from_secs(to - from),
            shift_us: None,
            new_clock,
        }
    }

    fn seconds(from: u64, to: u64) -> Range<Duration> {
        Duration::from_secs(from)..Duration::from_secs(to)
    }

    #[test]
    fn a_segment_is_left_out_wherever_it_is() {
        let whole = || vec![section(0..100, 0, 10, true), section(100..200, 10, 20, true)];
        let second = section(100..200, 10, 20, true);
        for (bytes, span, left) in [
            (0..40, seconds(0, 4), vec![section(40..100, 4, 10, true), second.clone()]),
            (
                40..60,
                seconds(4, 6),
                vec![section(0..40, 0, 4, true), section(60..100, 6, 10, false), second.clone()],
            ),
            (60..100, seconds(6, 10), vec![section(0..60, 0, 6, true), second.clone()]),
            (100..150, seconds(10, 15), vec![section(0..100, 0, 10, true), section(150..200, 15, 20, true)]),
            (0..100, seconds(0, 10), vec![second.clone()]),
            // Its initialisation section stays.
            (
                110..150,
                seconds(10, 15),
                vec![
                    section(0..100, 0, 10, true),
                    section(100..110, 10, 10, true),
                    section(150..200, 15, 20, false),
                ],
            ),
        ] {
            assert_eq!(without(whole(), &bytes, &span), left, "{bytes:?}");
        }
        assert!(without(vec![second], &(100..200), &seconds(10, 20)).is_empty());
    }

    #[test]
    fn what_follows_a_cut_segment_begins_a_section_with_the_same_clock() {
        let halves = split(vec![section(0..100, 0, 10, true)], 60, Duration::from_secs(7));
        assert_eq!(halves, [section(0..60, 0, 7, true), section(60..100, 7, 10, false)]);
        assert_eq!(split(halves.clone(), 60, Duration::from_secs(7)), halves);
    }
}
