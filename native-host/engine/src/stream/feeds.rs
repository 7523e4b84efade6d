//! Where the segments of each track come from: a list, or somebody who follows the stream.
//!
//! Never fetches segments. Invariant: there is one feed for each track, in their order, and whoever follows a stream ends with
//! its job.

use std::sync::Arc;
use std::time::Duration;

use super::plan::Origin;
use super::track::Feed;
use super::{Live, Ready, live};
use crate::Job;
use crate::journal::Mark;
use crate::net::Net;

/// Ends the tasks that follow a stream when the job ends.
pub(super) type Followers = tokio::task::JoinSet<()>;

/// The feeds of all tracks behind what is there of them (`marks`), and who fills those of a stream that goes on.
pub(super) fn feeds(
    net: &Net,
    job: &Job,
    ready: &mut Ready,
    marks: &[Mark],
    was_live: bool,
    notes: &Arc<live::Notes>,
) -> (Vec<Feed>, Followers) {
    let mut followers = Followers::new();
    let end =
        live::End { finish: job.finish.clone(), limit: job.wishes.live_limit, notes: Arc::clone(notes) };
    let recorded = |mark: &Mark| Duration::from_micros(mark.us);
    let feeds = match ready.live.take() {
        None => {
            let listed = ready.tracks.iter_mut().zip(marks).map(|(track, mark)| {
                let left = match mark.sequence.filter(|_| was_live) {
                    // Numbers are what the two readings have in common.
                    Some(last) => live::rest(track, last, notes),
                    None => track.segments.split_off(mark.segments.min(track.segments.len())),
                };
                track.segments = Vec::new();
                Feed::Listed(left.into_iter())
            });
            listed.collect()
        }
        Some(Live::Hls { playlists, variables }) => {
            let main = playlists.first().and_then(|media| live::first_of(media, job.wishes.live_from_start));
            let mut feeds = Vec::new();
            for ((track, media), mark) in ready.tracks.iter().zip(playlists).zip(marks) {
                let Origin::Hls { url, backups } = &track.origin else { continue };
                let here = |number: &u64| media.segments.iter().any(|segment| segment.sequence == *number);
                let own = live::first_of(&media, job.wishes.live_from_start);
                // Renditions of one stream usually count alike, and then they begin together.
                let first = mark.sequence.map(|last| last + 1).or(main.filter(here)).or(own).unwrap_or(0);
                let (out, segments) = tokio::sync::mpsc::unbounded_channel();
                followers.spawn(live::follow_hls(
                    net.clone(),
                    ready.visitor.clone(),
                    (url.clone(), backups.clone()),
                    variables.clone(),
                    media,
                    live::Known::new(first),
                    recorded(mark),
                    out,
                    end.clone(),
                ));
                feeds.push(Feed::Live(segments));
            }
            feeds
        }
        Some(Live::Dash(broadcast)) => {
            let mut feeds = Vec::new();
            let mut tracks = Vec::new();
            for (track, mark) in ready.tracks.iter().zip(marks) {
                let Origin::Dash(id) = &track.origin else { continue };
                let (out, segments) = tokio::sync::mpsc::unbounded_channel();
                tracks.push(live::Follower::new(id.clone(), out, recorded(mark), mark.sequence, end.limit));
                feeds.push(Feed::Live(segments));
            }
            followers.spawn(live::follow_dash(net.clone(), ready.visitor.clone(), *broadcast, tracks, end));
            feeds
        }
    };
    (feeds, followers)
}
