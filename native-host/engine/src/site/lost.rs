//! The segments of a page's media: which yt-dlp could not have when it was told to go on without them, and from which a
//! later run goes on.
//!
//! Owns the count. yt-dlp says so to people only; but it can be told to keep the segments that came, each in a file of its
//! own that bears its number, and what is not there was lost. Never reads a segment but the beginning of the first.
//! Invariant: what cannot be counted is told as unknown, and never as whole.

use std::collections::BTreeSet;
use std::io::{self, Read as _};
use std::path::Path;

use super::result::STEM;
use crate::EngineError;
use crate::journal::SiteState;

/// Between the name of a file in the making and the number of a segment of it.
const MARK: &str = ".part-Frag";
/// Of a segment: what tells an initialisation section from media.
const LOOKED_AT: u64 = 64 * 1024;
/// Ends the name of what yt-dlp has noted of a file in segments.
const NOTE: &str = ".ytdl";

/// The options of a run that goes on without what cannot be had, or of one that does not. What is live goes on for days, and
/// is not gone on with.
pub(super) fn options(holes: bool, live: bool) -> impl Iterator<Item = &'static str> {
    let lost = if holes { "--skip-unavailable-fragments" } else { "--abort-on-unavailable-fragments" };
    [lost].into_iter().chain((!live).then_some("--keep-fragments"))
}

/// What is fetched by this protocol comes in segments.
fn in_segments(protocol: &str) -> bool {
    ["m3u8", "http_dash", "ism", "f4m"].iter().any(|kind| protocol.starts_with(kind))
}

/// The run ended in the middle of segments: some are here, and a file of them was begun and is not whole. yt-dlp notes that
/// once it has read which segments there are, so a playlist that cannot be had is not taken for one of them.
pub(super) fn in_the_middle(folder: &Path) -> bool {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let names: Vec<String> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.iter().any(|name| is_kept(name)) && names.iter().any(|name| name.ends_with(NOTE))
}

/// Why a run ended in the middle of the segments, of which everything else can still be had. Where a login is wanted it can
/// not: the next segment would want it too.
pub(super) fn fact(fact: EngineError) -> EngineError {
    let reason = match &fact {
        EngineError::Gone { status } | EngineError::HttpStatus { status } => {
            format!("the server answered with status {status}")
        }
        EngineError::SiteFailed { reason, transient: true } => reason.clone(),
        _ => return fact,
    };
    EngineError::SiteSegmentMissing { reason, transient: fact.is_transient() }
}

/// A segment that is kept, whole.
pub(super) fn is_kept(name: &str) -> bool {
    name.rsplit_once(MARK).is_some_and(|(_, number)| number.parse::<u64>().is_ok())
}

/// Lets a run go on from the segments that came. What yt-dlp has noted of them is not to be believed: while several are
/// fetched at a time it counts those that came, not those it has written, and would leave out what is in between.
pub(super) fn take_up(folder: &Path) -> io::Result<()> {
    let names: Vec<String> = std::fs::read_dir(folder)?
        .map(|entry| entry.map(|entry| entry.file_name().to_string_lossy().into_owned()))
        .collect::<io::Result<_>>()?;
    for note in names.iter().filter(|name| name.ends_with(NOTE)) {
        let file = note.trim_end_matches(NOTE);
        let written = format!("{file}.part");
        if names.contains(&written) {
            std::fs::remove_file(folder.join(written))?;
        }
        // Last: while it is there, what was written may be too.
        std::fs::remove_file(folder.join(note))?;
    }
    for begun in names.iter().filter(|name| name.contains(MARK) && name.ends_with(".part")) {
        std::fs::remove_file(folder.join(begun))?;
    }
    Ok(())
}

/// What is missing, in words; none when nothing is. `protocols` are those of the page's chosen formats.
pub(super) fn words(folder: &Path, state: &SiteState, protocols: &[(&str, &str)]) -> Option<String> {
    let names: Vec<String> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    let mut files: BTreeSet<&str> =
        names.iter().filter_map(|name| name.rsplit_once(MARK)).map(|(file, _)| file).collect();
    files.extend(state.segments.keys().map(String::as_str));
    // Segments that nobody has seen were fetched by another program, which goes on over lost ones and says nothing.
    let is_counted = |id: &str| state.segments.keys().any(|file| is_of(file, id, protocols));
    let mut unknown = protocols.iter().any(|(id, protocol)| in_segments(protocol) && !is_counted(id));
    let (mut lost, mut total) = (Vec::new(), 0);
    for file in files {
        let Some(counted) = state.segments.get(file).copied() else {
            unknown = true;
            continue;
        };
        let here: BTreeSet<u64> = names
            .iter()
            .filter_map(|name| name.rsplit_once(MARK).filter(|(own, _)| *own == file)?.1.parse().ok())
            .collect();
        // yt-dlp numbers the initialisation section of a playlist, and does not count it.
        let first = folder.join(format!("{file}{MARK}1"));
        let numbered = counted + u64::from(is_hls(file, protocols) && is_initialisation(&first));
        let last = here.last().map_or(numbered, |last| numbered.max(*last));
        lost.extend((1..=last).filter(|number| !here.contains(number)));
        total += last;
    }
    let known = match lost[..] {
        [] => None,
        [number] => Some(format!("1 of {total} segments is missing, number {number}")),
        _ => Some(format!("{} of {total} segments are missing", lost.len())),
    };
    let note = unknown.then(|| "it may lack segments: how many there are is not known".to_owned());
    let notes: Vec<String> = known.into_iter().chain(note).collect();
    (!notes.is_empty()).then(|| notes.join("; "))
}

/// The file is that of a chosen format: `media.f137.mp4` of format 137. A single one bears no format, and `media.de.vtt` is
/// none of them.
fn is_of(file: &str, id: &str, protocols: &[(&str, &str)]) -> bool {
    let Some(rest) = file.strip_prefix(STEM) else { return false };
    let ends = |start: &str| rest.strip_prefix(start).is_some_and(|extension| !extension.contains('.'));
    ends(&format!(".f{id}.")) || (protocols.len() == 1 && ends("."))
}

/// The file is fetched by an HLS playlist.
fn is_hls(file: &str, protocols: &[(&str, &str)]) -> bool {
    let of_file = protocols.iter().find(|(id, _)| is_of(file, id, protocols)).or(protocols.first());
    of_file.is_some_and(|(_, protocol)| protocol.starts_with("m3u8"))
}

fn is_initialisation(path: &Path) -> bool {
    let mut start = Vec::new();
    let Ok(file) = std::fs::File::open(path) else { return false };
    let has = |start: &[u8], name: &[u8]| start.windows(4).any(|four| four == name);
    file.take(LOOKED_AT).read_to_end(&mut start).is_ok()
        && start.get(4..8) == Some(b"ftyp")
        && has(&start, b"moov")
        && !has(&start, b"moof")
        && !has(&start, b"mdat")
}

#[cfg(test)]
mod tests {
    use super::*;

    const HLS: &[(&str, &str)] = &[("hls-1", "m3u8_native")];

    fn folder(names: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for name in names {
            std::fs::write(dir.path().join(name), b"x").unwrap();
        }
        dir
    }

    fn counted(pairs: &[(&str, u64)]) -> SiteState {
        let segments = pairs.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
        SiteState { segments, ..SiteState::default() }
    }

    #[test]
    fn what_is_not_there_was_lost() {
        let dir = folder(&[
            "media.mp4",
            "media.mp4.part-Frag1",
            "media.mp4.part-Frag3",
            "media.mp4.part-Frag4.part",
        ]);
        let words = |count| super::words(dir.path(), &counted(&[("media.mp4", count)]), HLS);
        assert_eq!(words(3).as_deref(), Some("1 of 3 segments is missing, number 2"));
        assert_eq!(words(4).as_deref(), Some("2 of 4 segments are missing"));
        let whole = folder(&["media.mp4", "media.mp4.part-Frag1", "media.mp4.part-Frag2"]);
        assert_eq!(super::words(whole.path(), &counted(&[("media.mp4", 2)]), HLS), None);
    }

    #[test]
    fn an_initialisation_section_is_numbered_and_not_counted() {
        let dir = folder(&["media.mp4.part-Frag2", "media.mp4.part-Frag3"]);
        let first = dir.path().join("media.mp4.part-Frag1");
        std::fs::write(&first, b"\0\0\0\x08ftyp\0\0\0\x08moov").unwrap();
        let state = counted(&[("media.mp4", 3)]);
        assert_eq!(words(dir.path(), &state, HLS).as_deref(), Some("1 of 4 segments is missing, number 4"));
        // A list of DASH segments counts it.
        assert_eq!(words(dir.path(), &state, &[("v", "http_dash_segments")]), None);
        std::fs::write(&first, b"\0\0\0\x08ftyp\0\0\0\x08moov\0\0\0\x08moof").unwrap();
        assert_eq!(words(dir.path(), &state, HLS), None);
    }

    #[test]
    fn what_nobody_can_count_may_be_lost() {
        let unknown = Some("it may lack segments: how many there are is not known");
        let by_another_program = folder(&["media.mp4"]);
        assert_eq!(words(by_another_program.path(), &counted(&[]), HLS).as_deref(), unknown);
        assert_eq!(words(by_another_program.path(), &counted(&[]), &[("0", "https")]), None);
        let uncounted = folder(&["media.mp4.part-Frag1"]);
        assert_eq!(words(uncounted.path(), &counted(&[]), HLS).as_deref(), unknown);
    }

    #[test]
    fn one_counted_file_does_not_speak_for_another() {
        let unknown = Some("it may lack segments: how many there are is not known");
        let dir = folder(&["media.f2.m4a.part-Frag1", "media.f2.m4a.part-Frag2"]);
        let sound = counted(&[("media.f2.m4a", 2)]);
        // The picture was fetched by another program.
        let both = &[("1", "m3u8"), ("2", "m3u8_native")];
        assert_eq!(words(dir.path(), &sound, both).as_deref(), unknown);
        let holed = counted(&[("media.f2.m4a", 3)]);
        let told = words(dir.path(), &holed, both).unwrap();
        assert!(told.starts_with("1 of 3 segments is missing, number 3; it may lack segments"), "{told}");
        // One that is a plain file lacks none.
        assert_eq!(words(dir.path(), &sound, &[("1", "https"), ("2", "m3u8_native")]), None);
        assert_eq!(words(dir.path(), &sound, &[("2", "m3u8_native")]), None);
        // A format's name may begin as another's does.
        let both = &[("2", "m3u8_native"), ("2.m4a", "m3u8")];
        assert_eq!(words(dir.path(), &sound, both).as_deref(), unknown);
        // Subtitles may come in segments too.
        let dir = folder(&["media.mp4", "media.de.vtt.part-Frag1"]);
        assert_eq!(words(dir.path(), &counted(&[("media.de.vtt", 1)]), HLS).as_deref(), unknown);
    }

    #[test]
    fn a_segment_is_lost_only_in_the_middle_of_others() {
        let in_the_middle = |names: &[&str]| super::in_the_middle(folder(names).path());
        assert!(in_the_middle(&["media.mp4.part", "media.mp4.ytdl", "media.mp4.part-Frag1"]));
        // The first segment of the sound.
        assert!(in_the_middle(&["media.f1.mp4", "media.f1.mp4.part-Frag1", "media.f2.m4a.ytdl"]));
        for names in [
            &[][..],
            &["media.mp4.part", "media.mp4.ytdl", "media.mp4.part-Frag1.part"],
            // A playlist, of the sound or of all that an earlier run began.
            &["media.f1.mp4", "media.f1.mp4.part-Frag1"],
            &["media.mp4.part-Frag1"],
        ] {
            assert!(!in_the_middle(names), "{names:?}");
        }
    }

    #[test]
    fn a_run_goes_on_from_what_came_and_not_from_what_was_noted() {
        let dir = folder(&[
            "media.f1.mp4",
            "media.f1.mp4.part-Frag1",
            "media.f2.m4a.part",
            "media.f2.m4a.ytdl",
            "media.f2.m4a.part-Frag1",
            "media.f2.m4a.part-Frag3.part",
            "media.f3.mp4.part",
        ]);
        take_up(dir.path()).unwrap();
        let mut left: Vec<_> =
            std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        // What comes in one piece goes on by its size.
        let kept =
            ["media.f1.mp4", "media.f1.mp4.part-Frag1", "media.f2.m4a.part-Frag1", "media.f3.mp4.part"];
        assert_eq!(left, kept);
    }

    #[test]
    fn only_what_a_segment_can_lack_is_told_as_one() {
        let told = fact(EngineError::Gone { status: 404 });
        assert!(matches!(&told, EngineError::SiteSegmentMissing { transient: false, .. }), "{told:?}");
        assert!(fact(EngineError::HttpStatus { status: 503 }).is_transient());
        assert!(matches!(fact(EngineError::DiskFull), EngineError::DiskFull));
        let login = fact(EngineError::LoginRequired { status: 403 });
        assert!(matches!(login, EngineError::LoginRequired { status: 403 }), "{login:?}");
        let other = EngineError::SiteFailed { reason: "r".into(), transient: false };
        assert!(matches!(fact(other), EngineError::SiteFailed { .. }));
    }

    #[test]
    fn only_whole_segments_are_kept_ones() {
        assert!(is_kept("media.mp4.part-Frag12"));
        for other in ["media.mp4.part-Frag12.part", "media.mp4.part", "media.mp4", "media.mp4.part-Frag"] {
            assert!(!is_kept(other), "{other}");
        }
    }
}
