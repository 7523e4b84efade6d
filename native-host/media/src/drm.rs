//! Which DRM system a key belongs to.
//!
//! Never decrypts and never asks a licence server: the answer only serves to refuse by name. Invariant: a key that
//! the server hands over in the clear (`KEYFORMAT=identity`) is not DRM.

/// A content protection system, recognised so that it can be refused by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drm {
    /// Name people know: `Widevine`, `FairPlay`, `PlayReady`, …
    pub system: String,
}

/// Registered system identifiers (DASH-IF content protection list).
const SYSTEMS: &[(&str, &str)] = &[
    ("edef8ba9-79d6-4ace-a3c8-27dcd51d21ed", "Widevine"),
    ("9a04f079-9840-4286-ab92-e65be0885f95", "PlayReady"),
    ("94ce86fb-07ff-4f43-adb8-93d2fa968ca2", "FairPlay"),
    ("5e629af5-38da-4063-8977-97ffbd9902d4", "Marlin"),
    ("adb41c24-2dbf-4a6d-958b-4457c0d27b95", "Nagra"),
    ("f239e769-efa3-4850-9c16-a903c6932efb", "PrimeTime"),
    ("80a6be7e-1448-4c37-9e70-d5aebe04c8d2", "Irdeto"),
    ("3d5e6d35-9b9a-41e8-b843-dd3c6e72c42c", "WisePlay"),
];

/// The system a key tag names, or nothing when the key is handed over in the clear.
pub(crate) fn system_of(keyformat: &str, uri: Option<&str>) -> Option<Drm> {
    let format = keyformat.trim().to_ascii_lowercase();
    let named = |system: &str| Some(Drm { system: system.to_owned() });
    if format == "com.apple.streamingkeydelivery" || uri.is_some_and(|uri| uri.starts_with("skd://")) {
        return named("FairPlay");
    }
    if format == "com.microsoft.playready" {
        return named("PlayReady");
    }
    if let Some((_, system)) = SYSTEMS.iter().find(|(id, _)| format.ends_with(id)) {
        return named(system);
    }
    if format.is_empty() || format == "identity" {
        return None;
    }
    if format.contains("widevine") {
        return named("Widevine");
    }
    named(&format!("the key system {format}"))
}

/// Adobe's system has a tag of its own instead of a key format.
pub(crate) fn adobe() -> Drm {
    Drm { system: "Adobe Access".to_owned() }
}
