//! What a card says.
//!
//! Pure text, made for people; the daemon makes its own safe file names. Invariant: never empty, one line, without
//! characters that reorder or hide what stands beside them.

use percent_encoding::percent_decode_str;
use weir_media::classify::last_segment;
use weir_protocol::DownloadKind;

/// Characters shown of a name.
const MAX_CHARS: usize = 200;

/// Name of a card: the server's word, then for a playlist the page's title, then the address's file name.
pub(super) fn card(kind: DownloadKind, file_name: Option<&str>, url: &str, title: Option<&str>) -> String {
    let file_name = file_name.and_then(tidy);
    let from_url = tidy(&percent_decode_str(last_segment(url)).decode_utf8_lossy());
    let title = title.map(str::to_owned);
    let name = match kind {
        DownloadKind::Hls | DownloadKind::Dash | DownloadKind::Site => title.or(file_name).or(from_url),
        DownloadKind::File => match from_url {
            // `videoplayback` and `get` are no file names.
            Some(name) if name.contains('.') => file_name.or(Some(name)),
            from_url => file_name.or(title).or(from_url),
        },
    };
    name.or_else(|| host(url)).unwrap_or_else(|| "stream".to_owned())
}

/// A page's title, unless it is what the browser shows for want of one: the page's address.
pub(super) fn title(title: &str, page_url: &str) -> Option<String> {
    let title = tidy(title)?;
    let is_address = title.contains(['/', '.', ':']) && page_url.contains(title.as_str());
    (!is_address).then_some(title)
}

fn host(url: &str) -> Option<String> {
    let origin = super::fold::origin(url)?;
    tidy(origin.split_once("://").map_or(origin, |(_, host)| host))
}

/// One line, no control characters and no overrides of direction, not too long.
fn tidy(text: &str) -> Option<String> {
    let visible = |character: &char| {
        // The joiners U+200C and U+200D stay: some scripts cannot be written without them.
        !matches!(character, '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
            && (character.is_whitespace() || !character.is_control())
    };
    let line: String = text.chars().filter(visible).collect();
    let words: Vec<&str> = line.split_whitespace().collect();
    let mut line = words.join(" ");
    if let Some((end, _)) = line.char_indices().nth(MAX_CHARS) {
        line.truncate(end);
    }
    (!line.is_empty()).then_some(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_playlists_are_titles() {
        let url = "https://a.test/x/index.m3u8?t=1";
        assert_eq!(card(DownloadKind::Hls, None, url, Some("A talk")), "A talk");
        assert_eq!(card(DownloadKind::Hls, None, url, None), "index.m3u8");
        assert_eq!(card(DownloadKind::Hls, None, "https://a.test/", None), "a.test");
    }

    #[test]
    fn names_of_files_are_file_names() {
        let card = |file_name, url, title| card(DownloadKind::File, file_name, url, title);
        assert_eq!(card(Some("b.mp4"), "https://a.test/a.mp4", Some("T")), "b.mp4");
        assert_eq!(card(None, "https://a.test/a%20b%C3%BC.mp4?x", Some("T")), "a bü.mp4");
        assert_eq!(card(None, "https://a.test/videoplayback?x", Some("T")), "T");
        assert_eq!(card(None, "https://a.test/videoplayback?x", None), "videoplayback");
        assert_eq!(card(None, "", None), "stream");
    }

    #[test]
    fn an_address_is_no_title() {
        let page = "http://127.0.0.1:8080/watch/page.html?v=1";
        assert_eq!(title("127.0.0.1:8080/watch/page.html?v=1", page), None);
        assert_eq!(title("page.html", page), None);
        assert_eq!(title("  \n", page), None);
        assert_eq!(title("watch", page).as_deref(), Some("watch"));
        assert_eq!(title(" A\n  talk ", page).as_deref(), Some("A talk"));
    }

    #[test]
    fn tricks_with_characters_do_not_pass() {
        assert_eq!(tidy("gpj\u{202e}.exe\u{0}\u{7}").as_deref(), Some("gpj.exe"));
        assert_eq!(tidy(&"é".repeat(500)).map(|name| name.chars().count()), Some(MAX_CHARS));
        assert_eq!(tidy("\u{200b}\u{feff}"), None);
    }
}
