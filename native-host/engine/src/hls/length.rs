//! Whether the finished file is as long as its playlists promise.
//!
//! Pure: knows tracks and playlists, never files. Invariant: every track of the result is compared with the playlist it
//! came from, so a whole one never hides another that is cut.

use std::time::Duration;

use weir_media::hls::MediaPlaylist;

use super::plan;
use crate::EngineError;
use crate::mp4::{Track, TrackKind};

/// Compares what is `found` with `playlists`: picture with or without sound, then sound of its own. `has_picture` says
/// that a result without one is not whole.
pub(crate) fn check(
    found: &[Track],
    playlists: &[MediaPlaylist],
    has_picture: bool,
) -> Result<(), EngineError> {
    let Some(main) = playlists.first() else { return Ok(()) };
    let has = |kind| found.iter().any(|track| track.kind == kind);
    // Nothing to play is as short as it gets, and so is a picture or a sound of its own that has gone.
    if !has(TrackKind::Video) && (has_picture || !has(TrackKind::Audio)) {
        return Err(mismatch(main, 0.0));
    }
    if let Some(audio) = playlists.get(1).filter(|_| !has(TrackKind::Audio)) {
        return Err(mismatch(audio, 0.0));
    }
    for track in found {
        let from = match track.kind {
            TrackKind::Video => main,
            TrackKind::Audio => playlists.get(1).unwrap_or(main),
            TrackKind::Other => continue,
        };
        check_track(track, from)?;
    }
    Ok(())
}

fn check_track(track: &Track, from: &MediaPlaylist) -> Result<(), EngineError> {
    let actual_s = track.duration.as_secs_f64();
    let expected_s = from.duration().as_secs_f64();
    let stills = track.kind == TrackKind::Video && !moves(track);
    // How long the last sample lasts is made up, which matters when samples are long.
    let last = if stills { track.longest_sample.max(from.longest_segment()).as_secs_f64() } else { 0.0 };
    let tolerance = plan::tolerance(from);
    if actual_s > expected_s + tolerance || actual_s < expected_s - tolerance - last {
        return Err(mismatch(from, actual_s));
    }
    // The sum can be right although a piece is missing in the middle: then one sample lasts as long as the hole. Between
    // slides the same is no hole.
    if !stills && plan::largest_gap(from).is_some_and(|gap| track.longest_sample > gap) {
        return Err(mismatch(from, expected_s - track.longest_sample.as_secs_f64()));
    }
    Ok(())
}

/// A film and not a row of slides: it moves at least three quarters of the time.
fn moves(track: &Track) -> bool {
    track.moving > Duration::ZERO && track.moving >= track.duration * 3 / 4
}

fn mismatch(from: &MediaPlaylist, actual_s: f64) -> EngineError {
    EngineError::DurationMismatch { expected_s: from.duration().as_secs_f64(), actual_s }
}

#[cfg(test)]
mod tests {
    use super::*;
    use url::Url;
    use weir_media::hls::{Playlist, parse};

    fn playlist(segments: usize) -> MediaPlaylist {
        let body: String = (0..segments).map(|n| format!("#EXTINF:6,\n{n}.ts\n")).collect();
        let text = format!("#EXTM3U\n{body}#EXT-X-ENDLIST\n");
        match parse(&text, &Url::parse("https://a.example/list.m3u8").unwrap()).unwrap() {
            Playlist::Media(media) => media,
            Playlist::Multivariant(_) => panic!("multivariant"),
        }
    }

    /// A track of samples of `each` seconds, and one that lasts as long as a hole.
    fn track(kind: TrackKind, length: f64, each: f64, hole: f64) -> Track {
        let seconds = Duration::from_secs_f64;
        Track {
            kind,
            duration: seconds(length),
            samples: ((length - hole) / each) as u64 + 1,
            longest_sample: seconds(each.max(hole)),
            moving: if each < 0.25 { seconds(length - hole) } else { Duration::ZERO },
        }
    }

    #[test]
    fn every_track_must_be_as_long_as_its_playlist() {
        use TrackKind::{Audio, Other, Video};
        let (one, both) = (vec![playlist(10)], vec![playlist(10), playlist(10)]);
        let film = track(Video, 60.0, 0.04, 0.0);
        let sound = track(Audio, 59.5, 0.023, 0.0);
        for (found, playlists, has_picture, whole) in [
            (vec![film.clone(), sound.clone()], &one, true, true),
            (vec![film.clone(), sound.clone()], &both, true, true),
            (vec![film.clone()], &one, false, true),
            (vec![sound.clone()], &one, false, true),
            (vec![track(Other, 60.0, 1.0, 0.0)], &one, false, false),
            (vec![], &one, false, false),
            // The picture or the sound has gone altogether.
            (vec![sound.clone()], &both, true, false),
            (vec![film.clone()], &both, true, false),
            // Cut at the end, or in the middle, while the other track is whole.
            (vec![track(Video, 54.0, 0.04, 0.0), sound.clone()], &both, true, false),
            (vec![track(Video, 54.0, 0.04, 0.0), sound.clone()], &one, true, false),
            (vec![film.clone(), track(Audio, 54.0, 0.023, 0.0)], &one, true, false),
            (vec![track(Video, 60.0, 0.04, 6.04), sound.clone()], &one, true, false),
            (vec![film, track(Audio, 60.0, 0.023, 6.02)], &both, true, false),
            (vec![track(Video, 66.5, 0.04, 0.0), sound.clone()], &one, true, false),
            // Slides: one picture a segment, and nobody knows how long the last one stays.
            (vec![track(Video, 54.1, 6.0, 0.0), sound.clone()], &one, true, true),
            (vec![track(Video, 42.1, 6.0, 0.0), sound], &one, true, false),
        ] {
            assert_eq!(check(&found, playlists, has_picture).is_ok(), whole, "{found:?}");
        }
    }
}
