//! From a detected stream to what the daemon is asked, and what a card says of it.
//!
//! Pure. Invariant: a protected stream is never ordered; everything the browser sent with the first request goes
//! along, because a server may refuse the address without it.

use std::collections::BTreeMap;

use serde::Deserialize;
use weir_protocol::{
    Download, DownloadKind, DownloadStatus, ErrorInfo, MetaRequest, NewDownload, Variant, code,
};
use weir_web::format;

use crate::stream::{Stream, TabStreams};

/// The order for this stream in this quality (a variant's id; none leaves the choice to the daemon).
#[must_use]
pub(super) fn order(stream: &Stream, quality: Option<String>) -> NewDownload {
    let page = stream.kind != DownloadKind::File;
    NewDownload {
        url: stream.url.clone(),
        kind: Some(stream.kind),
        // A playlist's name is a title without an ending. With the likely one the row has its name from the first
        // moment instead of `master.m3u8`; the daemon puts another in place when the file becomes another.
        filename: match stream.kind {
            DownloadKind::File => Some(stream.name.clone()),
            DownloadKind::Hls | DownloadKind::Dash => Some(format!("{}.mp4", stream.name)),
            // Only yt-dlp knows what it will be.
            DownloadKind::Site => None,
        },
        title: if page { Some(stream.name.clone()) } else { stream.title.clone() },
        quality,
        headers: stream.headers.clone(),
        cookies: stream.cookies.clone(),
        referer: stream.referer.clone(),
        page_url: Some(stream.page_url.clone()).filter(|address| format::is_web(address)),
        ..NewDownload::default()
    }
}

/// What was found in a tab; where that is nothing, the page as a whole, for yt-dlp to look at.
#[must_use]
pub(super) fn with_page(mut tab: TabStreams) -> TabStreams {
    if tab.streams.is_empty() && format::is_web(&tab.page_url) {
        tab.streams.push(Stream {
            id: "page".to_owned(),
            kind: DownloadKind::Site,
            url: tab.page_url.clone(),
            name: tab.page_title.clone().unwrap_or_else(|| tab.page_url.clone()),
            page_url: tab.page_url.clone(),
            title: tab.page_title.clone(),
            referer: None,
            cookies: None,
            headers: BTreeMap::new(),
            content_type: None,
            total_bytes: None,
            duration_ms: None,
            live: false,
            protected: false,
            variants: Vec::new(),
        });
    }
    tab
}

/// There is at most the page itself.
#[must_use]
pub(super) fn nothing_found(tab: &TabStreams) -> bool {
    tab.streams.iter().all(|stream| stream.kind == DownloadKind::Site)
}

/// What the daemon tells of a stream, as far as a card shows it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct Told {
    duration_ms: Option<u64>,
    live: bool,
    variants: Vec<Variant>,
}

/// The stream with what the daemon found out about it, when the worker cannot read its manifest.
#[must_use]
pub(super) fn told(mut stream: Stream, answer: Option<&Result<Told, ErrorInfo>>) -> Stream {
    match answer {
        Some(Ok(meta)) => {
            stream.duration_ms = meta.duration_ms;
            stream.live = meta.live;
            stream.variants.clone_from(&meta.variants);
        }
        Some(Err(error)) => stream.protected |= error.code == code::DRM_PROTECTED,
        None => {}
    }
    stream
}

/// What the daemon is to find out about a stream; none when the worker has done so.
#[must_use]
pub(super) fn question(stream: &Stream) -> Option<MetaRequest> {
    (stream.kind == DownloadKind::Dash).then(|| MetaRequest {
        url: stream.url.clone(),
        headers: stream.headers.clone(),
        cookies: stream.cookies.clone(),
        referer: stream.referer.clone(),
        kind: None,
    })
}

/// The line under a stream's name.
#[must_use]
pub(super) fn facts(stream: &Stream) -> String {
    let mut facts = vec![kind(stream).to_owned()];
    facts.extend(stream.duration_ms.filter(|_| !stream.live).map(format::duration));
    facts.extend(stream.total_bytes.map(format::bytes));
    // With more than one there is a select that says it.
    if let [only] = stream.variants.as_slice() {
        facts.push(only.label.clone());
    }
    facts.join(" · ")
}

fn kind(stream: &Stream) -> &'static str {
    let family = stream.content_type.as_deref().and_then(|mime| mime.split('/').next());
    match (stream.kind, family) {
        (DownloadKind::File, Some("video")) => "Video file",
        (DownloadKind::File, Some("audio")) => "Audio file",
        (DownloadKind::File, Some("image")) => "Picture",
        (kind, _) => format::kind(kind),
    }
}

/// What became of a stream: the newest download of the same address that was not given up.
#[must_use]
pub(super) fn fate<'a>(
    stream_url: &str,
    newest_first: impl Iterator<Item = &'a Download>,
) -> Option<&'a Download> {
    newest_first
        .filter(|download| download.status != DownloadStatus::Cancelled)
        .find(|download| download.url == stream_url)
}

/// What a card calls its stream: its name, and where two have the same, what tells their addresses apart.
#[must_use]
pub(super) fn label(stream: &Stream, all: &[Stream]) -> String {
    let twins: Vec<&Stream> = all.iter().filter(|other| other.name == stream.name).collect();
    if twins.len() < 2 {
        return stream.name.clone();
    }
    let own = tail(&stream.url);
    if twins.iter().filter(|other| tail(&other.url) == own).count() < 2 {
        return format!("{} ({own})", stream.name);
    }
    let number = twins.iter().position(|other| other.id == stream.id).unwrap_or_default() + 1;
    format!("{} ({number})", stream.name)
}

/// The last part of an address' path.
fn tail(url: &str) -> &str {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    path.trim_end_matches('/').rsplit('/').next().unwrap_or_default()
}

/// The flag on a card whose stream is a download already, and its class.
#[must_use]
pub(super) fn flag(download: &Download) -> (String, &'static str) {
    let class = match download.status {
        DownloadStatus::Error => "chip chip-live",
        DownloadStatus::Paused => "chip",
        _ => "chip chip-known",
    };
    (state(download), class)
}

fn state(download: &Download) -> String {
    match download.status {
        DownloadStatus::Completed if download.lacks.is_some() => "Downloaded in part".to_owned(),
        DownloadStatus::Completed => "Downloaded".to_owned(),
        DownloadStatus::Downloading if download.live => "Recording".to_owned(),
        DownloadStatus::Downloading => match format::bar_value(download) {
            Some(value) => format!("Downloading {value} %"),
            None => "Downloading".to_owned(),
        },
        status if status.is_active() => "In the queue".to_owned(),
        status => format::status(status).to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(kind: DownloadKind) -> Stream {
        Stream {
            id: "1".to_owned(),
            kind,
            url: "https://cdn.example/a".to_owned(),
            name: "A talk".to_owned(),
            page_url: "https://example/talk".to_owned(),
            title: Some("A talk – Example".to_owned()),
            referer: Some("https://example/".to_owned()),
            cookies: Some("a=b".to_owned()),
            headers: BTreeMap::from([("user-agent".to_owned(), "x".to_owned())]),
            content_type: None,
            total_bytes: None,
            duration_ms: None,
            live: false,
            protected: false,
            variants: Vec::new(),
        }
    }

    fn variant(label: &str) -> Variant {
        Variant {
            id: label.to_owned(),
            label: label.to_owned(),
            width: None,
            height: None,
            frame_rate: None,
            bandwidth: None,
            codecs: None,
            estimated_bytes: None,
        }
    }

    #[test]
    fn an_order_carries_what_the_browser_sent() {
        let order = order(&stream(DownloadKind::Hls), Some("720p".to_owned()));
        assert_eq!(order.title.as_deref(), Some("A talk"));
        assert_eq!(order.filename.as_deref(), Some("A talk.mp4"));
        assert_eq!(order.quality.as_deref(), Some("720p"));
        assert_eq!(order.cookies.as_deref(), Some("a=b"));
        assert_eq!(order.referer.as_deref(), Some("https://example/"));
        assert_eq!(order.page_url.as_deref(), Some("https://example/talk"));
        assert_eq!(order.headers.len(), 1);
    }

    #[test]
    fn the_daemon_tells_what_the_worker_cannot_read() {
        assert_eq!(question(&stream(DownloadKind::Hls)), None);
        let dash = stream(DownloadKind::Dash);
        let asked = question(&dash).unwrap();
        assert_eq!((asked.url.as_str(), asked.cookies.as_deref()), ("https://cdn.example/a", Some("a=b")));
        let answer = Told {
            duration_ms: Some(60_000),
            live: false,
            variants: vec![variant("1080p"), variant("720p")],
        };
        assert_eq!(told(dash.clone(), None), dash);
        let known = told(dash.clone(), Some(&Ok(answer)));
        assert_eq!((facts(&known).as_str(), known.variants.len()), ("DASH stream · 1:00", 2));
        let refused = |code: &str| Err(ErrorInfo { code: code.into(), message: "m".into(), action: None });
        assert!(told(dash.clone(), Some(&refused(code::DRM_PROTECTED))).protected);
        assert_eq!(told(dash.clone(), Some(&refused(code::TIMEOUT))), dash);
        assert_eq!(order(&dash, None).filename.as_deref(), Some("A talk.mp4"));
    }

    #[test]
    fn a_page_on_which_nothing_was_found_is_offered_as_a_whole() {
        let tab = |url: &str| TabStreams {
            page_url: url.to_owned(),
            page_title: Some("T".to_owned()),
            streams: Vec::new(),
        };
        let page = with_page(tab("https://a.example/watch?v=1"));
        assert!(nothing_found(&page));
        let order = order(&page.streams[0], None);
        assert_eq!(
            (order.url.as_str(), order.kind),
            ("https://a.example/watch?v=1", Some(DownloadKind::Site))
        );
        assert_eq!(order.title.as_deref(), Some("T"));
        for other in ["", "chrome://newtab/", "file:///etc/passwd"] {
            assert!(with_page(tab(other)).streams.is_empty(), "{other}");
        }
        let found = TabStreams { streams: vec![stream(DownloadKind::Hls)], ..tab("https://a.example/") };
        assert_eq!(with_page(found.clone()), found);
        assert!(!nothing_found(&found));
    }

    #[test]
    fn a_file_keeps_its_name_and_odd_pages_stay_out() {
        let mut file = stream(DownloadKind::File);
        file.page_url = "chrome://newtab/".to_owned();
        let order = order(&file, None);
        assert_eq!(order.filename.as_deref(), Some("A talk"));
        assert_eq!(order.title.as_deref(), Some("A talk – Example"));
        assert_eq!(order.page_url, None);
    }

    #[test]
    fn streams_of_the_same_name_are_told_apart() {
        let at = |id: &str, url: &str| Stream {
            id: id.to_owned(),
            url: url.to_owned(),
            ..stream(DownloadKind::Hls)
        };
        let all =
            [at("1", "https://h/a.m3u8?x=1"), at("2", "https://h/b.m3u8"), at("3", "https://h/c/b.m3u8")];
        let labels: Vec<String> = all.iter().map(|one| label(one, &all)).collect();
        assert_eq!(labels, ["A talk (a.m3u8)", "A talk (2)", "A talk (3)"]);
        assert_eq!(label(&all[0], &all[..1]), "A talk");
    }

    fn download(id: i64, url: &str, status: DownloadStatus) -> Download {
        Download {
            id,
            kind: DownloadKind::File,
            url: url.to_owned(),
            page_url: None,
            title: None,
            filename: format!("{id}.bin"),
            path: String::new(),
            status,
            progress: 41.9,
            received_bytes: 1,
            total_bytes: Some(2),
            speed: 0,
            eta: None,
            connections: 0,
            quality: None,
            priority: 0,
            position: 0,
            start_at: None,
            rate_limit: None,
            category: None,
            live: false,
            recorded_s: None,
            lacks: None,
            sha256: None,
            openable: true,
            error: None,
            created_at: String::new(),
            finished_at: None,
        }
    }

    #[test]
    fn a_card_tells_the_newest_attempt_that_was_not_given_up() {
        let rows = [
            download(4, "a", DownloadStatus::Cancelled),
            download(3, "a", DownloadStatus::Downloading),
            download(2, "b", DownloadStatus::Completed),
            download(1, "a", DownloadStatus::Completed),
        ];
        let told = |url| fate(url, rows.iter()).map(|download| (download.id, flag(download).0));
        assert_eq!(told("a"), Some((3, "Downloading 41 %".to_owned())));
        assert_eq!(told("b"), Some((2, "Downloaded".to_owned())));
        assert_eq!(told("c"), None);
        assert_eq!(flag(&download(5, "a", DownloadStatus::Queued)).0, "In the queue");
        assert_eq!(flag(&download(5, "a", DownloadStatus::Error)).0, "Failed");
    }

    #[test]
    fn the_line_says_what_is_known_and_leaves_choices_to_the_select() {
        let mut hls = stream(DownloadKind::Hls);
        hls.duration_ms = Some(60_000);
        hls.variants = vec![variant("1080p")];
        assert_eq!(facts(&hls), "HLS stream · 1:00 · 1080p");
        hls.variants.push(variant("720p"));
        hls.live = true;
        assert_eq!(facts(&hls), "HLS stream");
        let mut file = stream(DownloadKind::File);
        file.content_type = Some("video/mp4".to_owned());
        file.total_bytes = Some(12_400_000);
        assert_eq!(facts(&file), "Video file · 12.4 MB");
    }
}
