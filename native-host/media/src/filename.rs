//! What a downloaded file may be called.
//!
//! Owns the way from hostile text (headers, addresses, titles) to one harmless path component. Never looks at a
//! disk: whether a name is taken is the engine's business. Invariant: what [`safe`] returns is a single, visible,
//! portable component, never empty, and leaves room for every suffix a working file gets.

mod charset;
mod disposition;
mod encoded_word;

use percent_encoding::percent_decode_str;
use url::Url;

pub use disposition::{from_content_disposition, from_content_disposition_bytes};

/// Longest component most file systems take, in bytes.
const MAX_COMPONENT: usize = 255;
/// Room for the longest working suffix (`.part.audio`) with some to spare.
const RESERVED_FOR_SUFFIX: usize = 15;
/// Longest extension that is kept when a name must be cut, in bytes.
const MAX_EXTENSION: usize = 12;
/// Used when nothing of a name is left.
const FALLBACK: &str = "download";

/// Extensions that say how something is served, not what the finished media file is.
const REPLACED_EXTENSIONS: &[&str] = &[
    "m3u8", "m3u", "mpd", "ts", "m2ts", "m4s", "cmfv", "cmfa", "mp4", "m4v", "m4a", "mov", "mkv", "webm",
    "aac", "mp3", "html", "htm", "xhtml", "php", "asp", "aspx", "jsp", "txt", "json",
];

/// Turns any text into a file name that is safe on every system: no separators, control or invisible direction
/// characters, no reserved names, no leading dot, no trailing dot or space, at most 240 bytes, never empty.
#[must_use]
pub fn safe(name: &str) -> String {
    let mut out = String::with_capacity(name.len().min(MAX_COMPONENT));
    let mut last_space = true;
    for c in name.chars() {
        let c = match c {
            '/' | '\\' | '<' | '>' | ':' | '"' | '|' | '?' | '*' => '_',
            '\t' | '\n' | '\r' => ' ',
            c if c.is_control() || is_invisible(c) => continue,
            c if c.is_whitespace() => ' ',
            c => c,
        };
        // Runs of spaces come from line breaks in titles and make names nobody can type.
        if c == ' ' && last_space {
            continue;
        }
        last_space = c == ' ';
        out.push(c);
    }
    let mut out = trim_end(&out).to_owned();
    // A leading dot hides the file; `..` would be a way out of the folder.
    if out.starts_with('.') {
        out.replace_range(..1, "_");
    }
    if is_reserved(&out) {
        out.insert(0, '_');
    }
    // What Weir's own files in the making are called must not come from outside: a foreign journal would be believed.
    if let Some(dot) = working_suffix(&out) {
        out.replace_range(dot..=dot, "_");
    }
    out = shorten(&out, "");
    if out.is_empty() || out.chars().all(|c| matches!(c, '_' | '.' | ' ')) {
        FALLBACK.to_owned()
    } else {
        out
    }
}

/// The last path segment of an address, percent-decoded; bytes that are no UTF-8 as [`from_content_disposition_bytes`]
/// reads them, or left encoded. None when the path has none. The result is not yet [`safe`].
#[must_use]
pub fn from_url(url: &Url) -> Option<String> {
    let segment = url.path_segments()?.rfind(|segment| !segment.is_empty())?;
    let bytes: Vec<u8> = percent_decode_str(segment).collect();
    let decoded = charset::escaped(&bytes, url.host_str()).unwrap_or_else(|| segment.to_owned());
    (!decoded.trim().is_empty()).then_some(decoded)
}

/// `name (n).ext`; `name` itself for 0. A compound extension such as `.tar.gz` stays whole.
#[must_use]
pub fn numbered(name: &str, n: u32) -> String {
    if n == 0 {
        return name.to_owned();
    }
    let (stem, extension) = split_extension(name);
    let tail = format!(" ({n}){extension}");
    format!("{}{tail}", cut(stem, MAX_COMPONENT - RESERVED_FOR_SUFFIX - tail.len()))
}

/// `name` with this extension (without its dot). An extension that only tells how the stream was served is
/// replaced; anything else after a dot (`Talk v1.5`) is part of the name and stays.
#[must_use]
pub fn with_extension(name: &str, extension: &str) -> String {
    let stem = match name.rsplit_once('.') {
        Some((stem, old))
            if !stem.is_empty() && REPLACED_EXTENSIONS.contains(&old.to_ascii_lowercase().as_str()) =>
        {
            stem
        }
        _ => name,
    };
    let stem = trim_end(stem);
    let stem = if stem.is_empty() { FALLBACK } else { stem };
    shorten(stem, &format!(".{extension}"))
}

/// The extension in lower case, without its dot.
#[must_use]
pub fn extension(name: &str) -> Option<String> {
    let (stem, extension) = name.rsplit_once('.')?;
    let plain = !stem.is_empty() && (1..=MAX_EXTENSION).contains(&extension.len());
    (plain && extension.bytes().all(|b| b.is_ascii_alphanumeric())).then(|| extension.to_ascii_lowercase())
}

/// Like [`extension`], and whole where it has two parts: `tar.gz`.
#[must_use]
pub fn whole_extension(name: &str) -> Option<String> {
    extension(name)?;
    let (_, whole) = split_extension(name);
    Some(whole.trim_start_matches('.').to_ascii_lowercase())
}

/// Characters that change how a name is shown without being seen, such as those that make `exe.pdf` out of
/// `fdp.exe`.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{00AD}' | '\u{061C}' | '\u{180E}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}'
        | '\u{2060}'..='\u{206F}' | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}' | '\u{E0000}'..='\u{E007F}')
}

/// Device names of Windows, with or without an extension.
fn is_reserved(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().trim_end().to_ascii_uppercase();
    let numbered = |prefix: &str| {
        stem.strip_prefix(prefix).is_some_and(|rest| {
            rest.chars().count() == 1 && rest.chars().all(|c| c.is_ascii_digit() || "¹²³".contains(c))
        })
    };
    matches!(stem.as_str(), "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$" | "CLOCK$")
        || numbered("COM")
        || numbered("LPT")
}

/// Where the `.part` of a file in the making, or of a companion of one, begins.
fn working_suffix(name: &str) -> Option<usize> {
    let lower = name.to_ascii_lowercase();
    let suffix =
        [".part", ".part.weir", ".part.audio", ".part.mux"].into_iter().find(|end| lower.ends_with(end))?;
    Some(name.len() - suffix.len())
}

fn trim_end(name: &str) -> &str {
    name.trim_end_matches(['.', ' '])
}

/// `stem` + `suffix` within the limit, keeping the stem's own extension when `suffix` is empty.
fn shorten(stem: &str, suffix: &str) -> String {
    let limit = MAX_COMPONENT - RESERVED_FOR_SUFFIX;
    if stem.len() + suffix.len() <= limit {
        return format!("{stem}{suffix}");
    }
    let (stem, own) = if suffix.is_empty() { split_extension(stem) } else { (stem, "") };
    format!("{}{own}{suffix}", trim_end(cut(stem, limit - own.len() - suffix.len())))
}

/// At most `limit` bytes, never inside a character.
fn cut(text: &str, limit: usize) -> &str {
    let mut end = limit.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// Stem and extension with its dot; `.tar.xz` and the like count as one.
fn split_extension(name: &str) -> (&str, &str) {
    let Some(dot) = name.rfind('.').filter(|&dot| dot > 0 && name.len() - dot <= MAX_EXTENSION + 1) else {
        return (name, "");
    };
    let dot = match name[..dot].len().checked_sub(4) {
        Some(tar) if tar > 0 && name.is_char_boundary(tar) && name[tar..dot].eq_ignore_ascii_case(".tar") => {
            tar
        }
        _ => dot,
    };
    name.split_at(dot)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn hostile_names_become_harmless() {
        for (from, to) in [
            ("../../etc/passwd", "_._.._etc_passwd"),
            ("/etc/passwd", "_etc_passwd"),
            ("C:\\Windows\\x.exe", "C__Windows_x.exe"),
            ("..", "download"),
            (".", "download"),
            ("", "download"),
            ("...", "download"),
            (" \t ", "download"),
            (".bashrc", "_bashrc"),
            ("a\0b.txt", "ab.txt"),
            ("photo\u{202E}gpj.exe", "photogpj.exe"),
            ("con", "_con"),
            ("NUL.txt", "_NUL.txt"),
            ("com1.tar.gz", "_com1.tar.gz"),
            ("LPT¹", "_LPT¹"),
            ("console.log", "console.log"),
            ("trailing. . ", "trailing"),
            ("two\nlines.mp4", "two lines.mp4"),
            ("f.iso.part", "f.iso_part"),
            ("f.iso.PART.weir", "f.iso_PART.weir"),
            ("a.part.part", "a.part_part"),
            ("department", "department"),
            ("what?*<>|\".bin", "what______.bin"),
            ("Übung – 1.pdf", "Übung – 1.pdf"),
        ] {
            assert_eq!(safe(from), to, "{from:?}");
        }
    }

    #[test]
    fn long_names_are_cut_between_characters_and_keep_their_extension() {
        let name = safe(&format!("{}.tar.gz", "ü".repeat(400)));
        assert!(name.len() <= 240 && name.ends_with("ü.tar.gz"), "{name}");
        assert!(numbered(&name, 12).len() <= 240);
        assert!(numbered(&name, 12).ends_with(" (12).tar.gz"));
        assert!(with_extension(&"x".repeat(400), "mp4").len() <= 240);
    }

    #[test]
    fn addresses_give_their_last_segment() {
        for (url, name) in [
            ("https://a.example/b/c.zip?x=y.bin#z", Some("c.zip")),
            ("https://a.example/b/", Some("b")),
            ("https://a.example/", None),
            ("https://a.example/na%C3%AFve%20x.txt", Some("naïve x.txt")),
            ("https://a.example/%ff.bin", Some("%ff.bin")),
            ("data:text/plain,hi", None),
        ] {
            assert_eq!(from_url(&Url::parse(url).unwrap()).as_deref(), name, "{url}");
        }
    }

    #[test]
    fn numbers_and_extensions_go_where_people_expect_them() {
        assert_eq!(numbered("a.bin", 0), "a.bin");
        assert_eq!(numbered("a.bin", 1), "a (1).bin");
        assert_eq!(numbered("a.tar.gz", 2), "a (2).tar.gz");
        assert_eq!(numbered("noext", 3), "noext (3)");
        assert_eq!(numbered("_hidden", 3), "_hidden (3)");
        assert_eq!(with_extension("master.m3u8", "mp4"), "master.mp4");
        assert_eq!(with_extension("Talk v1.5", "mp4"), "Talk v1.5.mp4");
        assert_eq!(with_extension("already.MP4", "mp4"), "already.mp4");
        assert_eq!(extension("A.ZIP").as_deref(), Some("zip"));
        assert_eq!(extension("Vol. 2"), None);
        for (name, whole) in
            [("a.Tar.GZ", Some("tar.gz")), ("a.zip", Some("zip")), (".tar.gz", Some("gz")), ("a", None)]
        {
            assert_eq!(whole_extension(name).as_deref(), whole, "{name}");
        }
    }

    proptest! {
        #[test]
        fn any_text_becomes_one_component(text in "\\PC{0,300}|.{0,300}", n in 0_u32..1000) {
            for name in [safe(&text), numbered(&safe(&text), n), with_extension(&safe(&text), "mp4")] {
                prop_assert!(!name.is_empty() && name.len() <= 240);
                prop_assert!(!name.contains(['/', '\\', '\0']) && !name.starts_with('.'));
                prop_assert!(!name.ends_with(['.', ' ']));
                prop_assert!(std::path::Path::new(&name).components().count() == 1);
            }
            prop_assert_eq!(safe(&safe(&text)), safe(&text));
        }
    }
}
