//! What a representation is encrypted with, from its `ContentProtection` elements.
//!
//! Never decrypts. Invariant: a key that is handed over in the clear is not called DRM, and what cannot be told apart from
//! DRM is.

use crate::drm::{self, Drm};

/// Says only that samples are encrypted as ISO/IEC 23001-7 has it, not who holds the keys.
const COMMON: &str = "urn:mpeg:dash:mp4protection:2011";
/// Segments encrypted as a whole (ISO/IEC 23009-4).
const WHOLE_SEGMENTS: &str = "urn:mpeg:dash:sea:2012";
/// The ClearKey of DASH-IF, and the two of the W3C for segments and for samples.
const CLEAR_KEYS: [&str; 3] = [
    "e2719d58-a985-b3c9-781a-b030af78d30e",
    "3ea8778f-7742-4bf9-b18b-e834b2acbd47",
    "be58615b-19c4-4684-88b3-c8c57e99e957",
];
/// The common `pssh` of the W3C: with no other system beside it, the keys of ClearKey.
const COMMON_PSSH: &str = "1077efec-c0b2-4d02-ace3-3c1e52e2fb4b";

/// How a representation is protected.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Protection {
    /// Not at all.
    None,
    /// By a system whose keys are not handed out.
    Drm(Drm),
    /// In a way this version cannot undo, though nobody holds the key back; one clause in plain words.
    Unsupported(String),
}

impl Protection {
    /// Judges by the scheme identifiers on a representation and on its set.
    pub(super) fn of(schemes: &[String]) -> Self {
        if schemes.is_empty() {
            return Self::None;
        }
        let is = |scheme: &str, id: &str| scheme.trim().to_ascii_lowercase().ends_with(id);
        let any = |id: &str| schemes.iter().any(|scheme| is(scheme, id));
        if CLEAR_KEYS.iter().any(|id| any(id)) {
            return Self::clear_key();
        }
        let named = schemes.iter().filter(|scheme| !is(scheme, COMMON) && !is(scheme, COMMON_PSSH));
        let named: Vec<&String> = named.collect();
        if any(WHOLE_SEGMENTS) {
            return Self::Unsupported(
                "its segments are encrypted as a whole (ISO/IEC 23009-4), which this version does not undo"
                    .to_owned(),
            );
        }
        match named.iter().find_map(|scheme| drm::system_of(scheme, None)) {
            Some(system) => Self::Drm(system),
            None if any(COMMON_PSSH) => Self::clear_key(),
            None => Self::Drm(Drm { system: "common encryption".to_owned() }),
        }
    }

    fn clear_key() -> Self {
        Self::Unsupported(
            "its samples are encrypted with ClearKey: no DRM, the key would be handed over in the clear, but this \
             version does not decrypt them"
                .to_owned(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn systems_are_named_and_clear_keys_are_not_drm() {
        let of = |schemes: &[&str]| {
            Protection::of(&schemes.iter().map(|scheme| (*scheme).to_owned()).collect::<Vec<_>>())
        };
        let system = |schemes: &[&str]| match of(schemes) {
            Protection::Drm(drm) => Some(drm.system),
            _ => None,
        };
        let widevine = "urn:uuid:EDEF8BA9-79D6-4ACE-A3C8-27DCD51D21ED";
        let pssh = "urn:uuid:1077efec-c0b2-4d02-ace3-3c1e52e2fb4b";
        assert_eq!(of(&[]), Protection::None);
        assert_eq!(system(&[COMMON, widevine]).as_deref(), Some("Widevine"));
        assert_eq!(system(&[COMMON, pssh, widevine]).as_deref(), Some("Widevine"));
        assert_eq!(system(&["urn:uuid:9a04f079-9840-4286-ab92-e65be0885f95"]).as_deref(), Some("PlayReady"));
        assert_eq!(system(&[COMMON]).as_deref(), Some("common encryption"));
        assert!(system(&["urn:uuid:00000000-1111-2222-3333-444444444444"]).is_some());
        for clear in [
            &[COMMON, "urn:uuid:e2719d58-a985-b3c9-781a-b030af78d30e"][..],
            &[COMMON, pssh],
            // The same content may be opened either way; one of them is in the clear.
            &[COMMON, widevine, "urn:uuid:E2719D58-A985-B3C9-781A-B030AF78D30E"],
            &["urn:uuid:3ea8778f-7742-4bf9-b18b-e834b2acbd47"],
            &["urn:uuid:be58615b-19c4-4684-88b3-c8c57e99e957"],
        ] {
            assert!(
                matches!(of(clear), Protection::Unsupported(reason) if reason.contains("ClearKey")),
                "{clear:?}"
            );
        }
    }
}
