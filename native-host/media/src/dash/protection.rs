//! What a representation is encrypted with, from its `ContentProtection` elements.
//!
//! Never decrypts. Invariant: a key that is handed over in the clear is not called DRM, and what cannot be told apart from
//! DRM is.

use std::sync::Arc;

use roxmltree::Node;
use url::Url;

use super::{address, xml};
use crate::drm::{self, COMMON_PSSH, Drm};
use crate::segment::{Encryption, Key};

/// Says only that samples are encrypted as ISO/IEC 23001-7 has it, not who holds the keys.
const COMMON: &str = "urn:mpeg:dash:mp4protection:2011";
/// Segments encrypted as a whole (ISO/IEC 23009-4).
const WHOLE_SEGMENTS: &str = "urn:mpeg:dash:sea:2012";
/// AES-128 in CBC mode over whole segments, padded as PKCS #7 has it.
const AES_CBC: &str = "urn:mpeg:dash:sea:aes128-cbc:2013";

/// How a representation is protected.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Protection {
    /// Not at all.
    None,
    /// Its segments are encrypted with a key that is handed over in the clear; initialisation sections are not.
    Clear(Arc<Key>),
    /// By a system whose keys are not handed out.
    Drm(Drm),
    /// In a way this version cannot undo, though nobody holds the key back; one clause in plain words.
    Unsupported(String),
}

impl Protection {
    /// Judges by the elements on a representation and on its set.
    pub(super) fn of(elements: &[Node<'_, '_>], base: &Url) -> Self {
        let scheme = |node: &Node<'_, '_>| {
            xml::attribute(*node, "schemeIdUri").unwrap_or_default().to_ascii_lowercase()
        };
        let schemes: Vec<String> = elements.iter().map(scheme).collect();
        if schemes.is_empty() {
            return Self::None;
        }
        let any = |id: &str| schemes.iter().any(|scheme| scheme.ends_with(id));
        if let Some(whole) = elements.iter().find(|node| scheme(node) == WHOLE_SEGMENTS) {
            return whole_segments(*whole, base).map_or_else(
                || {
                    Self::Unsupported(
                        "its segments are encrypted in a way this version does not undo".to_owned(),
                    )
                },
                |key| Self::Clear(Arc::new(key)),
            );
        }
        if schemes.iter().any(|scheme| drm::is_clear_key(scheme)) {
            return Self::clear_key();
        }
        let mut named = schemes.iter().filter(|scheme| *scheme != COMMON && !scheme.ends_with(COMMON_PSSH));
        match named.find_map(|scheme| drm::system_of(scheme, None)) {
            Some(system) => Self::Drm(system),
            None if any(COMMON_PSSH) => Self::clear_key(),
            None => Self::Drm(Drm::unnamed()),
        }
    }

    /// The bytes can be had.
    pub(super) const fn is_open(&self) -> bool {
        matches!(self, Self::None | Self::Clear(_))
    }

    fn clear_key() -> Self {
        Self::Unsupported(
            "its samples are encrypted with ClearKey: no DRM, the key would be handed over in the clear, but this \
             version does not decrypt them"
                .to_owned(),
        )
    }
}

/// The key of ISO/IEC 23009-4, where one key and one vector serve all segments.
fn whole_segments(node: Node<'_, '_>, base: &Url) -> Option<Key> {
    let encryption = xml::children(node, "SegmentEncryption").next()?;
    if xml::attribute(encryption, "schemeIdUri") != Some(AES_CBC) {
        return None;
    }
    let mut periods = xml::children(node, "CryptoPeriod");
    let period = periods.next()?;
    if periods.next().is_some() || xml::children(node, "CryptoTimeline").next().is_some() {
        return None;
    }
    let bounded = ["numSegments", "startOffset", "offset", "ivUriTemplate"];
    if bounded.iter().any(|name| period.has_attribute(*name)) {
        return None;
    }
    let vector = xml::attribute(period, "IV")?;
    let digits = vector.strip_prefix("0x").or_else(|| vector.strip_prefix("0X")).unwrap_or(vector);
    if digits.len() != 32 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let iv = u128::from_str_radix(digits, 16).ok()?.to_be_bytes();
    // Attributes that were wrapped into lines have spaces where they were.
    let url: String = xml::attribute(period, "keyUriTemplate")?.split_ascii_whitespace().collect();
    if url.contains(['$', '{']) {
        return None;
    }
    let url = address::resolve(base, &url).ok()?;
    Some(Key { encryption: Encryption::Aes128, url, iv: Some(iv) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(elements: &str) -> Protection {
        let text = format!("<MPD>{elements}</MPD>");
        let base = Url::parse("https://a.example/m.mpd").unwrap();
        let document = roxmltree::Document::parse(&text).unwrap();
        let elements: Vec<_> = document.root_element().children().collect();
        Protection::of(&elements, &base)
    }

    #[test]
    fn systems_are_named_and_clear_keys_are_not_drm() {
        let of = |schemes: &[&str]| {
            let elements: String =
                schemes.iter().map(|scheme| format!("<C schemeIdUri=\"{scheme}\"/>")).collect();
            judged(&elements)
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

    #[test]
    fn whole_segments_have_a_key_when_one_serves_them_all() {
        let sea = |inside: &str| {
            judged(&format!(
                "<C xmlns:sea=\"urn:mpeg:dash:schema:sea:2012\" schemeIdUri=\"urn:mpeg:dash:sea:2012\">{inside}</C>"
            ))
        };
        let cbc = "<sea:SegmentEncryption schemeIdUri=\"urn:mpeg:dash:sea:aes128-cbc:2013\"/>";
        let vector = "0x000102030405060708090A0B0C0D0E0F";
        let Protection::Clear(key) = sea(&format!(
            "{cbc}<sea:KeySystem keySystemUri=\"urn:mpeg:dash:sea:keysys:http:2013\"/>\
             <sea:CryptoPeriod IV=\"{vector}\" keyUriTemplate=\"/key?\n  kid=1\"/>"
        )) else {
            panic!("no key");
        };
        assert_eq!(key.url.as_str(), "https://a.example/key?kid=1");
        assert_eq!((key.encryption, key.iv.unwrap()[15]), (Encryption::Aes128, 0x0F));
        for inside in [
            String::new(),
            cbc.to_owned(),
            format!(
                "<sea:SegmentEncryption schemeIdUri=\"urn:mpeg:dash:sea:aes128-gcm:2013\"/><sea:CryptoPeriod IV=\"{vector}\" keyUriTemplate=\"k\"/>"
            ),
            format!("{cbc}<sea:CryptoPeriod keyUriTemplate=\"k\"/>"),
            format!("{cbc}<sea:CryptoPeriod IV=\"0x12\" keyUriTemplate=\"k\"/>"),
            format!("{cbc}<sea:CryptoPeriod IV=\"{vector}\" keyUriTemplate=\"k$Number$\"/>"),
            format!("{cbc}<sea:CryptoPeriod IV=\"{vector}\" keyUriTemplate=\"file:///k\"/>"),
            format!("{cbc}<sea:CryptoPeriod IV=\"{vector}\" keyUriTemplate=\"k\" numSegments=\"3\"/>"),
            format!(
                "{cbc}<sea:CryptoPeriod IV=\"{vector}\" keyUriTemplate=\"k\"/><sea:CryptoPeriod IV=\"{vector}\" keyUriTemplate=\"l\"/>"
            ),
        ] {
            assert!(matches!(sea(&inside), Protection::Unsupported(_)), "{inside}");
        }
    }
}
