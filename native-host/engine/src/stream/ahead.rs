//! Making the film while its segments come.
//!
//! Owns when that begins, and keeps the tracks in step: ffmpeg would have to keep in memory what one is ahead of another.
//! Never fetches and never waits with fetching. Invariant: nothing but segments that stay as they are is handed on.

use std::collections::VecDeque;
use std::path::PathBuf;

use tokio::sync::mpsc;

use super::Ready;
use super::finish::Film;
use super::recorder::{Grown, Recorder};
use crate::mux::{self, TrackKind};
use crate::{EngineError, Job};

/// A film in the making, and the folder it is made in.
pub(super) struct Ahead {
    pub(super) film: mux::Ahead,
    pub(super) work: PathBuf,
}

/// Makes the film as far as `growth` says, until it says no more. None when it can only be made in the end; that is no
/// error, and whatever goes wrong here goes wrong there again, where it is told.
pub(super) async fn run(
    job: &Job,
    ready: &Ready,
    recorder: &Recorder,
    mut growth: mpsc::UnboundedReceiver<Grown>,
) -> Option<Ahead> {
    // How long a live stream goes on nobody knows, and text is read as a whole.
    let is_text = ready.tracks.iter().any(|track| track.kind == TrackKind::Subtitles);
    if recorder.state().live || is_text {
        return None;
    }
    let mut tracks = vec![Stretch::default(); ready.tracks.len()];
    let mut ahead: Option<Ahead> = None;
    while let Some(Grown { track, us, bytes }) = growth.recv().await {
        tracks[track].marks.push_back((us, bytes));
        if ahead.is_none() {
            if tracks.iter().any(Stretch::is_empty) {
                continue;
            }
            ahead = match begin(job, ready, recorder).await {
                Ok(begun) => Some(begun?),
                Err(error) => {
                    tracing::debug!(%error, "a film cannot be made ahead");
                    return None;
                }
            };
        }
        let common = tracks.iter().map(Stretch::end_us).min().unwrap_or_default();
        for (number, stretch) in tracks.iter_mut().enumerate() {
            if let (Some(bytes), Some(ahead)) = (stretch.until(common), &ahead) {
                ahead.film.grown(number, bytes);
            }
        }
    }
    let ahead = ahead?;
    for (number, stretch) in tracks.iter().enumerate() {
        ahead.film.grown(number, stretch.end());
    }
    Some(ahead)
}

async fn begin(job: &Job, ready: &Ready, recorder: &Recorder) -> Result<Option<Ahead>, EngineError> {
    let film = Film::of(job, ready, recorder, recorder.work()?);
    let begun = mux::Ahead::begin(&film.plan(job, ready)).await?;
    Ok(begun.map(|begun| Ahead { film: begun, work: film.work }))
}

/// What there is of a track.
#[derive(Debug, Clone, Default)]
struct Stretch {
    /// Playing time and bytes from the beginning on, in order; the last that was handed on before the rest.
    marks: VecDeque<(u64, u64)>,
    handed: u64,
}

impl Stretch {
    fn is_empty(&self) -> bool {
        self.end() == 0
    }

    fn end_us(&self) -> u64 {
        self.marks.back().map_or(0, |(us, _)| *us)
    }

    fn end(&self) -> u64 {
        self.marks.back().map_or(0, |(_, bytes)| *bytes)
    }

    /// How many bytes play up to a moment, about; none when they are the same as the last time.
    fn until(&mut self, us: u64) -> Option<u64> {
        while self.marks.get(1).is_some_and(|(at, _)| *at <= us) {
            self.marks.pop_front();
        }
        let &(from_us, from) = self.marks.front()?;
        // The first mark may lie behind that moment.
        let ((from_us, from), (to_us, to)) = match self.marks.get(1) {
            _ if us < from_us => ((0, 0), (from_us, from)),
            Some(next) => ((from_us, from), *next),
            None => ((from_us, from), (from_us, from)),
        };
        let share = u128::from(us.saturating_sub(from_us)) * u128::from(to - from)
            / u128::from(to_us.saturating_sub(from_us).max(1));
        let bytes = from + u64::try_from(share).unwrap_or_default().min(to - from);
        let more = bytes > self.handed;
        self.handed = self.handed.max(bytes);
        more.then_some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tracks_are_handed_on_in_step() {
        let mut long = Stretch { marks: VecDeque::from([(10, 1000), (30, 5000)]), handed: 0 };
        assert_eq!((long.end_us(), long.end()), (30, 5000));
        assert_eq!(long.until(4), Some(400));
        assert_eq!(long.until(4), None);
        assert_eq!(long.until(10), Some(1000));
        assert_eq!(long.until(20), Some(3000));
        assert_eq!(long.until(30), Some(5000));
        // A segment that was lost takes time and no bytes.
        long.marks.push_back((40, 5000));
        assert_eq!(long.until(40), None);
        assert_eq!(long.until(1000), None);
        assert!(Stretch::default().is_empty() && Stretch::default().until(5).is_none());
    }
}
