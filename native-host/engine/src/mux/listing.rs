//! The packets of a file, as ffmpeg lists them.
//!
//! Pure. Never fails: what is not understood is not there, which the comparison with the plan tells. Invariant: memory is
//! bounded, whatever is listed.

use std::time::Duration;

use weir_media::codec::CodecKind;

use super::meter::{Meter, Track};

/// Most tracks of a file that is read by ffmpeg.
const MAX_TRACKS: usize = 256;

/// A list of packets (ffmpeg's `framecrc`): `#tb N: 1/1000` and `#media_type N: video` for every track, then lines of
/// track, decoding time, time shown, duration, size, checksum, and flags for what cannot be decoded by itself.
#[derive(Default)]
pub(super) struct List {
    tracks: Vec<Listed>,
}

#[derive(Default)]
struct Listed {
    kind: Option<CodecKind>,
    timescale: u32,
    meter: Meter,
    first: Option<i64>,
    /// Decoding time, duration and whether it stands alone, of the packet whose length is not known yet.
    open: Option<(i64, i64, bool)>,
}

impl List {
    fn track(&mut self, number: usize) -> Option<&mut Listed> {
        if number >= MAX_TRACKS {
            return None;
        }
        while self.tracks.len() <= number {
            self.tracks.push(Listed::default());
        }
        self.tracks.get_mut(number)
    }

    pub(super) fn line(&mut self, line: &str) {
        let _ = self.read(line);
    }

    fn read(&mut self, line: &str) -> Option<()> {
        if let Some(base) = line.strip_prefix("#tb ") {
            let (number, base) = base.split_once(':')?;
            let (one, scale) = base.trim().split_once('/')?;
            let (one, scale): (u32, u32) = (one.parse().ok()?, scale.parse().ok()?);
            let track = self.track(number.trim().parse().ok()?)?;
            track.timescale = scale / one.max(1);
            track.meter = Meter::new(track.timescale);
        } else if let Some(kind) = line.strip_prefix("#media_type ") {
            let (number, kind) = kind.split_once(':')?;
            self.track(number.trim().parse().ok()?)?.kind = Some(match kind.trim() {
                "video" => CodecKind::Video,
                "audio" => CodecKind::Audio,
                "subtitle" => CodecKind::Text,
                _ => CodecKind::Data,
            });
        } else if !line.starts_with('#') {
            let mut fields = line.split(',').map(str::trim);
            let track = self.track(fields.next()?.parse().ok()?)?;
            let (dts, pts): (i64, i64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
            let length: i64 = fields.next()?.parse().ok()?;
            // `F=0x1` is said when it is anything else than a plain packet that stands alone.
            let flags = fields.find_map(|field| u32::from_str_radix(field.strip_prefix("F=0x")?, 16).ok());
            track.packet(dts, pts, length, flags.is_none_or(|flags| flags & 1 == 1));
        }
        Some(())
    }

    pub(super) fn finish(self) -> Vec<Track> {
        self.tracks.into_iter().filter_map(Listed::finish).collect()
    }
}

impl Listed {
    fn packet(&mut self, dts: i64, pts: i64, length: i64, sync: bool) {
        self.first = Some(self.first.map_or(pts, |first| first.min(pts)));
        if let Some((before, _, sync)) = self.open.take() {
            self.meter.add(1, u64::try_from(dts - before).unwrap_or_default(), sync);
        }
        self.open = Some((dts, length, sync));
    }

    fn finish(mut self) -> Option<Track> {
        let kind = self.kind?;
        if let Some((_, length, sync)) = self.open.take() {
            self.meter.add(1, u64::try_from(length).unwrap_or_default(), sync);
        }
        let first = u64::try_from(self.first.unwrap_or_default()).unwrap_or_default();
        let start = Duration::try_from_secs_f64(first as f64 / f64::from(self.timescale.max(1)));
        Some(self.meter.finish(kind, start.unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::meter::Long;
    use super::*;
    use CodecKind::{Audio, Video};

    #[test]
    fn a_list_of_packets_is_read() {
        let mut list = List::default();
        for line in [
            "#software: Lavf59.27.100",
            "#tb 0: 1/1000",
            "#media_type 0: video",
            "#codec_id 0: vp9",
            "#tb 1: 1/48000",
            "#media_type 1: audio",
            "0,        100,        100,       40,     1000, 0x0000abcd",
            "0,        140,        140,       40,     1000, 0x0000abcd, F=0x0",
            "1,          0,          0,      960,       10, 0x00000001",
            "0,       3140,       3140,       40,     1000, 0x0000abcd, F=0x0, S=1",
            "1,        960,        960,      960,       10, 0x00000001",
            "nonsense",
        ] {
            list.line(line);
        }
        let tracks = list.finish();
        let [video, audio] = tracks.as_slice() else { panic!("{tracks:?}") };
        let millis = Duration::from_millis;
        assert_eq!((video.kind, video.start, video.duration), (Video, millis(100), millis(3080)));
        assert_eq!(
            video.long,
            [Long { at: millis(40), length: millis(3000), sync: false, then_sync: false }]
        );
        assert_eq!((audio.kind, audio.samples, audio.duration), (Audio, 2, millis(40)));
    }
}
