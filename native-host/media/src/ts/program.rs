//! Program tables: which elementary streams a transport stream carries.
//!
//! Owns the assembling of sections that span packets. Never checks their CRC: a damaged table names streams that have no
//! packets. Invariant: no section is longer than the standard allows, so memory is bounded.

use super::{PACKET, head};
use crate::codec::Codec;

/// Longest section of these tables (section 2.4.4).
const MAX_SECTION: usize = 1024;
/// Most bytes of table packets that are kept.
const MAX_TABLES: usize = 64 * PACKET;

/// One elementary stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Elementary {
    /// Its packet identifier.
    pub pid: u16,
    /// What it is encoded with.
    pub codec: Codec,
}

/// The tables read so far: the first program of the first association table, and its first map.
#[derive(Debug, Clone, Default)]
pub struct Tables {
    pat: Vec<u8>,
    pmt: Vec<u8>,
    map: Option<u16>,
    packets: Vec<u8>,
    streams: Option<Vec<Elementary>>,
}

impl Tables {
    /// The streams of the program; none until its map was read.
    #[must_use]
    pub fn streams(&self) -> Option<&[Elementary]> {
        self.streams.as_deref()
    }

    /// The packets that the tables were read from; they announce the streams anywhere else as well.
    #[must_use]
    pub fn packets(&self) -> &[u8] {
        &self.packets
    }

    /// Reads one packet.
    pub fn feed(&mut self, packet: &[u8]) {
        if packet.len() < PACKET || packet[0] != 0x47 || self.streams.is_some() {
            return;
        }
        let head = head(packet);
        let payload = &packet[head.payload..PACKET];
        let is_table = if self.map.is_none() { head.pid == 0 } else { self.map == Some(head.pid) };
        if is_table && self.packets.len() < MAX_TABLES {
            self.packets.extend_from_slice(&packet[..PACKET]);
        }
        if head.pid == 0 && self.map.is_none() {
            if let Some(section) = collect(&mut self.pat, payload, head.starts) {
                self.map = program_map(section);
            }
        } else if self.map == Some(head.pid)
            && let Some(section) = collect(&mut self.pmt, payload, head.starts)
        {
            self.streams = elementary(section);
            self.pmt.clear();
        }
    }
}

/// Adds a packet's payload to a section; the section when it is whole.
fn collect<'a>(section: &'a mut Vec<u8>, payload: &[u8], starts: bool) -> Option<&'a [u8]> {
    if starts {
        section.clear();
        let pointer = usize::from(*payload.first()?);
        section.extend_from_slice(payload.get(1 + pointer..)?);
    } else if !section.is_empty() && section.len() < MAX_SECTION {
        section.extend_from_slice(payload);
    }
    let length = usize::from(u16::from_be_bytes([section.get(1)? & 0x0F, *section.get(2)?]));
    section.get(..3 + length)
}

/// PID of the map of the first program that is one (section 2.4.4.3).
fn program_map(section: &[u8]) -> Option<u16> {
    let programs = section.get(8..section.len().checked_sub(4)?)?;
    let found = programs.chunks_exact(4).find(|program| program[0] != 0 || program[1] != 0)?;
    (section[0] == 0).then(|| u16::from_be_bytes([found[2] & 0x1F, found[3]]))
}

/// The streams of a program map (section 2.4.4.8).
fn elementary(section: &[u8]) -> Option<Vec<Elementary>> {
    let end = section.len().checked_sub(4)?;
    let info = usize::from(u16::from_be_bytes([section.get(10)? & 0x0F, *section.get(11)?]));
    if section[0] != 2 {
        return None;
    }
    let mut rest = section.get(12 + info..end)?;
    let mut streams = Vec::new();
    while let [stream_type, high, low, info_high, info_low, more @ ..] = rest {
        let length = usize::from(u16::from_be_bytes([info_high & 0x0F, *info_low]));
        let descriptors = more.get(..length)?;
        streams.push(Elementary {
            pid: u16::from_be_bytes([high & 0x1F, *low]),
            codec: Codec::of_stream_type(*stream_type, descriptors),
        });
        rest = &more[length..];
    }
    Some(streams)
}
