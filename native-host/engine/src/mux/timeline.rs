//! Where every section of every track goes on the one clock of the finished file.
//!
//! Pure arithmetic in microseconds; never reads files. The clock of the result is that of the first section of the main
//! track. Invariant: the sections of a track never overlap, and tracks that shared a clock still share it.

use weir_media::codec::{Codec, CodecKind};
use weir_media::ts;

/// A section whose own clock goes on from the one before it within this is not moved.
const GOES_ON_US: i64 = 500_000;
/// A track that begins earlier than the one before it ended waits as long, alone; beyond, everything waits.
const ALONE_US: i64 = 250_000;
/// A track whose clock says otherwise than its playlist by more than this is believed to have a clock of its own.
const OWN_CLOCK_US: i64 = 1_000_000;
/// The same while a stream is live, when playlists begin at different moments.
const OWN_CLOCK_LIVE_US: i64 = 60_000_000;
/// ffmpeg takes times within a minute of a turn for earlier than zero.
const NEAR_TURN_US: i64 = 120_000_000;
/// One turn of the clock of transport streams.
const TURN_US: i64 = ts::WRAP * 100 / 9;

/// When an elementary stream of a section begins and ends by its own clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Beat {
    pub(super) id: u32,
    pub(super) codec: Codec,
    pub(super) kind: CodecKind,
    pub(super) first_us: i64,
    pub(super) end_us: i64,
}

/// The clocks of a section.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Clock {
    /// Empty when nothing says the time.
    pub(super) beats: Vec<Beat>,
    /// Time begins anew after 33 bits.
    pub(super) turns: bool,
}

impl Clock {
    /// The picture's time, or that of what else there is.
    pub(super) fn lead(&self) -> Option<&Beat> {
        let picture = self.beats.iter().find(|beat| beat.kind == CodecKind::Video);
        picture
            .or_else(|| self.beats.iter().find(|beat| beat.kind == CodecKind::Audio))
            .or(self.beats.first())
    }

    /// The earliest time in it.
    fn first(&self) -> Option<i64> {
        self.beats.iter().map(|beat| beat.first_us).min()
    }
}

/// A section as the manifest and its own clock see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stretch {
    /// By the manifest.
    pub(super) start_us: i64,
    /// By the manifest, holes inside it included.
    pub(super) span_us: i64,
    /// The clock may begin anew here.
    pub(super) new_clock: bool,
    /// What the manifest says has to be added to its clock.
    pub(super) given_us: Option<i64>,
    pub(super) clock: Clock,
}

impl Stretch {
    /// The clock begins anew within this section, or nearly so.
    pub(super) fn turns(&self) -> bool {
        let begins = self.clock.first();
        self.clock.turns && begins.is_some_and(|first| first + self.span_us + NEAR_TURN_US > TURN_US)
    }

    const fn end_us(&self) -> i64 {
        self.start_us.saturating_add(self.span_us)
    }
}

/// What has to be added to the timestamps of a section.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Shift {
    /// Of the section.
    pub(super) base_us: i64,
    /// How much of it is there because the section before took longer than the manifest says.
    pushed_us: i64,
    /// Of streams in it that have to wait a little for the end of the section before.
    pub(super) own: Vec<(u32, i64)>,
}

impl Shift {
    /// Of one stream of the section.
    pub(super) fn of(&self, id: u32) -> i64 {
        self.own.iter().find(|(own, _)| *own == id).map_or(self.base_us, |(_, shift)| *shift)
    }
}

/// Places the sections of all tracks, the main one first. Afterwards nothing is before zero.
pub(super) fn place(tracks: &[Vec<Stretch>], live: bool) -> Vec<Vec<Shift>> {
    let Some((main, others)) = tracks.split_first() else { return Vec::new() };
    let mut placed = vec![place_main(main)];
    for track in others {
        let shifts = place_other(track, main, &placed[0], live);
        placed.push(shifts);
    }
    let begins = tracks.iter().zip(&placed).flat_map(|(track, shifts)| track.iter().zip(shifts));
    let earliest = begins.flat_map(|(stretch, shift)| {
        stretch.clock.beats.iter().map(|beat| beat.first_us.saturating_add(shift.of(beat.id)))
    });
    let base = earliest.min().map_or(0, |earliest| (-earliest).max(0));
    if base > 0 {
        for shift in placed.iter_mut().flatten() {
            shift.base_us += base;
            shift.own.iter_mut().for_each(|(_, own)| *own += base);
        }
    }
    placed
}

/// Brings `shift` to the turn of the clock at which `first` comes nearest to `wanted`.
pub(super) fn turned(clock: &Clock, first: i64, shift: i64, wanted: i64) -> i64 {
    if !clock.turns {
        return shift;
    }
    let off = wanted - (first + shift);
    shift + (off + TURN_US / 2).div_euclid(TURN_US) * TURN_US
}

/// The moment nearest to `near` among those that differ from `us` by whole turns of the clock.
pub(super) const fn turned_to(us: i64, near: i64) -> i64 {
    us + (near - us + TURN_US / 2).div_euclid(TURN_US) * TURN_US
}

/// A film during which the clock turns begins at zero instead: programs see a turn at different moments.
fn away_from_turn(stretch: &Stretch, first: i64) -> i64 {
    if stretch.turns() { -first } else { 0 }
}

fn place_main(stretches: &[Stretch]) -> Vec<Shift> {
    let mut shifts: Vec<Shift> = Vec::new();
    for (number, stretch) in stretches.iter().enumerate() {
        let before = number.checked_sub(1).map(|before| (&stretches[before], &shifts[before]));
        let base = match (stretch.given_us, stretch.clock.lead(), before) {
            (Some(given), lead, _) => {
                lead.map_or(given, |lead| turned(&stretch.clock, lead.first_us, given, stretch.start_us))
            }
            (None, lead, None) => lead.map_or(0, |lead| away_from_turn(stretch, lead.first_us)),
            (None, None, Some((_, last))) => last.base_us,
            (None, Some(lead), Some((last, last_shift))) => {
                let hole = (stretch.start_us - last.end_us()).max(0);
                let ended = last.clock.lead().map(|beat| beat.end_us + last_shift.of(beat.id));
                let wanted = ended.unwrap_or(last.start_us) + hole;
                let same = turned(&stretch.clock, lead.first_us, last_shift.base_us, wanted);
                let natural = lead.first_us + same;
                let goes_on = natural >= wanted - 1000 && natural <= wanted + GOES_ON_US;
                let goes_on = goes_on || !stretch.new_clock;
                if goes_on { same } else { wanted - lead.first_us }
            }
        };
        shifts.push(without_overlap(stretch, base, before));
    }
    shifts
}

fn place_other(stretches: &[Stretch], main: &[Stretch], main_shifts: &[Shift], live: bool) -> Vec<Shift> {
    let mut shifts: Vec<Shift> = Vec::new();
    for (number, stretch) in stretches.iter().enumerate() {
        let before = number.checked_sub(1).map(|before| (&stretches[before], &shifts[before]));
        let partner = partner(stretch, main).map(|at| (&main[at], &main_shifts[at]));
        // Where the manifest would have it.
        let expected = partner.and_then(|(main, shift)| {
            let begins = main.clock.lead().map(|beat| beat.first_us + shift.of(beat.id))?;
            Some(begins + stretch.start_us - main.start_us)
        });
        let base = match (stretch.given_us, stretch.clock.first(), partner) {
            (Some(given), first, _) => {
                let given = given + partner.map_or(0, |(_, shift)| shift.pushed_us);
                let expected = expected.unwrap_or(stretch.start_us);
                first.map_or(given, |first| turned(&stretch.clock, first, given, expected))
            }
            // Nothing says its time: it begins where the manifest says.
            (None, None, _) => expected.unwrap_or_default(),
            (None, Some(_), None) => 0,
            (None, Some(first), Some((_, shift))) => {
                let expected = expected.unwrap_or(first + shift.base_us);
                let shared = turned(&stretch.clock, first, shift.base_us, expected);
                let limit = if live { OWN_CLOCK_LIVE_US } else { OWN_CLOCK_US };
                if (first + shared - expected).abs() > limit { expected - first } else { shared }
            }
        };
        shifts.push(without_overlap(stretch, base, before));
    }
    shifts
}

/// The section of the main track that plays at the same time, mostly.
pub(super) fn partner(stretch: &Stretch, main: &[Stretch]) -> Option<usize> {
    let common =
        |other: &Stretch| stretch.end_us().min(other.end_us()) - stretch.start_us.max(other.start_us);
    (0..main.len()).max_by_key(|at| (common(&main[*at]), std::cmp::Reverse(*at)))
}

/// Lets streams wait that would begin before the same one ended; when one would have to wait for long, all do.
fn without_overlap(stretch: &Stretch, base: i64, before: Option<(&Stretch, &Shift)>) -> Shift {
    let before = before.map(|(last, shift)| (&last.clock, shift));
    let shift = waiting(&stretch.clock, base, before);
    let longest = shift.own.iter().map(|(_, own)| own - base).max().unwrap_or_default();
    if longest > ALONE_US {
        return Shift { base_us: base + longest, pushed_us: longest, own: Vec::new() };
    }
    shift
}

/// Lets every stream of a section wait until the same one of the section before has ended.
pub(super) fn waiting(clock: &Clock, base: i64, before: Option<(&Clock, &Shift)>) -> Shift {
    let mut shift = Shift { base_us: base, ..Shift::default() };
    let Some((last, last_shift)) = before else { return shift };
    // The picture of a section is matched with the picture of the one before, and so on; their numbers may differ.
    let mut taken: Vec<u32> = Vec::new();
    for beat in &clock.beats {
        let mine = last.beats.iter().find(|one| one.kind == beat.kind && !taken.contains(&one.id));
        let Some(mine) = mine else { continue };
        taken.push(mine.id);
        let wait = mine.end_us + last_shift.of(mine.id) - (beat.first_us + base);
        if wait > 0 {
            shift.own.push((beat.id, base + wait));
        }
    }
    shift
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: i64 = 1_000_000;

    fn beat(id: u32, codec: Codec, (first_us, end_us): (i64, i64)) -> Beat {
        Beat { id, kind: codec.kind(), codec, first_us, end_us }
    }

    fn stretch(start: i64, span: i64, picture: (i64, i64), sound: Option<(i64, i64)>) -> Stretch {
        let beats = std::iter::once(beat(1, Codec::H264, picture))
            .chain(sound.map(|sound| beat(2, Codec::Aac, sound)));
        Stretch {
            start_us: start,
            span_us: span,
            new_clock: true,
            given_us: None,
            clock: Clock { beats: beats.collect(), turns: true },
        }
    }

    #[test]
    fn a_clock_that_begins_anew_goes_on_where_the_one_before_ended() {
        let track = vec![
            stretch(0, 4 * S, (10 * S, 14 * S), Some((10 * S, 14 * S + 10_000))),
            stretch(4 * S, 4 * S, (10 * S, 14 * S), Some((10 * S, 14 * S))),
            stretch(8 * S, 4 * S, (77 * S, 81 * S), Some((77 * S + 50_000, 81 * S))),
        ];
        let placed = place(&[track], false);
        assert_eq!(placed[0][0], Shift::default());
        // The sound of the first section is longer than its picture: that of the second waits, and only it.
        assert_eq!((placed[0][1].of(1), placed[0][1].of(2)), (4 * S, 4 * S + 10_000));
        assert_eq!((placed[0][2].of(1), placed[0][2].of(2)), (-59 * S, -59 * S));
    }

    #[test]
    fn a_clock_that_goes_on_is_left_alone() {
        let track = vec![
            stretch(0, 4 * S, (10 * S, 14 * S), None),
            stretch(4 * S, 4 * S, (14 * S + 40_000, 18 * S), None),
            // Beyond its turn.
            stretch(8 * S, 4 * S, (18 * S - TURN_US, 22 * S - TURN_US), None),
        ];
        let placed = place(&[track], false);
        assert_eq!(placed[0].iter().map(|shift| shift.base_us).collect::<Vec<_>>(), [0, 0, TURN_US]);
    }

    #[test]
    fn a_hole_between_sections_stays() {
        let track = vec![stretch(0, 4 * S, (0, 4 * S), None), stretch(10 * S, 4 * S, (50 * S, 54 * S), None)];
        assert_eq!(place(&[track], false)[0][1].base_us, -40 * S);
    }

    #[test]
    fn other_tracks_share_the_clock_of_the_main_one() {
        let main =
            vec![stretch(0, 4 * S, (10 * S, 14 * S), None), stretch(4 * S, 4 * S, (2 * S, 6 * S), None)];
        let sound = |first: i64, second: i64| {
            vec![
                stretch(0, 4 * S, (first, first + 4 * S), None),
                stretch(4 * S, 4 * S, (second, second + 4 * S), None),
            ]
        };
        let shifts = |track: Vec<Stretch>, live| {
            place(&[main.clone(), track], live)[1].iter().map(|shift| shift.base_us).collect::<Vec<_>>()
        };
        assert_eq!(shifts(sound(10 * S + 50_000, 2 * S + 60_000), false), [0, 12 * S]);
        // Another turn of the clock, and a clock of its own.
        assert_eq!(shifts(sound(10 * S + TURN_US, 2 * S), false), [-TURN_US, 12 * S]);
        assert_eq!(shifts(sound(0, 4 * S), false), [10 * S, 10 * S]);
        // While it is live the clock is believed: playlists begin at different moments.
        assert_eq!(shifts(sound(6 * S, 2 * S), true), [0, 12 * S]);
    }

    #[test]
    fn what_the_manifest_gives_is_taken_and_nothing_is_before_zero() {
        let given = |start: i64, first: i64, given: i64| Stretch {
            given_us: Some(given),
            clock: Clock { beats: vec![beat(1, Codec::H264, (first, first + 4 * S))], turns: false },
            ..stretch(start, 4 * S, (0, 0), None)
        };
        let video = vec![given(0, 100 * S, -100 * S), given(4 * S, 7 * S, -3 * S)];
        let sound = vec![given(0, 49_980_000, -50 * S)];
        let placed = place(&[video, sound], false);
        assert_eq!(placed[0][0].base_us, -100 * S + 20_000);
        assert_eq!(placed[0][1].base_us, -3 * S + 20_000);
        assert_eq!(placed[1][0].base_us, -50 * S + 20_000);
    }
}
