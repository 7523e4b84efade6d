//! Transport streams whose samples are encrypted one by one (SAMPLE-AES), with a key that is handed over in the clear.
//!
//! Follows Apple's "MPEG-2 Stream Encryption Format for HTTP Live Streaming". ffmpeg could do it, but leaves the last
//! sample of a segment as it is. Never touches what DRM protects, which has no such key. Invariant: packets keep their
//! place and their clock; what becomes shorter is filled up.

use aes::Aes128;
use aes::cipher::{Array, BlockModeDecrypt as _, KeyIvInit as _};
use weir_media::ts::PACKET;

use super::source::unsupported;
use crate::EngineError;

const BLOCK: usize = 16;
/// Bytes of a slice that stay in the clear, and the shortest that is encrypted at all.
const SLICE_CLEAR: usize = 32;
const SLICE_SHORTEST: usize = 48;
/// Of a slice every tenth block is encrypted.
const SLICE_PERIOD: usize = 10 * BLOCK;
/// Bytes behind a frame's head that stay in the clear.
const SOUND_CLEAR: usize = 16;
/// Numbers for such streams in the program map, and for the same in the clear.
const ENCRYPTED: [(u8, u8); 2] = [(0xDB, 0x1B), (0xCF, 0x0F)];

/// Decrypts one whole segment.
///
/// # Errors
/// [`EngineError::UnsupportedMedia`] when it is no transport stream of H.264 and AAC, or does not fit this key.
pub(crate) fn decrypt_samples(segment: &mut [u8], key: &[u8; 16], iv: &[u8; 16]) -> Result<(), EngineError> {
    if segment.len() < PACKET || segment.iter().step_by(PACKET).any(|sync| *sync != 0x47) {
        return Err(unsupported("SAMPLE-AES is decrypted in transport streams only"));
    }
    let secret = Secret { key: *key, iv: *iv };
    let streams = announce_clear(segment)?;
    for (pid, stream_type) in streams {
        let mut open: Vec<Packet> = Vec::new();
        for at in (0..segment.len() / PACKET).map(|number| number * PACKET) {
            let Some(packet) = Packet::read(&segment[at..at + PACKET], at, pid) else { continue };
            if packet.starts {
                secret.open(segment, &std::mem::take(&mut open), stream_type)?;
            }
            if packet.starts || !open.is_empty() {
                open.push(packet);
            }
        }
        secret.open(segment, &open, stream_type)?;
    }
    Ok(())
}

/// The payload of one packet.
#[derive(Debug, Clone, Copy)]
struct Packet {
    /// The packet.
    at: usize,
    /// Its payload, to the end of the packet.
    payload: usize,
    starts: bool,
}

impl Packet {
    fn read(packet: &[u8], at: usize, pid: u16) -> Option<Self> {
        let payload = match packet[3] >> 4 & 3 {
            1 => 4,
            3 => 5 + usize::from(packet[4]),
            _ => return None,
        };
        let here = u16::from_be_bytes([packet[1] & 0x1F, packet[2]]) == pid;
        (here && payload < PACKET).then_some(Self {
            at,
            payload: at + payload,
            starts: packet[1] & 0x40 != 0,
        })
    }

    const fn end(&self) -> usize {
        self.at + PACKET
    }
}

/// Says in every program map that the streams are in the clear, and returns the PIDs of those that were not with their
/// former type.
fn announce_clear(segment: &mut [u8]) -> Result<Vec<(u16, u8)>, EngineError> {
    let mut map = None;
    let mut streams = Vec::new();
    for at in (0..segment.len() / PACKET).map(|number| number * PACKET) {
        if let Some(packet) =
            Packet::read(&segment[at..at + PACKET], at, 0).filter(|packet| packet.starts && map.is_none())
        {
            // Program 0 names no map but the network.
            let section =
                section(segment, packet).and_then(|section| section.get(8..section.len().checked_sub(4)?));
            let mut programs = section.unwrap_or_default().chunks_exact(4);
            let program = programs.find(|program| program[0] != 0 || program[1] != 0);
            map = program.map(|program| u16::from_be_bytes([program[2] & 0x1F, program[3]]));
        }
        let Some(pid) = map else { continue };
        let Some(packet) = Packet::read(&segment[at..at + PACKET], at, pid).filter(|packet| packet.starts)
        else {
            continue;
        };
        let Some(found) = section(segment, packet).map(<[u8]>::len) else {
            return Err(unsupported("its program map takes more than one packet"));
        };
        let start = packet.payload + 1 + usize::from(segment[packet.payload]);
        rename(&mut segment[start..start + found], &mut streams)?;
    }
    if streams.is_empty() {
        Err(unsupported("its samples are encrypted in a way that is not known"))
    } else {
        Ok(streams)
    }
}

/// A table that is whole in its packet.
fn section(segment: &[u8], packet: Packet) -> Option<&[u8]> {
    let body = segment.get(packet.payload..packet.end())?;
    let body = body.get(1 + usize::from(*body.first()?)..)?;
    let length = 3 + usize::from(u16::from_be_bytes([body.get(1)? & 0x0F, *body.get(2)?]));
    body.get(..length).filter(|section| section.len() >= 16)
}

fn rename(map: &mut [u8], streams: &mut Vec<(u16, u8)>) -> Result<(), EngineError> {
    let end = map.len() - 4;
    let mut at = 12 + usize::from(u16::from_be_bytes([map[10] & 0x0F, map[11]]));
    while at + 5 <= end {
        let pid = u16::from_be_bytes([map[at + 1] & 0x1F, map[at + 2]]);
        if let Some((secret, clear)) = ENCRYPTED.iter().find(|(secret, _)| *secret == map[at]) {
            map[at] = *clear;
            if streams.iter().all(|(known, _)| *known != pid) {
                streams.push((pid, *secret));
            }
        } else if matches!(map[at], 0xC1 | 0xC2) {
            return Err(unsupported("its samples are encrypted one by one, which is not known of AC-3"));
        }
        at += 5 + usize::from(u16::from_be_bytes([map[at + 3] & 0x0F, map[at + 4]]));
    }
    let sum = crc(&map[..end]);
    map[end..].copy_from_slice(&sum.to_be_bytes());
    Ok(())
}

/// CRC-32 as tables of transport streams have it (ISO/IEC 13818-1 annex A).
fn crc(bytes: &[u8]) -> u32 {
    bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte) << 24, |crc, _| {
            crc << 1 ^ if crc >> 31 == 1 { 0x04C1_1DB7 } else { 0 }
        })
    })
}

struct Secret {
    key: [u8; 16],
    iv: [u8; 16],
}

impl Secret {
    /// Decrypts the PES packet that these packets carry, in place.
    fn open(&self, segment: &mut [u8], packets: &[Packet], stream_type: u8) -> Result<(), EngineError> {
        let whole: Vec<u8> =
            packets.iter().flat_map(|packet| segment[packet.payload..packet.end()].to_vec()).collect();
        let Some(head) =
            whole.get(8).map(|length| 9 + usize::from(*length)).filter(|head| *head <= whole.len())
        else {
            return Ok(());
        };
        // A stated length may end before the last packet does.
        let stated = usize::from(u16::from_be_bytes([whole[4], whole[5]]));
        let end = if stated > 0 { (6 + stated).min(whole.len()) } else { whole.len() };
        let payload = whole.get(head..end).unwrap_or_default();
        let clear = if stream_type == 0xDB { self.picture(payload) } else { self.sound(payload)? };
        let mut whole = [&whole[..head], &clear].concat();
        if stated > 0 {
            let length = u16::try_from(whole.len() - 6).unwrap_or_default();
            whole[4..6].copy_from_slice(&length.to_be_bytes());
        }
        refill(segment, packets, &whole);
        Ok(())
    }

    /// NAL units of H.264: slices are encrypted, and afterwards what looked like a start code was made to look otherwise.
    fn picture(&self, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(bytes.len());
        let mut starts: Vec<usize> = Vec::new();
        let mut at = 0;
        while at + 3 <= bytes.len() {
            if bytes[at..at + 3] == [0, 0, 1] {
                starts.push(at + 3);
                at += 3;
            } else {
                at += 1;
            }
        }
        let Some(first) = starts.first() else { return bytes.to_vec() };
        out.extend_from_slice(&bytes[..*first]);
        for (number, start) in starts.iter().enumerate() {
            // Up to the next start code; zeros in front of it are not part of the unit.
            let next = starts.get(number + 1).map_or(bytes.len(), |next| next - 3);
            let zeros = bytes[*start..next].iter().rev().take_while(|byte| **byte == 0).count();
            let unit = &bytes[*start..next - zeros];
            let is_slice = unit.first().is_some_and(|byte| matches!(byte & 0x1F, 1 | 5));
            if is_slice && unit.len() > SLICE_SHORTEST {
                out.extend(self.slice(unit));
            } else {
                out.extend_from_slice(unit);
            }
            let between = starts.get(number + 1).map_or(bytes.len(), |next| *next);
            out.extend_from_slice(&bytes[next - zeros..between]);
        }
        out
    }

    fn slice(&self, unit: &[u8]) -> Vec<u8> {
        let mut plain = Vec::with_capacity(unit.len());
        let mut zeros = 0;
        for byte in unit {
            if zeros >= 2 && *byte == 3 {
                zeros = 0;
                continue;
            }
            zeros = if *byte == 0 { zeros + 1 } else { 0 };
            plain.push(*byte);
        }
        let mut decryptor = self.decryptor();
        let mut at = SLICE_CLEAR;
        // The last block is only encrypted when something follows it.
        while plain.len().saturating_sub(at) > BLOCK {
            decrypt(&mut decryptor, &mut plain[at..at + BLOCK]);
            at += SLICE_PERIOD;
        }
        plain
    }

    /// Frames of AAC: all whole blocks behind the first bytes are encrypted.
    fn sound(&self, bytes: &[u8]) -> Result<Vec<u8>, EngineError> {
        let mut out = bytes.to_vec();
        let mut at = 0;
        while let [0xFF, second, _, fourth, fifth, sixth, ..] = out[at..] {
            let length = usize::from(fourth & 3) << 11 | usize::from(fifth) << 3 | usize::from(sixth >> 5);
            let head = if second & 1 == 1 { 7 } else { 9 };
            let (begin, end) = (at + head + SOUND_CLEAR, at + length);
            if second & 0xF6 != 0xF0 || length < head || end > out.len() {
                return Err(unsupported("its samples are encrypted one by one, and a frame of sound is cut"));
            }
            if begin < end {
                let blocks = (end - begin) / BLOCK * BLOCK;
                decrypt(&mut self.decryptor(), &mut out[begin..begin + blocks]);
            }
            at = end;
        }
        Ok(out)
    }

    fn decryptor(&self) -> cbc::Decryptor<Aes128> {
        cbc::Decryptor::new(&self.key.into(), &self.iv.into())
    }
}

fn decrypt(decryptor: &mut cbc::Decryptor<Aes128>, bytes: &mut [u8]) {
    let (blocks, _) = Array::slice_as_chunks_mut(bytes);
    decryptor.decrypt_blocks(blocks);
}

/// Puts the bytes of a PES packet back into its packets. They are as many as before, or fewer: then what remains is
/// stuffing.
fn refill(segment: &mut [u8], packets: &[Packet], mut bytes: &[u8]) {
    for packet in packets {
        let head = packet.payload - packet.at;
        let packet = &mut segment[packet.at..packet.end()];
        let taken = bytes.len().min(PACKET - head);
        let missing = PACKET - head - taken;
        if missing > 0 {
            // A longer adaptation field, or a first one, whose first byte after its length holds flags.
            let had = if packet[3] & 0x20 != 0 { usize::from(packet[4]) } else { 0 };
            let fresh = packet[3] & 0x20 == 0;
            let end = head + missing;
            packet[3] = packet[3] & 0xCF | if taken > 0 { 0x30 } else { 0x20 };
            packet[4] = (end - 5) as u8;
            let stuffing_from = if fresh || had == 0 { 5 } else { head };
            if let Some(stuffing) = packet.get_mut(stuffing_from..end) {
                stuffing.fill(0xFF);
                if stuffing_from == 5 && end > 5 {
                    packet[5] = 0;
                }
            }
        }
        packet[head + missing..].copy_from_slice(&bytes[..taken]);
        bytes = &bytes[taken..];
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{hashes, packets};
    use super::*;
    use proptest::prelude::*;

    /// Made by Shaka Packager 3.8.0 of one film, once encrypted (`--protection_scheme cbcs`) and once not.
    const SEGMENTS: [(&str, &[u8], &[u8]); 2] = [
        ("0:v:0", include_bytes!("sample_aes/picture.ts"), include_bytes!("sample_aes/picture-clear.ts")),
        ("0:a:0", include_bytes!("sample_aes/sound.ts"), include_bytes!("sample_aes/sound-clear.ts")),
    ];
    const KEY: [u8; 16] = 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef_u128.to_be_bytes();
    const IV: [u8; 16] = 0x0001_0203_0405_0607_0809_0a0b_0c0d_0e0f_u128.to_be_bytes();

    #[test]
    fn what_a_packager_encrypted_is_what_it_had_in_the_clear() {
        let dir = tempfile::tempdir().unwrap();
        for (stream, secret, clear) in SEGMENTS {
            let at = |name: &str, bytes: &[u8]| {
                let path = dir.path().join(name);
                std::fs::write(&path, bytes).unwrap();
                path
            };
            let mut opened = secret.to_vec();
            decrypt_samples(&mut opened, &KEY, &IV).unwrap();
            let (opened, clear) = (at("opened.ts", &opened), at("clear.ts", clear));
            let expected = hashes(&clear, stream);
            assert!(expected.len() > 15);
            assert_eq!(hashes(&opened, stream), expected, "{stream}");
            // Every coded byte, and every time.
            assert_eq!(packets(&opened, stream, ""), packets(&clear, stream, ""), "{stream}");
            let mut wrong = secret.to_vec();
            let outcome = decrypt_samples(&mut wrong, &[9; 16], &IV);
            assert!(outcome.is_err() || hashes(&at("wrong.ts", &wrong), stream) != expected, "{stream}");
        }
    }

    #[test]
    fn a_shorter_packet_is_filled_up() {
        let packet = |field: Option<&[u8]>, payload: &[u8]| {
            let mut out = vec![0x47, 0x41, 0, if field.is_some() { 0x30 } else { 0x10 }];
            if let Some(field) = field {
                out.push(field.len() as u8);
                out.extend(field);
            }
            out.extend(payload);
            assert_eq!(out.len(), PACKET);
            out
        };
        for (field, kept) in
            [(None, 184), (None, 183), (None, 182), (None, 100), (None, 0), (Some(&[0x40, 1, 2][..]), 90)]
        {
            let room = PACKET - 4 - field.map_or(0, |field| field.len() + 1);
            let mut bytes = packet(field, &vec![7; room]);
            let packet = Packet::read(&bytes, 0, 0x100).unwrap();
            refill(&mut bytes, &[packet], &vec![8; kept]);
            assert_eq!((bytes.len(), bytes[0]), (PACKET, 0x47));
            assert!(bytes[PACKET - kept..].iter().all(|byte| *byte == 8));
            match Packet::read(&bytes, 0, 0x100) {
                Some(packet) => assert_eq!(packet.end() - packet.payload, kept),
                None => assert_eq!(kept, 0),
            }
            if let Some(field) = field {
                assert_eq!(&bytes[5..8], field);
            }
        }
    }

    #[test]
    fn other_things_are_refused_by_name() {
        let (_, _, clear) = SEGMENTS[0];
        for bytes in [b"\0\0\0\x18ftypmp42".to_vec(), clear.to_vec(), Vec::new()] {
            let outcome = decrypt_samples(&mut bytes.clone(), &KEY, &IV);
            assert!(matches!(outcome, Err(EngineError::UnsupportedMedia { .. })));
        }
    }

    proptest! {
        #[test]
        fn damaged_segments_are_errors_or_values(flips in prop::collection::vec((0_usize..7520, any::<u8>()), 0..30), sound in any::<bool>()) {
            let mut bytes = SEGMENTS[usize::from(sound)].1.to_vec();
            for (at, value) in flips {
                bytes[at] = value;
            }
            let _ = decrypt_samples(&mut bytes, &KEY, &IV);
        }
    }
}
