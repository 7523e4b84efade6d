//! Transport streams (ISO/IEC 13818-1): packets, program tables, and the timestamps of what they carry.
//!
//! Works on buffers that hold whole packets and never reads files. Invariant: only timestamps, packet identifiers and
//! continuity counters are ever changed; every other byte of a packet that is kept stays what it was.

mod program;
mod retime;
mod scan;

pub use program::{Elementary, Tables};
pub use retime::{Retime, Route};
pub use scan::{Scan, Span};

/// Size of a packet.
pub const PACKET: usize = 188;
/// Ticks of the clock of timestamps in a second.
pub const CLOCK: i64 = 90_000;
/// Timestamps have 33 bits and begin anew after them: some 26.5 hours.
pub const WRAP: i64 = 1 << 33;

/// Bytes of a PES header up to the end of its timestamps.
const TIMESTAMPS_END: usize = 19;
/// Packets over which a header may be spread, those of other streams between them counted.
const MAX_SPREAD: usize = 256;

/// How far `bytes` are from the beginning of a packet; none when there is no run of packets in them. Servers put things
/// between segments now and then.
#[must_use]
pub fn align(bytes: &[u8]) -> Option<usize> {
    (0..bytes.len().min(4 * PACKET)).find(|start| {
        (0..4).all(|n| bytes.get(start + n * PACKET).is_none_or(|byte| *byte == 0x47))
            && bytes[*start] == 0x47
            && start + PACKET <= bytes.len()
    })
}

/// The nearest number to `near` among those that differ from `ticks` by whole turns of the clock.
#[must_use]
pub const fn unwrap(ticks: i64, near: i64) -> i64 {
    let turns = (near - ticks + WRAP / 2).div_euclid(WRAP);
    ticks + turns * WRAP
}

/// What the head of a packet says.
#[derive(Debug, Clone, Copy)]
struct Head {
    pid: u16,
    /// A PES packet or a table begins here.
    starts: bool,
    /// Where the payload begins; [`PACKET`] when there is none.
    payload: usize,
}

fn head(packet: &[u8]) -> Head {
    let pid = u16::from_be_bytes([packet[1] & 0x1F, packet[2]]);
    let payload = match packet[3] >> 4 & 3 {
        1 => 4,
        3 => (5 + usize::from(packet[4])).min(PACKET),
        _ => PACKET,
    };
    Head { pid, starts: packet[1] & 0x40 != 0 && payload < PACKET, payload }
}

/// Where the timestamps of the PES packet are that begins in one packet.
#[derive(Debug)]
enum Stamps {
    /// Places of their bytes in the buffer, and what they say. Without a DTS of its own a packet is decoded when shown.
    Found { pts: [usize; 5], dts: Option<[usize; 5]>, shown: i64, decoded: i64 },
    /// It has none.
    Absent,
    /// Its header goes on behind the end of the buffer.
    Unfinished,
}

/// Reads the header of the PES packet that begins in the packet at `at`. It may go on in later packets of its PID.
fn stamps(buffer: &[u8], at: usize) -> Stamps {
    let first = head(&buffer[at..at + PACKET]);
    let mut places = [0_usize; TIMESTAMPS_END];
    let mut known = 0;
    let mut needed = 9;
    let mut packet = at;
    while packet + PACKET <= buffer.len() {
        if packet > at + MAX_SPREAD * PACKET {
            return Stamps::Absent;
        }
        let here = head(&buffer[packet..packet + PACKET]);
        if here.pid == first.pid && buffer[packet] == 0x47 {
            if packet != at && here.starts {
                // Cut off before its header was whole.
                return Stamps::Absent;
            }
            for place in packet + here.payload..packet + PACKET {
                places[known] = place;
                known += 1;
                if known == 9 {
                    match needed_for(buffer, &places) {
                        Some(more) => needed = more,
                        None => return Stamps::Absent,
                    }
                }
                if known == needed {
                    return read(buffer, &places, needed);
                }
            }
        }
        packet += PACKET;
    }
    Stamps::Unfinished
}

/// How many bytes of the header hold timestamps; none when it has none.
fn needed_for(buffer: &[u8], places: &[usize; TIMESTAMPS_END]) -> Option<usize> {
    let byte = |n: usize| buffer[places[n]];
    // Padding, private stream 2, program maps and the like have no such header (table 2-21).
    let plain = matches!(byte(3), 0xBC | 0xBE | 0xBF | 0xF0..=0xF2 | 0xF8 | 0xFF);
    if (byte(0), byte(1), byte(2)) != (0, 0, 1) || plain || byte(6) >> 6 != 2 {
        return None;
    }
    let length = usize::from(byte(8));
    match byte(7) >> 6 {
        2 if length >= 5 => Some(14),
        3 if length >= 10 => Some(19),
        _ => None,
    }
}

fn read(buffer: &[u8], places: &[usize; TIMESTAMPS_END], needed: usize) -> Stamps {
    let five = |from: usize| {
        let mut five = [0; 5];
        five.copy_from_slice(&places[from..from + 5]);
        five
    };
    let pts = five(9);
    let dts = (needed == TIMESTAMPS_END).then(|| five(14));
    let shown = get(buffer, &pts);
    Stamps::Found { pts, dts, shown, decoded: dts.map_or(shown, |dts| get(buffer, &dts)) }
}

/// 33 bits in five bytes, with marker bits between them (section 2.4.3.7).
fn get(buffer: &[u8], places: &[usize; 5]) -> i64 {
    let byte = |n: usize| i64::from(buffer[places[n]]);
    (byte(0) >> 1 & 7) << 30 | byte(1) << 22 | (byte(2) >> 1) << 15 | byte(3) << 7 | byte(4) >> 1
}

fn put(buffer: &mut [u8], places: &[usize; 5], ticks: i64) {
    let ticks = ticks.rem_euclid(WRAP);
    let bits = |shift: u32, mask: i64| (ticks >> shift & mask) as u8;
    buffer[places[0]] = buffer[places[0]] & 0xF1 | bits(30, 7) << 1;
    buffer[places[1]] = bits(22, 0xFF);
    buffer[places[2]] = buffer[places[2]] & 1 | bits(15, 0x7F) << 1;
    buffer[places[3]] = bits(7, 0xFF);
    buffer[places[4]] = buffer[places[4]] & 1 | bits(0, 0x7F) << 1;
}

#[cfg(test)]
mod tests;
