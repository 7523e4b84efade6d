//! Moving the timestamps of transport packets, and giving them the place of another stream's packets.
//!
//! Owns the continuity of one output made of several runs of packets. Never looks into what is carried. Invariant: a
//! packet without a route is left out; one with a route keeps its payload but for its timestamps.

use super::{PACKET, Stamps, WRAP, head, put, stamps};

/// What becomes of the packets of one PID.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// As they come.
    pub from: u16,
    /// As they go out.
    pub to: u16,
    /// Ticks of 1/90000 s to add to its timestamps.
    pub shift: i64,
}

/// Rewrites runs of packets into one.
#[derive(Debug, Default)]
pub struct Retime {
    routes: Vec<Route>,
    counters: Vec<Counter>,
}

/// Continuity of one PID of the output.
#[derive(Debug)]
struct Counter {
    pid: u16,
    last: u8,
    /// What has to be added to the counters of the present run; none before its first packet.
    offset: Option<u8>,
}

impl Retime {
    /// A new run of packets begins, which goes these ways.
    pub fn begin(&mut self, routes: Vec<Route>) {
        self.routes = routes;
        for counter in &mut self.counters {
            counter.offset = None;
        }
    }

    /// Appends what is kept of `buffer` to `out` and says how many bytes were used up; the rest is to be brought again with
    /// what follows it, unless this was the `last` of the run. The buffer is changed in place.
    pub fn feed(&mut self, buffer: &mut [u8], last: bool, out: &mut Vec<u8>) -> usize {
        let mut at = 0;
        while at + PACKET <= buffer.len() {
            if buffer[at] != 0x47 {
                return at;
            }
            let head = head(&buffer[at..at + PACKET]);
            let Some(route) = self.routes.iter().copied().find(|route| route.from == head.pid) else {
                at += PACKET;
                continue;
            };
            if head.starts {
                match stamps(buffer, at) {
                    Stamps::Unfinished if !last => return at,
                    Stamps::Found { pts, dts, shown, decoded } => {
                        put(buffer, &pts, shown + route.shift);
                        if let Some(dts) = dts {
                            put(buffer, &dts, decoded + route.shift);
                        }
                    }
                    Stamps::Unfinished | Stamps::Absent => {}
                }
            }
            let packet = &mut buffer[at..at + PACKET];
            move_clock(packet, route.shift);
            packet[1] = packet[1] & 0xE0 | (route.to >> 8) as u8 & 0x1F;
            packet[2] = (route.to & 0xFF) as u8;
            self.count(packet, route.to, head.payload < PACKET);
            out.extend_from_slice(packet);
            at += PACKET;
        }
        at
    }

    /// Lets the counters go on over the border between two runs. Within a run their steps stay as they are, for a repeated
    /// or a lost packet to be recognised.
    fn count(&mut self, packet: &mut [u8], pid: u16, has_payload: bool) {
        let came = packet[3] & 0x0F;
        let counter = match self.counters.iter_mut().position(|counter| counter.pid == pid) {
            Some(at) => &mut self.counters[at],
            None => {
                self.counters.push(Counter { pid, last: came, offset: Some(0) });
                return;
            }
        };
        let offset = *counter.offset.get_or_insert_with(|| {
            let expected = counter.last.wrapping_add(u8::from(has_payload));
            expected.wrapping_sub(came) & 0x0F
        });
        counter.last = came.wrapping_add(offset) & 0x0F;
        packet[3] = packet[3] & 0xF0 | counter.last;
    }
}

/// Shifts the program clock reference, when the packet has one (section 2.4.3.4).
fn move_clock(packet: &mut [u8], shift: i64) {
    let has_field = packet[3] & 0x20 != 0 && packet[4] >= 7 && packet[5] & 0x10 != 0;
    if !has_field {
        return;
    }
    let byte = |n: usize| i64::from(packet[n]);
    let base = byte(6) << 25 | byte(7) << 17 | byte(8) << 9 | byte(9) << 1 | byte(10) >> 7;
    let base = (base + shift).rem_euclid(WRAP);
    for (n, right) in [(6, 25), (7, 17), (8, 9), (9, 1)] {
        packet[n] = (base >> right & 0xFF) as u8;
    }
    packet[10] = packet[10] & 0x7F | ((base & 1) as u8) << 7;
}
