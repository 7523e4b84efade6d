//! What a person would call one thing is one card, whatever the order of events.

use std::collections::BTreeMap;

use super::*;
use crate::stream::Stream;

const PAGE: &str = "https://site.test/watch";
const MASTER: &str = "https://cdn.test/v/master.m3u8";
const LOW: &str = "https://cdn.test/v/low.m3u8";
const HIGH: &str = "https://cdn.test/v/high.m3u8";

fn hit(what: What, url: &str) -> Hit {
    Hit {
        what,
        url: url.to_owned(),
        final_url: url.to_owned(),
        initiator: Initiator::Script,
        document: Some("doc1".to_owned()),
        file_name: None,
        content_type: None,
        total_bytes: None,
        context: Context::default(),
    }
}

fn element(url: &str) -> Hit {
    Hit { initiator: Initiator::Element, ..hit(What::Media, url) }
}

fn variant(id: &str) -> Variant {
    Variant {
        id: id.to_owned(),
        label: id.to_owned(),
        width: None,
        height: None,
        frame_rate: None,
        bandwidth: None,
        codecs: None,
        estimated_bytes: None,
    }
}

fn master_reading() -> Reading {
    Reading {
        duration_ms: Some(60_000),
        variants: vec![variant("1080p"), variant("360p")],
        playlists: vec![HIGH.to_owned(), LOW.to_owned()],
        ..Reading::default()
    }
}

fn registry() -> Registry {
    let mut registry = Registry::default();
    registry.navigated(1, PAGE, Some("doc1"));
    registry.titled(1, "A talk");
    registry.take_changed();
    registry
}

fn added(outcome: Outcome) -> String {
    match outcome {
        Outcome::Added(id) => id,
        other => panic!("not added: {other:?}"),
    }
}

fn streams(registry: &Registry) -> &[Stream] {
    registry.tab(1).map_or(&[], |tab| &tab.shown.streams)
}

fn urls(registry: &Registry) -> Vec<&str> {
    streams(registry).iter().map(|stream| stream.url.as_str()).collect()
}

/// As a killed worker wakes: the reading itself is tested where there is JavaScript.
fn killed(registry: &Registry) -> Registry {
    let mut woken = Registry::default();
    for (tab_id, tab) in &registry.tabs {
        woken.restore(*tab_id, Tab::restored(tab.shown.clone(), tab.notes.clone()));
    }
    woken
}

#[test]
fn a_stream_carries_all_a_download_needs() {
    let mut registry = registry();
    let context = Context {
        referer: Some("https://frame.test/".to_owned()),
        cookies: Some("s=1".to_owned()),
        headers: BTreeMap::from([("User-Agent".to_owned(), "B/1".to_owned())]),
    };
    registry.hit(1, Hit { context, final_url: "https://edge.test/x".to_owned(), ..hit(What::Hls, MASTER) });
    let stream = &streams(&registry)[0];
    assert_eq!(stream.url, MASTER, "as the page asked for it");
    assert_eq!((stream.page_url.as_str(), stream.title.as_deref()), (PAGE, Some("A talk")));
    assert_eq!(stream.name, "A talk");
    assert_eq!(stream.referer.as_deref(), Some("https://frame.test/"));
    assert_eq!(stream.cookies.as_deref(), Some("s=1"));
    assert_eq!(stream.headers.get("User-Agent").map(String::as_str), Some("B/1"));
    assert_eq!(registry.take_changed(), [1]);
}

#[test]
fn one_card_however_often_it_is_met() {
    let mut registry = registry();
    added(registry.hit(1, hit(What::Hls, MASTER)));
    registry.take_changed();
    for url in [MASTER, "https://cdn.test/v/master.m3u8#x", "https://cdn.test/v/master.m3u8?_HLS_msn=3"] {
        assert_eq!(registry.hit(1, hit(What::Hls, url)), Outcome::Known);
    }
    // The same after a redirect, and the target of one that was followed.
    let redirected = Hit { final_url: MASTER.to_owned(), ..hit(What::Hls, "https://site.test/play") };
    assert_eq!(registry.hit(1, redirected), Outcome::Known);
    assert_eq!(registry.hit(1, hit(What::Hls, "https://site.test/play")), Outcome::Known);
    assert_eq!(registry.count(1), 1);
    // Another query is another thing.
    added(registry.hit(1, hit(What::Hls, "https://cdn.test/v/master.m3u8?id=2")));
}

#[test]
fn variants_met_after_their_parent_are_folded() {
    let mut registry = registry();
    let id = added(registry.hit(1, hit(What::Hls, MASTER)));
    registry.read(1, &id, Some(master_reading()));
    assert_eq!(registry.hit(1, hit(What::Hls, LOW)), Outcome::Known);
    assert_eq!(registry.hit(1, hit(What::Hls, &format!("{HIGH}?token=1"))), Outcome::Known);
    assert_eq!(urls(&registry), [MASTER]);
    assert_eq!(streams(&registry)[0].variants.len(), 2);
    assert_eq!(streams(&registry)[0].duration_ms, Some(60_000));
}

#[test]
fn variants_met_before_their_parent_are_folded() {
    let mut registry = registry();
    let low = added(registry.hit(1, hit(What::Hls, LOW)));
    registry.read(1, &low, Some(Reading { live: true, protected: true, ..Reading::default() }));
    let id = added(registry.hit(1, hit(What::Hls, MASTER)));
    let high = added(registry.hit(1, hit(What::Hls, HIGH)));
    assert_eq!(registry.count(1), 3);
    registry.read(1, &id, Some(Reading { live: false, ..master_reading() }));
    assert_eq!(urls(&registry), [MASTER]);
    // What the folded one told still holds.
    assert!(streams(&registry)[0].live && streams(&registry)[0].protected);
    // An answer that comes late does not bring it back.
    registry.read(1, &high, Some(Reading::default()));
    assert_eq!(urls(&registry), [MASTER]);
    assert_eq!(registry.hit(1, hit(What::Hls, LOW)), Outcome::Known);
}

#[test]
fn the_fold_survives_a_killed_worker() {
    let mut registry = registry();
    let id = added(registry.hit(1, hit(What::Hls, MASTER)));
    let registry_unread = killed(&registry);
    assert_eq!(registry_unread.unread(), [(1, id.clone(), MASTER.to_owned())]);
    registry.read(1, &id, Some(master_reading()));
    let mut woken = killed(&registry);
    assert_eq!(woken.tab(1), registry.tab(1));
    assert!(woken.unread().is_empty());
    assert_eq!(woken.hit(1, hit(What::Hls, HIGH)), Outcome::Known);
    assert_eq!(
        added(woken.hit(1, hit(What::Hls, "https://cdn.test/other.m3u8"))),
        "s1",
        "a number is never used twice"
    );
}

#[test]
fn a_playlist_that_cannot_be_read_keeps_its_card() {
    let mut registry = registry();
    let id = added(registry.hit(1, hit(What::Hls, MASTER)));
    registry.read(1, &id, None);
    assert_eq!(urls(&registry), [MASTER]);
    assert!(streams(&registry)[0].variants.is_empty());
    assert!(registry.unread().is_empty(), "not read again at every wake");
}

#[test]
fn segments_that_look_like_files_are_folded_before_and_after() {
    let mut registry = registry();
    added(registry.hit(1, hit(What::Media, "https://cdn.test/v/720/a1.mp4")));
    added(registry.hit(1, element("https://cdn.test/v/720/a7.mp4")));
    added(registry.hit(1, hit(What::Media, "https://cdn.test/v/720/full.mp4")));
    let id = added(registry.hit(1, hit(What::Hls, MASTER)));
    let shapes = vec![shape("https://cdn.test/v/1080/a1.mp4")];
    registry.read(1, &id, Some(Reading { shapes, ..master_reading() }));
    // What an element plays and what is named otherwise are files beside the stream.
    assert_eq!(urls(&registry), ["https://cdn.test/v/720/a7.mp4", "https://cdn.test/v/720/full.mp4", MASTER]);
    assert_eq!(registry.hit(1, hit(What::Media, "https://cdn.test/v/720/a99.mp4?t=1")), Outcome::Known);
    added(registry.hit(1, element("https://cdn.test/v/720/a100.mp4")));
    // Its other playlists may lie elsewhere: the first meeting of each asks for a look.
    assert_eq!(registry.hit(1, hit(What::Hls, LOW)), Outcome::Fold(id.clone()));
    assert_eq!(registry.hit(1, hit(What::Hls, LOW)), Outcome::Known);
    registry.learn_shapes(1, &id, &[shape("https://audio.test/b1.aac")]);
    assert_eq!(registry.hit(1, hit(What::Media, "https://audio.test/b2.aac")), Outcome::Known);
}

#[test]
fn what_lies_beside_a_dash_manifest_is_folded() {
    let mut registry = registry();
    added(registry.hit(1, hit(What::Media, "https://cdn.test/d/audio/1.mp4")));
    added(registry.hit(1, element("https://cdn.test/d/trailer.mp4")));
    let outcome = registry.hit(1, hit(What::Dash, "https://cdn.test/d/x.mpd?t=1"));
    assert!(matches!(outcome, Outcome::Added(_)), "{outcome:?}");
    assert_eq!(registry.hit(1, hit(What::Dash, "https://cdn.test/d/x.mpd?t=1")), Outcome::Known);
    assert_eq!(registry.hit(1, hit(What::Media, "https://cdn.test/d/video/2.mp4")), Outcome::Known);
    assert_eq!(urls(&registry), ["https://cdn.test/d/trailer.mp4", "https://cdn.test/d/x.mpd?t=1"]);
    added(registry.hit(1, hit(What::Media, "https://cdn.test/music.mp3")));
}

#[test]
fn a_navigation_clears_its_tab_and_no_other() {
    let mut registry = registry();
    registry.navigated(2, "https://other.test/", Some("doc2"));
    let id = added(registry.hit(1, hit(What::Hls, MASTER)));
    added(registry.hit(2, hit(What::Hls, MASTER)));
    registry.navigated(1, "https://site.test/next", Some("doc3"));
    assert_eq!((registry.count(1), registry.count(2)), (0, 1));
    let tab = registry.tab(1).unwrap();
    assert_eq!(
        (tab.shown.page_url.as_str(), tab.shown.page_title.as_deref()),
        ("https://site.test/next", None)
    );
    // An answer for the page that has gone reaches nothing of the new one.
    let new = added(registry.hit(1, hit(What::Hls, LOW)));
    assert_ne!(new, id);
    registry.read(1, &id, Some(master_reading()));
    assert_eq!(urls(&registry), [LOW]);
}

#[test]
fn requests_that_overtake_the_news_of_their_page_stay() {
    let mut registry = registry();
    added(registry.hit(1, hit(What::Hls, LOW)));
    added(registry.hit(1, Hit { document: Some("doc2".to_owned()), ..hit(What::Hls, MASTER) }));
    registry.navigated(1, "https://site.test/next", Some("doc2"));
    assert_eq!(urls(&registry), [MASTER]);
    let stream = &streams(&registry)[0];
    assert_eq!((stream.page_url.as_str(), stream.title.as_deref()), ("https://site.test/next", None));
    registry.titled(1, "The next talk");
    assert_eq!(streams(&registry)[0].name, "The next talk");
}

#[test]
fn what_is_opened_as_a_page_stays_and_a_download_clears_nothing() {
    let open = |url| Hit { initiator: Initiator::Navigation, document: None, ..hit(What::File, url) };
    let mut registry = registry();
    added(registry.hit(1, hit(What::Hls, MASTER)));
    // A link that turned into a download: no navigation follows.
    added(registry.hit(1, open("https://site.test/a.zip")));
    assert_eq!(registry.count(1), 2);
    assert_eq!(streams(&registry)[1].name, "a.zip");
    assert_eq!(streams(&registry)[1].page_url, PAGE);
    // A document shown in the tab: one follows, to its address.
    added(registry.hit(1, open("https://site.test/paper.pdf")));
    registry.navigated(1, "https://site.test/paper.pdf", Some("doc2"));
    assert_eq!(urls(&registry), ["https://site.test/paper.pdf"]);
}

#[test]
fn titles_are_taken_once() {
    let mut registry = Registry::default();
    registry.navigated(1, PAGE, None);
    added(registry.hit(1, hit(What::Hls, MASTER)));
    assert_eq!(streams(&registry)[0].name, "master.m3u8");
    registry.titled(1, "site.test/watch");
    assert_eq!(streams(&registry)[0].title, None, "an address is no title");
    registry.titled(1, "A talk");
    registry.titled(1, "(1) A talk");
    assert_eq!(streams(&registry)[0].title.as_deref(), Some("A talk"));
    assert_eq!(registry.tab(1).unwrap().shown.page_title.as_deref(), Some("(1) A talk"));
}

#[test]
fn a_tab_older_than_the_extension_is_filled_in_later() {
    let mut registry = Registry::default();
    added(registry.hit(1, hit(What::Hls, MASTER)));
    registry.located(1, PAGE);
    registry.titled(1, "A talk");
    let stream = &streams(&registry)[0];
    assert_eq!((stream.page_url.as_str(), stream.name.as_str()), (PAGE, "A talk"));
    // A page that rewrites its address keeps its cards, and theirs.
    registry.located(1, "https://site.test/watch?t=9");
    assert_eq!(streams(&registry)[0].page_url, PAGE);
}

#[test]
fn a_closed_tab_is_forgotten() {
    let mut registry = registry();
    let id = added(registry.hit(1, hit(What::Hls, MASTER)));
    registry.removed(1);
    registry.read(1, &id, Some(master_reading()));
    registry.titled(1, "x");
    assert!(registry.tab(1).is_none());
    assert_eq!(registry.take_changed(), [1]);
}

#[test]
fn a_request_without_a_tab_goes_to_the_only_page_of_its_origin() {
    let mut registry = registry();
    registry.navigated(2, "https://other.test/", None);
    assert_eq!(registry.only_tab_of("https://site.test"), Some(1));
    assert_eq!(registry.only_tab_of("https://cdn.test"), None);
    assert_eq!(registry.only_tab_of("null"), None);
    registry.navigated(3, "https://site.test/second", None);
    assert_eq!(registry.only_tab_of("https://site.test"), None, "nobody knows which");
}

#[test]
fn headers_that_were_missing_are_filled_in_and_those_that_worked_stay() {
    let context = |value: &str| Context {
        headers: BTreeMap::from([("User-Agent".to_owned(), value.to_owned())]),
        ..Context::default()
    };
    let mut registry = registry();
    added(registry.hit(1, element("https://cdn.test/a.mp4")));
    assert!(!registry.has_request(1, "https://cdn.test/a.mp4"));
    for value in ["first", "second"] {
        let again =
            Hit { context: context(value), total_bytes: Some(7), ..element("https://cdn.test/a.mp4") };
        assert_eq!(registry.hit(1, again), Outcome::Known);
    }
    assert!(registry.has_request(1, "https://cdn.test/a.mp4#x"));
    assert!(
        !registry.has_request(1, "https://cdn.test/b.mp4")
            && !registry.has_request(2, "https://cdn.test/a.mp4")
    );
    let stream = &streams(&registry)[0];
    assert_eq!(stream.headers.get("User-Agent").map(String::as_str), Some("first"));
    assert_eq!(stream.total_bytes, Some(7));
}

#[test]
fn a_tab_holds_a_bounded_number_of_cards_and_the_newest() {
    let mut registry = registry();
    for number in 0..MAX_CARDS + 5 {
        added(registry.hit(1, element(&format!("https://cdn.test/{number}.mp4"))));
    }
    assert_eq!(registry.count(1), MAX_CARDS);
    assert_eq!(urls(&registry)[0], "https://cdn.test/5.mp4");
    let first = hit(What::Media, "https://cdn.test/0.mp4");
    assert!(!registry.knows(1, &first.url), "what went is forgotten");
}

#[test]
fn the_fullest_tab_makes_room() {
    let mut registry = registry();
    added(registry.hit(1, hit(What::Hls, MASTER)));
    added(registry.hit(2, hit(What::Hls, MASTER)));
    added(registry.hit(2, hit(What::Hls, LOW)));
    assert!(registry.shed());
    assert_eq!((registry.count(1), registry.count(2)), (1, 0));
    assert!(registry.shed());
    assert!(!registry.shed(), "nothing left to drop");
}

#[test]
fn notes_of_another_version_are_made_anew() {
    let mut registry = registry();
    added(registry.hit(1, hit(What::Hls, MASTER)));
    let shown = registry.tab(1).unwrap().shown.clone();
    registry.restore(1, Tab::restored(shown, Notes::default()));
    assert_eq!(registry.hit(1, hit(What::Hls, MASTER)), Outcome::Known);
}
