//! Which system protects a stream: by its key tags, its MPD's schemes, or its initialisation section.
//!
//! Never decrypts and never asks a licence server: the answer only serves to refuse by name. Invariant: what a server hands
//! a key out for in the clear (`KEYFORMAT=identity`, ClearKey) is not called DRM, and what cannot be told apart from DRM is.

use crate::mp4;

/// A content protection system, recognised so that it can be refused by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drm {
    /// Name people know: `Widevine`, `FairPlay`, `PlayReady`, …
    pub system: String,
}

/// How the samples of a file are encrypted, by its initialisation section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Protection {
    /// By a system whose keys are not handed out.
    Drm(Drm),
    /// With ClearKey: no DRM, the key would be handed over in the clear, but nothing here decrypts it.
    ClearKey,
    /// Encrypted without saying whose key it is (ISO/IEC 23001-7). The manifest may: then it is `SAMPLE-AES` with a key in
    /// the clear. If it does not either, [`Drm::unnamed`] is what to call it.
    Unnamed,
}

impl Drm {
    /// Common encryption by nobody knows whom.
    #[must_use]
    pub fn unnamed() -> Self {
        Self { system: "common encryption".to_owned() }
    }
}

/// Registered system identifiers (DASH-IF, "content protection"), lower case.
const SYSTEMS: &[(&str, &str)] = &[
    ("edef8ba9-79d6-4ace-a3c8-27dcd51d21ed", "Widevine"),
    ("9a04f079-9840-4286-ab92-e65be0885f95", "PlayReady"),
    ("94ce86fb-07ff-4f43-adb8-93d2fa968ca2", "FairPlay"),
    ("29701fe4-3cc7-4a34-8c5b-ae90c7439a47", "FairPlay"),
    ("5e629af5-38da-4063-8977-97ffbd9902d4", "Marlin"),
    ("69f908af-4816-46ea-910c-cd5dcccb0a3a", "Marlin"),
    ("adb41c24-2dbf-4a6d-958b-4457c0d27b95", "Nagra"),
    ("f239e769-efa3-4850-9c16-a903c6932efb", "PrimeTime"),
    ("80a6be7e-1448-4c37-9e70-d5aebe04c8d2", "Irdeto"),
    ("3d5e6d35-9b9a-41e8-b843-dd3c6e72c42c", "WisePlay"),
    ("9a27dd82-fde2-4725-8cbc-4234aa06ec09", "Verimatrix"),
    ("b4413586-c58c-ffb0-94a5-d4896c1af6c3", "Viaccess-Orca"),
    ("a68129d3-575b-4f1a-9cba-3223846cf7c3", "VideoGuard"),
    ("1f83e1e8-6ee9-4f0d-ba2f-5ec4e3ed1a66", "SecureMedia"),
    ("992c46e6-c437-4899-b6a0-50fa91ad0e39", "SecureMedia SteelKnot"),
    ("644fe7b5-260f-4fad-949a-0762ffb054b4", "OMA DRM"),
    ("6a99532d-869f-5922-9a91-113ab7b1e2f3", "MobiTV"),
    ("35bf197b-530e-42d7-8b65-1b4bf415070f", "DivX"),
    ("dcf4e3e3-62f1-5818-7ba6-0a6fe33ff3dd", "SmartXess"),
    ("45d481cb-8fe0-49c0-ada9-ab2d2455b2f2", "CoreCrypt"),
    ("616c7469-6361-7374-2d50-726f74656374", "altiProtect"),
    ("279fe473-512c-48fe-ade8-d176fee6b40f", "Titanium"),
    ("37c33258-7b99-4c7e-b15d-19af74482154", "Titanium"),
    ("aa11967f-cc01-4a4a-8e99-c5d3dddfea2d", "UDRM"),
    ("6dd8b3c3-45f4-4a68-bf3a-64168d01a4a6", "MoDRM"),
    ("793b7956-9f94-4946-a942-23e7ef7e44b4", "VisionCrypt"),
];

/// The ClearKey of DASH-IF, and the two for the segments and samples of HLS.
pub(crate) const CLEAR_KEYS: [&str; 3] = [
    "e2719d58-a985-b3c9-781a-b030af78d30e",
    "3ea8778f-7742-4bf9-b18b-e834b2acbd47",
    "be58615b-19c4-4684-88b3-c8c57e99e957",
];

/// The common `pssh` of the W3C: with no other system beside it, the keys of ClearKey.
pub(crate) const COMMON_PSSH: &str = "1077efec-c0b2-4d02-ace3-3c1e52e2fb4b";

/// Longest name that is repeated to people.
const MAX_NAME: usize = 64;

/// A key format or scheme that ClearKey goes by.
pub(crate) fn is_clear_key(scheme: &str) -> bool {
    CLEAR_KEYS.iter().any(|id| scheme.ends_with(id)) || scheme.ends_with("org.w3.clearkey")
}

/// The system a key tag or a scheme names, or nothing when the key is handed over in the clear.
pub(crate) fn system_of(keyformat: &str, uri: Option<&str>) -> Option<Drm> {
    let format = keyformat.trim().to_ascii_lowercase();
    let named = |system: &str| Some(Drm { system: system.to_owned() });
    if format == "com.apple.streamingkeydelivery" || uri.is_some_and(|uri| uri.trim().starts_with("skd://")) {
        return named("FairPlay");
    }
    if format == "com.microsoft.playready" {
        return named("PlayReady");
    }
    if let Some((_, system)) = SYSTEMS.iter().find(|(id, _)| format.ends_with(id)) {
        return named(system);
    }
    if format.is_empty() || format == "identity" || is_clear_key(&format) {
        return None;
    }
    if format.contains("widevine") {
        return named("Widevine");
    }
    let format: String = format.chars().filter(|c| !c.is_control()).take(MAX_NAME).collect();
    named(&format!("the key system {format}"))
}

/// Adobe's system has a tag of its own instead of a key format.
pub(crate) fn adobe() -> Drm {
    Drm { system: "Adobe Access".to_owned() }
}

/// How the samples of an initialisation section are encrypted; nothing when none of its tracks is, whatever systems it
/// names. The beginning of a whole file may be handed in as well.
#[must_use]
pub fn in_init(bytes: &[u8]) -> Option<Protection> {
    let moov = mp4::child(bytes, b"moov")?;
    let mut encrypted = false;
    for track in all(moov, b"trak") {
        let Some(stsd) = sample_descriptions(track) else { continue };
        for (kind, entry) in mp4::boxes(stsd) {
            match &kind {
                // Of before common encryption, in files of the iTunes Store.
                b"drms" | b"drmi" | b"drmt" | b"p608" => {
                    return Some(Protection::Drm(Drm { system: "FairPlay".to_owned() }));
                }
                b"encv" | b"enca" | b"enct" | b"encs" | b"encm" | b"encu" | b"encf" => {
                    encrypted |= is_protected(&kind, entry);
                }
                _ => {}
            }
        }
    }
    if !encrypted {
        return None;
    }
    let systems: Vec<String> = all(bytes, b"pssh").chain(all(moov, b"pssh")).filter_map(system_id).collect();
    let named = systems.iter().filter(|id| *id != COMMON_PSSH).find_map(|id| system_of(id, None));
    Some(match named {
        // Content that ClearKey opens too is not held back by the system beside it.
        _ if systems.iter().any(|id| is_clear_key(id)) => Protection::ClearKey,
        Some(system) => Protection::Drm(system),
        None if systems.is_empty() => Protection::Unnamed,
        None => Protection::ClearKey,
    })
}

fn all<'a>(parent: &'a [u8], kind: &'static [u8; 4]) -> impl Iterator<Item = &'a [u8]> {
    mp4::boxes(parent).filter(move |(found, _)| found == kind).map(|(_, body)| body)
}

/// The sample entries of a track (`stsd`, behind version, flags and count).
fn sample_descriptions(track: &[u8]) -> Option<&[u8]> {
    let path: [&[u8; 4]; 4] = [b"mdia", b"minf", b"stbl", b"stsd"];
    path.into_iter().try_fold(track, mp4::child)?.get(8..)
}

/// Whether an encrypted entry is more than a form: its samples may be left alone by default (`tenc`, ISO/IEC 23001-7
/// section 8.2).
fn is_protected(kind: &[u8; 4], entry: &[u8]) -> bool {
    // Where the boxes of an entry begin: behind a picture's fields, or behind a sound's, which QuickTime made longer twice.
    let starts: &[usize] = match kind {
        b"encv" => &[78],
        b"enca" => &[28, 44, 64],
        _ => &[8],
    };
    let tenc = starts.iter().find_map(|&start| {
        let sinf = mp4::child(entry.get(start..)?, b"sinf")?;
        mp4::child(mp4::child(sinf, b"schi")?, b"tenc")
    });
    tenc.and_then(|tenc| tenc.get(6)) != Some(&0)
}

/// The system a `pssh` is for (ISO/IEC 23001-7 section 8.1), as its identifier is written.
fn system_id(pssh: &[u8]) -> Option<String> {
    let mut out = String::with_capacity(36);
    for (at, byte) in pssh.get(4..20)?.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            out.push('-');
        }
        for nibble in [byte >> 4, byte & 15] {
            out.push(char::from_digit(nibble.into(), 16)?);
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boxed(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
        let mut out = u32::try_from(body.len() + 8).unwrap().to_be_bytes().to_vec();
        out.extend_from_slice(kind);
        out.extend_from_slice(body);
        out
    }

    fn pssh(id: &str) -> Vec<u8> {
        let digits: Vec<u32> = id.chars().filter_map(|c| c.to_digit(16)).collect();
        let mut body = vec![0; 4];
        body.extend(digits.chunks(2).map(|pair| u8::try_from(pair[0] * 16 + pair[1]).unwrap()));
        body.extend([0; 4]);
        boxed(b"pssh", &body)
    }

    /// A sample entry with `head` bytes before its boxes.
    fn entry(kind: &[u8; 4], head: usize, protected: Option<u8>) -> Vec<u8> {
        let mut body = vec![0; head];
        if let Some(protected) = protected {
            let mut tenc = vec![0, 0, 0, 0, 0, 0, protected, 8];
            tenc.extend([7; 16]);
            let schi = boxed(b"schi", &boxed(b"tenc", &tenc));
            body.extend(boxed(b"sinf", &[boxed(b"frma", b"avc1"), schi].concat()));
        }
        boxed(kind, &body)
    }

    fn init(entries: &[Vec<u8>], systems: &[&str]) -> Vec<u8> {
        let tracks = entries.iter().map(|entry| {
            let stsd = boxed(b"stsd", &[&[0, 0, 0, 0, 0, 0, 0, 1], entry.as_slice()].concat());
            let minf = boxed(b"minf", &boxed(b"stbl", &stsd));
            boxed(b"trak", &boxed(b"mdia", &minf))
        });
        let systems = systems.iter().map(|id| pssh(id));
        let moov: Vec<u8> = tracks.chain(systems).flatten().collect();
        [boxed(b"ftyp", b"iso6"), boxed(b"moov", &moov)].concat()
    }

    const WIDEVINE: &str = "edef8ba9-79d6-4ace-a3c8-27dcd51d21ed";

    #[test]
    fn an_initialisation_section_tells_its_system() {
        let drm = |name: &str| Some(Protection::Drm(Drm { system: name.to_owned() }));
        let (video, audio) = (entry(b"encv", 78, Some(1)), entry(b"enca", 28, Some(1)));
        let clear = entry(b"avc1", 78, None);
        for (entries, systems, expected) in [
            (vec![clear.clone()], vec![], None),
            // Named, but not used by any track.
            (vec![clear.clone()], vec![WIDEVINE], None),
            (vec![clear, audio], vec![WIDEVINE], drm("Widevine")),
            (vec![video.clone()], vec![COMMON_PSSH, SYSTEMS[1].0], drm("PlayReady")),
            (
                vec![video.clone()],
                vec!["00000000-1111-2222-3333-444444444444"],
                drm("the key system 00000000-1111-2222-3333-444444444444"),
            ),
            (vec![video.clone()], vec![COMMON_PSSH], Some(Protection::ClearKey)),
            (vec![video.clone()], vec![WIDEVINE, CLEAR_KEYS[0]], Some(Protection::ClearKey)),
            (vec![video.clone()], vec![], Some(Protection::Unnamed)),
            (vec![entry(b"encv", 78, None)], vec![WIDEVINE], drm("Widevine")),
            (vec![entry(b"encv", 78, Some(0))], vec![WIDEVINE], None),
            (vec![entry(b"enca", 44, Some(0))], vec![], None),
            (vec![entry(b"enca", 64, Some(1))], vec![], Some(Protection::Unnamed)),
            (vec![entry(b"encs", 8, Some(1))], vec![], Some(Protection::Unnamed)),
            (vec![entry(b"drms", 28, None)], vec![], drm("FairPlay")),
        ] {
            assert_eq!(in_init(&init(&entries, &systems)), expected, "{systems:?}");
        }
        let outside = [init(std::slice::from_ref(&video), &[]), pssh(WIDEVINE)].concat();
        assert_eq!(in_init(&outside), drm("Widevine"));
        let whole = init(&[video], &[WIDEVINE]);
        for end in 0..whole.len() {
            // A cut one has no moov, so it says nothing; above all it does not panic.
            assert_eq!(in_init(&whole[..end]), None);
        }
    }

    #[test]
    fn the_table_of_systems_is_well_formed() {
        let ids = SYSTEMS.iter().map(|(id, _)| *id).chain(CLEAR_KEYS).chain([COMMON_PSSH]);
        let mut seen = std::collections::HashSet::new();
        for id in ids {
            assert!(seen.insert(id), "{id} stands there twice");
            assert_eq!(system_id(&pssh(id)[8..]).as_deref(), Some(id));
        }
    }

    #[test]
    fn clear_keys_are_no_system() {
        for format in ["", "identity", "urn:uuid:E2719D58-A985-B3C9-781A-B030AF78D30E", "org.w3.clearkey"] {
            assert_eq!(system_of(format, None), None, "{format}");
        }
        let long = system_of(&format!("x\u{7}{}", "y".repeat(500)), None).unwrap();
        assert!(long.system.len() < 100 && !long.system.contains('\u{7}'));
    }
}
