//! A recording whose manifest is not asked for again: what its journal says of it is enough.
//!
//! Never fetches. Invariant: what is made into a file is what lies on the disk, cut back to its last whole segment.

use std::path::PathBuf;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::plan::{Origin, Track};
use super::recorder::Recorder;
use super::{Ready, finish};
use crate::journal::{Said, SaidOfTrack, StreamState, TrackState};
use crate::monitor::{Monitor, Phase};
use crate::net::Net;
use crate::part::Part;
use crate::{EngineError, Finished, Job, Kind, mux};

/// Makes a file of a recording as it lies on the disk: its server is not asked, and may be gone.
pub(crate) async fn keep(
    net: &Net,
    job: &Job,
    monitor: &Arc<Monitor>,
    stop: &CancellationToken,
    part: Part,
    (boot, state): (String, StreamState),
) -> Result<Finished, EngineError> {
    let ffmpeg = mux::find(net.options().ffmpeg.as_deref())?;
    let ready = Ready::recorded(job, &state, ffmpeg);
    monitor.set_kind(ready.kind);
    monitor.set_quality(ready.quality.as_deref());
    monitor.set_phase(Phase::Finishing);
    let fresh = StreamState { tracks: vec![TrackState::default(); state.tracks.len()], ..state.clone() };
    let recorder = Arc::new(Recorder::new(part, fresh, Some((boot, state)))?);
    for number in 0..ready.tracks.len() {
        // What is behind the last whole segment is no part of it.
        let bytes = recorder.mark(number).bytes;
        let cut = Part::open(&recorder.path(number)).and_then(|file| file.set_len(bytes));
        cut.map_err(EngineError::disk)?;
    }
    finish::run(net, job, ready, recorder, None, None, stop).await
}

impl Ready {
    /// For the journal.
    pub(super) fn said(&self) -> Said {
        let of = |track: &Track| SaidOfTrack {
            kind: track.kind,
            language: track.language.clone(),
            name: track.name.clone(),
            default: track.default,
            forced: track.forced,
        };
        Said {
            kind: Some(self.kind),
            title: self.title.clone(),
            audio_only: self.audio_only,
            has_picture: self.has_picture,
            tracks: self.tracks.iter().map(of).collect(),
        }
    }

    /// As it was when it was recorded.
    fn recorded(job: &Job, state: &StreamState, ffmpeg: PathBuf) -> Self {
        let said = &state.said;
        let of = |track: &SaidOfTrack| Track {
            language: track.language.clone(),
            name: track.name.clone(),
            default: track.default,
            forced: track.forced,
            // Nobody remembers; the marks know whether any lasted a fraction.
            rounded: true,
            ..Track::new(
                track.kind,
                Origin::Hls { url: job.source.url.clone(), backups: Vec::new() },
                Vec::new(),
            )
        };
        Self {
            kind: said.kind.unwrap_or(Kind::Hls),
            tracks: said.tracks.iter().map(of).collect(),
            quality: state.quality.clone(),
            title: said.title.clone(),
            audio_only: said.audio_only,
            has_picture: said.has_picture,
            codecs: None,
            unmet: Vec::new(),
            visitor: job.source.visiting(),
            variants: Vec::new(),
            renditions: Vec::new(),
            live: None,
            ffmpeg,
        }
    }
}
