//! Elements to [`Mpd`]: the manifest itself, and where its periods lie in time.
//!
//! Never addresses segments. Invariant: periods follow one another; what would make them overlap is an error.

use std::time::Duration;

use roxmltree::Node;
use url::Url;

use super::model::{ContentKind, Period};
use super::protection::Protection;
use super::{Clock, Mpd, MpdError, address, period, values, xml};

/// How far the stated length of the last period may fall short of its last segments, in microseconds: some packagers cut
/// it to whole seconds.
const CUT_SHORT_US: i64 = 1_000_000;
const NO_TIME: &str = "a length of time in it cannot be";
const NO_DATE: &str = "a date in it cannot be";

/// Reads a manifest. `base` is the address it really came from, after redirects.
///
/// # Errors
/// See [`MpdError`]. Protection and being live are no errors here: they are facts of the value.
pub fn parse(text: &str, base: &Url) -> Result<Mpd, MpdError> {
    xml::with_root(text, |root| mpd(root, base))
}

fn mpd(root: Node<'_, '_>, base: &Url) -> Result<Mpd, MpdError> {
    let live = xml::attribute(root, "type").is_some_and(|kind| kind.eq_ignore_ascii_case("dynamic"));
    let time = |name| xml::value(root, name, values::duration, NO_TIME);
    let date = |name| xml::value(root, name, values::unix_ms, NO_DATE);
    let stated = time("mediaPresentationDuration")?;
    let bases = address::bases(root, &address::root(base))?;
    let mut periods = Vec::new();
    let nodes = xml::parts(root, "Period")?;
    for place in places(&nodes, live, stated)? {
        let Some(node) = nodes.get(place.index).copied() else { continue };
        let name = match xml::attribute(node, "id") {
            Some(id) => id.to_owned(),
            None => format!("at {} µs", place.start_us),
        };
        periods.push(Period {
            name,
            start_us: place.start_us,
            duration_us: place.duration_us,
            cut_us: place.cut_us,
            representations: period::representations(node, &bases, base)?,
        });
    }
    if periods.iter().all(|period| period.representations.is_empty()) {
        return Err(MpdError::Empty);
    }
    let update_period = time("minimumUpdatePeriod")?;
    // While updates may come, so may periods.
    let end = periods.last().filter(|_| !live || update_period.is_none());
    let end = end.and_then(|last| Some(micros(last.start_us.checked_add(last.duration_us?)?)));
    let information = xml::children(root, "ProgramInformation").next();
    let title = information.and_then(|node| xml::children(node, "Title").find_map(xml::content));
    let (drm, unsupported) = obstacles(&periods);
    Ok(Mpd {
        live,
        duration: stated.or(end),
        minimum_update_period: update_period,
        time_shift_buffer_depth: time("timeShiftBufferDepth")?,
        availability_start_time: date("availabilityStartTime")?,
        publish_time: date("publishTime").unwrap_or_default(),
        suggested_presentation_delay: time("suggestedPresentationDelay").unwrap_or_default(),
        max_segment_duration: time("maxSegmentDuration").unwrap_or_default(),
        clocks: xml::children(root, "UTCTiming").flat_map(|node| clocks(node, base)).collect(),
        locations: xml::children(root, "Location")
            .filter_map(|node| address::resolve(base, xml::content(node)?).ok())
            .collect(),
        title: title.map(str::to_owned),
        drm,
        unsupported,
        periods,
    })
}

/// A period's place in time.
struct Place {
    index: usize,
    start_us: i64,
    duration_us: Option<i64>,
    cut_us: Option<i64>,
}

/// Section 5.3.2.1 of the standard: a period begins where it says, else where the one before ends; it ends where the next
/// begins, or earlier when it says so.
fn places(
    nodes: &[Node<'_, '_>],
    live: bool,
    presentation: Option<Duration>,
) -> Result<Vec<Place>, MpdError> {
    let mut places: Vec<Place> = Vec::with_capacity(nodes.len());
    for (index, node) in nodes.iter().enumerate() {
        let start = xml::value(*node, "start", values::duration, NO_TIME)?.map(as_micros);
        let duration_us = xml::value(*node, "duration", values::duration, NO_TIME)?.map(as_micros);
        let follows = match places.last() {
            None => Some(0),
            Some(before) => before.duration_us.and_then(|length| before.start_us.checked_add(length)),
        };
        let start_us = match start.or(follows) {
            Some(start) => start,
            // Announced, but not yet on the line of time.
            None if live => break,
            None => return Err(MpdError::malformed("it does not say where a period begins")),
        };
        if let Some(before) = places.last_mut() {
            let room = start_us - before.start_us;
            if room < 0 {
                return Err(MpdError::malformed("its periods are not in order"));
            }
            before.duration_us = Some(before.duration_us.map_or(room, |length| length.min(room)));
        }
        places.push(Place { index, start_us, duration_us, cut_us: None });
    }
    let count = places.len();
    for (index, place) in places.iter_mut().enumerate() {
        let end = place.duration_us.and_then(|length| place.start_us.checked_add(length));
        // The very last one may be rounded too.
        place.cut_us = end.map(|end| if index + 1 == count { end.saturating_add(CUT_SHORT_US) } else { end });
    }
    if let (Some(last), Some(total)) = (places.last_mut(), presentation)
        && last.duration_us.is_none()
    {
        last.duration_us = Some(as_micros(total) - last.start_us).filter(|length| *length >= 0);
    }
    Ok(places)
}

fn as_micros(duration: Duration) -> i64 {
    // Bounded where lengths of time are read.
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX / 4)
}

fn micros(micros: i64) -> Duration {
    Duration::from_micros(u64::try_from(micros).unwrap_or_default())
}

fn clocks(node: Node<'_, '_>, base: &Url) -> Vec<Clock> {
    let Some(value) = xml::attribute(node, "value") else { return Vec::new() };
    let scheme = xml::attribute(node, "schemeIdUri").unwrap_or_default();
    let way = scheme.strip_prefix("urn:mpeg:dash:utc:").and_then(|rest| rest.split(':').next());
    let addresses = value.split_ascii_whitespace().filter_map(|text| address::resolve(base, text).ok());
    match way.unwrap_or_default() {
        "http-head" => addresses.map(Clock::HttpHead).collect(),
        "http-iso" | "http-xsdate" => addresses.map(Clock::HttpIso).collect(),
        "direct" => values::unix_ms(value).map(Clock::Direct).into_iter().collect(),
        _ => Vec::new(),
    }
}

/// What keeps a whole kind of content of some period from being had.
fn obstacles(periods: &[Period]) -> (Option<crate::drm::Drm>, Option<String>) {
    let (mut drm, mut unsupported) = (None, None);
    for period in periods {
        for kind in [ContentKind::Video, ContentKind::Audio] {
            let ways =
                || period.representations.iter().filter(|representation| representation.is.kind == kind);
            if ways().any(|way| way.protection.is_open()) {
                continue;
            }
            for way in ways() {
                match &way.protection {
                    Protection::Drm(system) if drm.is_none() => drm = Some(system.clone()),
                    Protection::Unsupported(reason) if unsupported.is_none() => {
                        unsupported = Some(reason.clone());
                    }
                    _ => {}
                }
            }
        }
    }
    (drm, unsupported)
}
