//! Codecs by the names people use, and by those of RFC 6381.
//!
//! Never decides what can be played. Invariant: a name that is not in the table stands for itself, so a wish for a codec of
//! tomorrow still finds it.

/// First parts of RFC 6381 names, by the common names of the codec.
const FAMILIES: &[(&[&str], &[&str])] = &[
    (&["h264", "avc"], &["avc1", "avc2", "avc3", "avc4"]),
    (&["hevc", "h265"], &["hvc1", "hev1", "dvh1", "dvhe"]),
    (&["vvc", "h266"], &["vvc1", "vvi1"]),
    (&["av1"], &["av01", "dav1"]),
    (&["vp9"], &["vp09", "vp9"]),
    (&["vp8"], &["vp08", "vp8"]),
    (&["aac"], &["mp4a"]),
    (&["ac3"], &["ac-3"]),
    (&["eac3"], &["ec-3"]),
    (&["ac4"], &["ac-4"]),
    (&["dts"], &["dtsc", "dtse", "dtsh", "dtsl", "dtsx"]),
];

/// Object types under which `mp4a` carries MP3 (ISO/IEC 14496-1, and 14496-3 layer 3).
const MP3_IN_MP4: [&str; 3] = ["mp4a.69", "mp4a.6b", "mp4a.40.34"];

/// First parts of RFC 6381 names that carry sound.
const SOUND: [&str; 15] = [
    "mp4a", "ac-3", "ec-3", "ac-4", "opus", "flac", "alac", "mp3", "vorbis", "dtsc", "dtse", "dtsh", "dtsl",
    "dtsx", "iamf",
];

/// Whether every codec of the list is known to carry sound.
pub(crate) fn only_sound(codecs: &str) -> bool {
    codecs.split(',').all(|codec| {
        let first = first_part(codec.trim());
        SOUND.iter().any(|name| name.eq_ignore_ascii_case(first))
    })
}

/// How well codecs fit a wish: for each wanted one, most wanted first, whether it is missing. The smaller, the better.
pub(super) fn rank(codecs: Option<&str>, wanted: &[String]) -> Vec<bool> {
    let carries = |name: &String| codecs.is_some_and(|codecs| codecs.split(',').any(|codec| is(codec, name)));
    wanted.iter().map(|name| !carries(name)).collect()
}

/// Whether an RFC 6381 name is of the codec a person calls `name`.
fn is(codec: &str, name: &str) -> bool {
    let (codec, name) = (codec.trim().to_ascii_lowercase(), name.trim().to_ascii_lowercase());
    let first = first_part(&codec);
    let mp3 = first == "mp3" || MP3_IN_MP4.contains(&codec.as_str());
    match FAMILIES.iter().find(|(names, _)| names.contains(&name.as_str())) {
        _ if name == "mp3" => mp3,
        Some((_, firsts)) => firsts.contains(&first) && !mp3,
        None => first == name,
    }
}

fn first_part(codec: &str) -> &str {
    codec.split('.').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_names_mean_their_family() {
        for (codec, name, same) in [
            ("avc1.64001f", "h264", true),
            (" AVC3.64001f", "H264", true),
            ("hvc1.1.6.L93", "hevc", true),
            ("hev1.1.6.L93", "h265", true),
            ("hev1.1.6.L93", "h264", false),
            ("av01.0.08M.10", "av1", true),
            ("vp09.00.10.08", "vp9", true),
            ("mp4a.40.2", "aac", true),
            ("mp4a.40.34", "aac", false),
            ("mp4a.6B", "mp3", true),
            ("Opus", "opus", true),
            ("fLaC", "flac", true),
            ("xyz1.2", "xyz1", true),
            ("avc1.64001f", "avc1", true),
        ] {
            assert_eq!(is(codec, name), same, "{codec} {name}");
        }
    }

    #[test]
    fn the_most_wanted_codec_counts_most() {
        let wanted = ["av1".to_owned(), "opus".to_owned()];
        let rank = |codecs| rank(Some(codecs), &wanted);
        assert!(rank("av01.0,opus") < rank("av01.0,mp4a.40.2"));
        assert!(rank("av01.0,mp4a.40.2") < rank("avc1.4d,opus"));
        assert!(rank("avc1.4d,opus") < super::rank(None, &wanted));
    }

    #[test]
    fn sound_alone_is_known_from_the_codecs() {
        assert!(only_sound("mp4a.40.2") && only_sound("mp4a.40.2, ec-3") && only_sound("Opus"));
        assert!(!only_sound("avc1.4d401e,mp4a.40.2") && !only_sound("") && !only_sound("wvtt"));
    }
}
