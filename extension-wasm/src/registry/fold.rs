//! When two addresses mean the same thing, and when one is a piece of another.
//!
//! Pure text. Invariant: errs towards two cards; only what certainly belongs together is folded.

use serde::Serialize;
use weir_media::classify::path;

/// The address two requests for the same thing have in common: no fragment, and none of the directives a low-latency
/// HLS player adds to the address of its playlist (`_HLS_msn`, …: RFC 8216bis section 6.2.5).
pub(super) fn key(url: &str) -> String {
    let url = url.split('#').next().unwrap_or_default();
    let Some((base, query)) = url.split_once('?') else { return url.to_owned() };
    if !query.contains("_HLS_") {
        return url.to_owned();
    }
    let rest: Vec<&str> = query.split('&').filter(|pair| !pair.starts_with("_HLS_")).collect();
    if rest.is_empty() { base.to_owned() } else { format!("{base}?{}", rest.join("&")) }
}

/// A playlist that belongs to another.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Fold {
    /// Its address, as [`key`] writes it.
    pub(crate) key: String,
    /// The page asked for it.
    pub(crate) met: bool,
}

/// The entry `key` belongs to. Players add tokens to addresses a playlist gives without any.
pub(super) fn find(folds: &[Fold], key: &str) -> Option<usize> {
    let at = |key: &str| folds.iter().position(|fold| fold.key == key);
    at(key).or_else(|| at(key.split_once('?')?.0))
}

/// Notes that the entry `key` belongs to was met. `None` when there is none, else whether it was for the first time.
pub(super) fn meet(folds: &mut [Fold], key: &str) -> Option<bool> {
    let at = find(folds, key)?;
    let fold = folds.get_mut(at)?;
    Some(!std::mem::replace(&mut fold.met, true))
}

/// The address with every run of digits in its path, the extension left out, made one `0`, without query: the same
/// for all segments of a stream, and different for a file beside them.
#[must_use]
pub fn shape(url: &str) -> String {
    let path = path(url);
    let end = url.find(['?', '#']).unwrap_or(url.len());
    let head = url.get(..end.saturating_sub(path.len())).unwrap_or_default();
    let name = path.rfind('/').unwrap_or(0);
    let dot = path.rfind('.').filter(|dot| *dot > name).unwrap_or(path.len());
    let (stem, extension) = path.split_at(dot);
    let mut shape = head.to_owned();
    let mut digits = false;
    for character in stem.chars() {
        let digit = character.is_ascii_digit();
        match (digit, digits) {
            (true, false) => shape.push('0'),
            (true, true) => {}
            (false, _) => shape.push(character),
        }
        digits = digit;
    }
    shape.push_str(extension);
    shape
}

/// Everything up to the last slash of the path.
pub(super) fn folder(url: &str) -> String {
    let end = url.find(['?', '#']).unwrap_or(url.len());
    let url = url.get(..end).unwrap_or_default();
    let authority = url.find("://").map_or(0, |at| at + 3);
    match url.get(authority..).and_then(|rest| rest.rfind('/')) {
        Some(slash) => url.get(..=authority + slash).unwrap_or_default().to_owned(),
        None => format!("{url}/"),
    }
}

/// Scheme, host and port.
pub(super) fn origin(url: &str) -> Option<&str> {
    let authority = url.find("://")? + 3;
    let rest = url.get(authority..)?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    url.get(..authority + end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folds(keys: &[&str]) -> Vec<Fold> {
        keys.iter().map(|key| Fold { key: (*key).to_owned(), met: false }).collect()
    }

    #[test]
    fn a_key_forgets_only_what_does_not_matter() {
        for (url, expected) in [
            ("https://a.test/x#y", "https://a.test/x"),
            ("https://a.test/x?a=1", "https://a.test/x?a=1"),
            ("https://a.test/x?_HLS_msn=4&_HLS_part=1", "https://a.test/x"),
            ("https://a.test/x?a=1&_HLS_msn=4#z", "https://a.test/x?a=1"),
        ] {
            assert_eq!(key(url), expected);
        }
    }

    #[test]
    fn a_token_added_by_the_player_is_no_other_playlist() {
        let folds = folds(&["https://a.test/v.m3u8", "https://a.test/w.m3u8?q=1"]);
        assert!(find(&folds, "https://a.test/v.m3u8").is_some());
        assert!(find(&folds, "https://a.test/v.m3u8?token=1").is_some());
        assert!(find(&folds, "https://a.test/w.m3u8?q=1").is_some());
        // The query tells them apart.
        assert!(find(&folds, "https://a.test/w.m3u8?q=2").is_none());
        assert!(find(&folds, "https://a.test/other.m3u8").is_none());
    }

    #[test]
    fn the_first_meeting_is_told_once() {
        let mut folds = folds(&["https://a.test/v.m3u8"]);
        assert_eq!(meet(&mut folds, "https://a.test/w.m3u8"), None);
        assert_eq!(meet(&mut folds, "https://a.test/v.m3u8?t=1"), Some(true));
        assert_eq!(meet(&mut folds, "https://a.test/v.m3u8"), Some(false));
    }

    #[test]
    fn segments_share_a_shape() {
        let shape_of = |name: &str| shape(&format!("https://cdn7.a.test:81/v12/{name}"));
        assert_eq!(shape_of("seg-1.mp4?t=5"), shape_of("seg-20231.mp4"));
        assert_ne!(shape_of("seg-1.mp4"), shape_of("full.mp4"));
        assert_ne!(shape_of("seg-1.mp4"), shape_of("seg-1.mp3"));
        assert_ne!(shape("https://a1.test/1.mp4"), shape("https://a2.test/1.mp4"));
        assert_eq!(shape("https://a.test"), "https://a.test");
    }

    #[test]
    fn folders_and_origins() {
        assert_eq!(folder("https://a.test/x/y.mpd?z=/w"), "https://a.test/x/");
        assert_eq!(folder("https://a.test"), "https://a.test/");
        assert_eq!(origin("https://a.test:8/x"), Some("https://a.test:8"));
        assert_eq!(origin("https://a.test"), Some("https://a.test"));
        assert_eq!(origin(""), None);
    }
}
