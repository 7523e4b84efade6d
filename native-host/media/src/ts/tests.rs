//! Packets made by hand: headers that are spread, clocks that turn, numbers that go on.

use proptest::prelude::*;

use super::*;
use crate::codec::Codec;

/// A packet of `payload`, filled up by an adaptation field, with a clock reference if there is one.
fn packet(pid: u16, starts: bool, counter: u8, clock: Option<i64>, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![0x47, u8::from(starts) << 6 | (pid >> 8) as u8, pid as u8, counter & 0x0F];
    let room = PACKET - 4 - payload.len();
    if room > 0 {
        out[3] |= 0x30;
        out.push((room - 1) as u8);
        if room > 1 {
            out.push(if clock.is_some() { 0x10 } else { 0 });
        }
        if let Some(clock) = clock {
            out.extend([clock >> 25, clock >> 17, clock >> 9, clock >> 1].map(|part| part as u8));
            out.extend([((clock & 1) as u8) << 7 | 0x7E, 0]);
        }
        out.resize(PACKET - payload.len(), 0xFF);
    } else {
        out[3] |= 0x10;
    }
    out.extend(payload);
    assert_eq!(out.len(), PACKET);
    out
}

/// A PES header with both times, and some payload.
fn pes(pts: i64, dts: i64, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![0, 0, 1, 0xE0, 0, 0, 0x80, 0xC0, 10];
    for (mark, ticks) in [(3, pts), (1, dts)] {
        let ticks = ticks.rem_euclid(WRAP);
        let part = |shift: u32, mask: i64| (ticks >> shift & mask) as u8;
        out.extend([
            mark << 4 | part(30, 7) << 1 | 1,
            part(22, 0xFF),
            part(15, 0x7F) << 1 | 1,
            part(7, 0xFF),
            part(0, 0x7F) << 1 | 1,
        ]);
    }
    out.extend(payload);
    out
}

/// Tables that announce H.264 at 0x100 and AAC at 0x101.
fn tables() -> Vec<u8> {
    let pat = [0, 0, 0xB0, 13, 0, 1, 0xC1, 0, 0, 0, 1, 0xE0, 0x20, 0, 0, 0, 0];
    let pmt = [
        0, 2, 0xB0, 23, 0, 1, 0xC1, 0, 0, 0xE1, 0, 0xF0, 0, 0x1B, 0xE1, 0, 0xF0, 0, 0x0F, 0xE1, 1, 0xF0, 0,
        0, 0, 0, 0,
    ];
    let table = |pid, section: &[u8]| {
        let mut payload = section.to_vec();
        payload.resize(PACKET - 4, 0xFF);
        packet(pid, true, 0, None, &payload)
    };
    [table(0, &pat), table(0x20, &pmt)].concat()
}

/// Pictures 3600 ticks apart from `first` on, each shown 7200 later.
fn pictures(first: i64, count: i64) -> Vec<u8> {
    let one = |n: i64| {
        let dts = first + n * 3600;
        packet(0x100, true, n as u8, Some(dts - 9000), &pes(dts + 7200, dts, &[n as u8; 40]))
    };
    (0..count).flat_map(one).collect()
}

fn scan(bytes: &[u8]) -> Vec<Span> {
    let mut scan = Scan::default();
    assert_eq!(scan.feed(bytes, true), bytes.len());
    scan.spans()
}

#[test]
fn a_clock_is_followed_over_its_turn() {
    let first = WRAP - 5 * 3600;
    let spans = scan(&[tables(), pictures(first, 10)].concat());
    let [span] = spans.as_slice() else { panic!("{spans:?}") };
    assert_eq!((span.stream.pid, &span.stream.codec), (0x100, &Codec::H264));
    assert_eq!((span.first, span.end), (first, first + 10 * 3600));
    assert_eq!(span.shown, first + 7200);
    assert_eq!((unwrap(5, WRAP + 3), unwrap(WRAP - 5, 0), unwrap(7, 9)), (WRAP + 5, -5, 7));
}

#[test]
fn all_times_are_moved_and_nothing_else() {
    let before = pictures(WRAP - 3600, 3);
    let mut retime = Retime::default();
    retime.begin(vec![Route { from: 0x100, to: 0x55, shift: 10_000 }]);
    let (mut buffer, mut out) = ([tables(), before].concat(), Vec::new());
    assert_eq!(retime.feed(&mut buffer, true, &mut out), buffer.len());
    // Tables have no way: somebody else announces the streams.
    let expected: Vec<u8> = (0..3)
        .flat_map(|n: i64| {
            let dts = (WRAP - 3600 + n * 3600 + 10_000).rem_euclid(WRAP);
            let clock = (WRAP - 3600 + n * 3600 - 9000 + 10_000).rem_euclid(WRAP);
            packet(0x55, true, n as u8, Some(clock), &pes(dts + 7200, dts, &[n as u8; 40]))
        })
        .collect();
    assert_eq!(out, expected);
}

#[test]
fn a_header_may_be_spread_over_packets() {
    let header = pes(90_000, 86_400, &[7; 100]);
    let sound = packet(0x101, true, 0, None, &pes(1, 1, &[0; 20]));
    for cut in 1..19 {
        // What remains fills its packet.
        let rest = [&header[cut..], &[9; PACKET][..PACKET - 4 - (header.len() - cut)]].concat();
        let bytes = [
            packet(0x100, true, 4, None, &header[..cut]),
            sound.clone(),
            packet(0x100, false, 5, None, &rest),
        ]
        .concat();
        let mut retime = Retime::default();
        retime.begin(vec![Route { from: 0x100, to: 0x100, shift: 900 }]);
        let mut out = Vec::new();
        // Only the first packet is there: it waits for the others.
        assert_eq!(retime.feed(&mut bytes[..PACKET].to_vec(), false, &mut out), 0);
        assert_eq!(retime.feed(&mut bytes.clone(), false, &mut out), bytes.len());
        let moved = pes(90_900, 87_300, &[7; 100]);
        assert_eq!(&out[PACKET - cut..PACKET], &moved[..cut], "cut at {cut}");
        assert_eq!(&out[PACKET + 4..PACKET + 4 + moved.len() - cut], &moved[cut..], "cut at {cut}");
    }
}

#[test]
fn counters_go_on_over_the_border_of_runs() {
    let mut retime = Retime::default();
    let route = vec![Route { from: 0x100, to: 0x100, shift: 0 }];
    let mut out = Vec::new();
    // Three packets, then a run that begins with 9 and has a packet lost in it.
    retime.begin(route.clone());
    retime.feed(&mut pictures(0, 3), true, &mut out);
    retime.begin(route);
    let mut second: Vec<u8> =
        [9, 10, 12].iter().flat_map(|n| packet(0x100, true, *n, None, &pes(0, 0, &[]))).collect();
    retime.feed(&mut second, true, &mut out);
    let counters: Vec<u8> = out.chunks(PACKET).map(|packet| packet[3] & 0x0F).collect();
    assert_eq!(counters, [0, 1, 2, 3, 4, 6]);
}

#[test]
fn packets_are_found_behind_what_is_none() {
    let bytes = [&b"garbage"[..], &pictures(0, 6)].concat();
    assert_eq!(align(&bytes), Some(7));
    assert_eq!(align(b"garbage"), None);
    assert_eq!(align(&[]), None);
}

proptest! {
    #[test]
    fn damaged_packets_are_no_trouble(flips in prop::collection::vec((0_usize..8 * PACKET, any::<u8>()), 0..20)) {
        let mut bytes = [tables(), pictures(0, 6)].concat();
        for (at, value) in flips {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = value;
            }
        }
        let mut scan = Scan::default();
        let used = scan.feed(&bytes, true);
        prop_assert!(used <= bytes.len());
        let _ = scan.spans();
        let mut retime = Retime::default();
        retime.begin(vec![Route { from: 0x100, to: 0x1FF, shift: -5 }]);
        let mut out = Vec::new();
        retime.feed(&mut bytes, true, &mut out);
        prop_assert!(out.len() <= 8 * PACKET && out.len() % PACKET == 0);
    }
}
