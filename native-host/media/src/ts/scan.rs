//! When the streams of a run of packets begin and end, by their own clock.
//!
//! Owns following a clock over its turns. Never changes a byte. Invariant: a span never ends before it begins.

use super::{CLOCK, Elementary, PACKET, Stamps, Tables, head, stamps, unwrap};
use crate::codec::{Codec, CodecKind};

/// Bytes of an audio frame's head that tell how it is encoded.
const AUDIO_HEAD: usize = 4;
/// Length taken for a last packet when nothing tells.
const UNKNOWN_LAST: i64 = CLOCK / 25;

/// One elementary stream's time, in ticks of 1/90000 s. Turns of the clock are counted, so `end` may be beyond 33 bits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// The stream.
    pub stream: Elementary,
    /// Decoding time of its first packet.
    pub first: i64,
    /// Earliest time something of it is shown.
    pub shown: i64,
    /// One past its last packet: its decoding time and about its length.
    pub end: i64,
    /// First bytes of its first packet, for sound: its kind of encoding can change where streams are joined.
    pub opening: Option<[u8; AUDIO_HEAD]>,
    last: i64,
    /// Time between the two last packets, and the bytes of the one before last and the last.
    step: i64,
    sizes: [usize; 2],
}

/// Reads packets and keeps the time of every stream that has sound or a picture.
#[derive(Debug, Default)]
pub struct Scan {
    tables: Tables,
    spans: Vec<Span>,
}

impl Scan {
    /// The tables met on the way.
    #[must_use]
    pub const fn tables(&self) -> &Tables {
        &self.tables
    }

    /// Time of the streams so far, in the order of the program map.
    #[must_use]
    pub fn spans(&self) -> Vec<Span> {
        let order = self.tables.streams().unwrap_or_default();
        let mut spans = self.spans.clone();
        spans.sort_by_key(|span| order.iter().position(|stream| stream.pid == span.stream.pid));
        spans.iter_mut().for_each(Span::close);
        spans
    }

    /// Every stream of sound and picture has begun.
    #[must_use]
    pub fn all_begun(&self) -> bool {
        self.tables.streams().is_some_and(|streams| {
            let mut media = streams
                .iter()
                .filter(|stream| matches!(stream.codec.kind(), CodecKind::Video | CodecKind::Audio));
            media.all(|stream| self.spans.iter().any(|span| span.stream.pid == stream.pid))
        })
    }

    /// Reads whole packets and says how many bytes were understood; the rest is to be brought again with what follows it,
    /// unless this was the `last` of it.
    pub fn feed(&mut self, buffer: &[u8], last: bool) -> usize {
        let mut at = 0;
        while at + PACKET <= buffer.len() {
            let packet = &buffer[at..at + PACKET];
            if packet[0] != 0x47 {
                // Lost: the caller aligns anew.
                return at;
            }
            self.tables.feed(packet);
            let head = head(packet);
            let stream = self.tables.streams().and_then(|all| all.iter().find(|one| one.pid == head.pid));
            if let Some(stream) = stream.filter(|one| one.codec.kind() != CodecKind::Data) {
                if head.starts {
                    match stamps(buffer, at) {
                        Stamps::Unfinished if !last => return at,
                        Stamps::Found { shown, decoded, .. } => {
                            let opening = opening(packet, head.payload);
                            begin(&mut self.spans, stream, decoded, shown, opening);
                        }
                        Stamps::Unfinished | Stamps::Absent => {}
                    }
                }
                if let Some(span) = self.spans.iter_mut().find(|span| span.stream.pid == head.pid) {
                    span.sizes[1] += PACKET - head.payload;
                }
            }
            at += PACKET;
        }
        at
    }
}

fn begin(
    spans: &mut Vec<Span>,
    stream: &Elementary,
    decoded: i64,
    shown: i64,
    opening: Option<[u8; AUDIO_HEAD]>,
) {
    let Some(span) = spans.iter_mut().find(|span| span.stream.pid == stream.pid) else {
        let opening = opening.filter(|_| stream.codec.kind() == CodecKind::Audio);
        spans.push(Span {
            stream: stream.clone(),
            first: decoded,
            shown: unwrap(shown, decoded),
            end: decoded,
            opening,
            last: decoded,
            step: 0,
            sizes: [0, 0],
        });
        return;
    };
    let decoded = unwrap(decoded, span.last);
    span.shown = span.shown.min(unwrap(shown, decoded));
    if decoded > span.last {
        span.step = decoded - span.last;
        span.last = decoded;
    }
    span.sizes = [span.sizes[1], 0];
}

impl Span {
    /// The last packet lasts as long as the one before it; of sound, where several frames make a packet, in proportion to
    /// its size.
    fn close(&mut self) {
        let step = if self.step > 0 { self.step } else { UNKNOWN_LAST };
        let [before, last] = self.sizes.map(|size| size as i64);
        let length = if self.stream.codec.kind() == CodecKind::Audio && before > 0 && self.step > 0 {
            (step * last.min(4 * before) / before).max(1)
        } else {
            step
        };
        self.end = self.last + length;
    }

    /// Sampling rate and channels as the first frame states them, where frames of another kind cannot follow in one track.
    /// Equal values can be joined.
    #[must_use]
    pub fn kind_of_sound(&self) -> Option<[u8; 2]> {
        let [first, second, third, fourth] = self.opening?;
        // ADTS: profile, sampling frequency, and channels over two bytes.
        (self.stream.codec == Codec::Aac && first == 0xFF && second & 0xF6 == 0xF0)
            .then_some([third & 0xFD, fourth & 0xC0])
    }
}

/// First bytes behind the PES header, when they are in the same packet.
fn opening(packet: &[u8], payload: usize) -> Option<[u8; AUDIO_HEAD]> {
    let length = usize::from(*packet.get(payload + 8)?);
    packet.get(payload + 9 + length..payload + 9 + length + AUDIO_HEAD)?.try_into().ok()
}
