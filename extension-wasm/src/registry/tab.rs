//! The cards of one tab, and what is remembered of them.
//!
//! Invariant: `shown.streams` and `notes.cards` are the same cards in the same order.

use serde::Serialize;
use weir_media::classify::Initiator;
use weir_protocol::DownloadKind;

use super::fold::{self, Fold};
use super::{Hit, MAX_CARDS, Reading, name};
use crate::stream::{Stream, TabStreams};

/// Addresses and shapes remembered for folding, for each card.
const MAX_FOLDS: usize = 400;

/// What a tab holds, split into what the popup reads and what only the registry needs.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tab {
    /// Stored under [`crate::stream::tab_key`].
    pub shown: TabStreams,
    /// Stored under [`super::notes_key`].
    pub notes: Notes,
}

/// What the registry remembers of a tab besides its cards.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Notes {
    /// Number of the next card.
    pub(crate) next: u32,
    /// One for each card, in the same order.
    pub(crate) cards: Vec<Note>,
    /// Folders of manifests the worker does not read, DASH for one: what scripts fetch from there are pieces.
    pub(crate) foreign: Vec<String>,
}

/// What the registry remembers of a card.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct Note {
    /// The card's.
    pub(crate) id: String,
    /// Its own addresses, as [`fold::key`] writes them: as asked for, and after redirects.
    pub(crate) keys: Vec<String>,
    /// The document that asked for it.
    pub(crate) document: Option<String>,
    /// It was opened as a page: the navigation that follows belongs to it.
    pub(crate) navigation: bool,
    /// Only scripts asked for it, so it may turn out to be a piece.
    pub(crate) script: bool,
    /// Its playlist has not been read yet.
    pub(crate) unread: bool,
    /// Name in `Content-Disposition`.
    pub(crate) file_name: Option<String>,
    /// Playlists that belong to it.
    pub(crate) folds: Vec<Fold>,
    /// Shapes of its segments, when they look like files.
    pub(crate) shapes: Vec<String>,
}

/// What is already known of a hit.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// A playlist of the card with this id, met for the first time; its segments look like files.
    FirstMeeting(String),
    /// The hit told something new.
    Changed,
    /// It did not.
    Unchanged,
}

impl Tab {
    /// What was stored. Notes that are not of these cards (a version before wrote them) begin anew.
    #[must_use]
    pub fn restored(shown: TabStreams, mut notes: Notes) -> Self {
        let ids = shown.streams.iter().map(|stream| &stream.id);
        if !ids.eq(notes.cards.iter().map(|note| &note.id)) {
            let note = |stream: &Stream| Note {
                id: stream.id.clone(),
                keys: vec![fold::key(&stream.url)],
                ..Note::default()
            };
            notes.cards = shown.streams.iter().map(note).collect();
        }
        Self { shown, notes }
    }

    fn cards_mut(&mut self) -> impl Iterator<Item = (&mut Stream, &mut Note)> {
        self.shown.streams.iter_mut().zip(&mut self.notes.cards)
    }

    fn card_mut(&mut self, id: &str) -> Option<(&mut Stream, &mut Note)> {
        self.cards_mut().find(|(_, note)| note.id == id)
    }

    pub(super) fn unread(&self) -> impl Iterator<Item = &Stream> {
        self.shown
            .streams
            .iter()
            .zip(&self.notes.cards)
            .filter(|(_, note)| note.unread)
            .map(|(stream, _)| stream)
    }

    pub(super) fn knows(&self, key: &String) -> bool {
        self.notes.cards.iter().any(|note| note.keys.contains(key) || fold::find(&note.folds, key).is_some())
    }

    pub(super) fn has_request(&self, key: &String) -> bool {
        let mut cards = self.shown.streams.iter().zip(&self.notes.cards);
        cards.any(|(stream, note)| !stream.headers.is_empty() && note.keys.contains(key))
    }

    pub(super) fn clear(&mut self) {
        self.shown.streams.clear();
        self.notes.cards.clear();
    }

    pub(super) fn known(&mut self, keys: &[String], hit: &Hit) -> Option<Known> {
        for (stream, note) in self.cards_mut() {
            if let Some(first) = keys.iter().find_map(|key| fold::meet(&mut note.folds, key)) {
                return Some(match (first, note.shapes.is_empty()) {
                    (false, _) => Known::Unchanged,
                    (true, true) => Known::Changed,
                    (true, false) => Known::FirstMeeting(note.id.clone()),
                });
            }
            if !keys.iter().any(|key| note.keys.contains(key)) {
                continue;
            }
            let mut changed = add_new(&mut note.keys, keys);
            if note.script && hit.initiator != Initiator::Script {
                note.script = false;
                changed = true;
            }
            changed |= complete(stream, hit);
            return Some(if changed { Known::Changed } else { Known::Unchanged });
        }
        None
    }

    /// Fetched by script, and so like the segments of a known stream that it must be one.
    pub(super) fn is_piece(&self, url: &str) -> bool {
        let shape = fold::shape(url);
        self.notes.cards.iter().any(|note| note.shapes.contains(&shape)) || lies_in(url, &self.notes.foreign)
    }

    pub(super) fn add(&mut self, kind: DownloadKind, keys: &[String], hit: Hit) -> String {
        let id = format!("s{}", self.notes.next);
        self.notes.next = self.notes.next.wrapping_add(1);
        if self.shown.streams.len() >= MAX_CARDS {
            self.shown.streams.remove(0);
            self.notes.cards.remove(0);
        }
        let navigation = hit.initiator == Initiator::Navigation;
        // What is opened as a page is no part of the page before it, whose title would be a wrong name.
        let title = if navigation { None } else { self.shown.page_title.clone() };
        let name = name::card(kind, hit.file_name.as_deref(), &hit.final_url, title.as_deref());
        let mut note = Note {
            id: id.clone(),
            document: hit.document,
            navigation,
            script: hit.initiator == Initiator::Script,
            unread: kind == DownloadKind::Hls,
            file_name: hit.file_name,
            ..Note::default()
        };
        add_new(&mut note.keys, keys);
        self.notes.cards.push(note);
        self.shown.streams.push(Stream {
            id: id.clone(),
            kind,
            url: hit.url,
            name,
            page_url: self.shown.page_url.clone(),
            title,
            referer: hit.context.referer,
            cookies: hit.context.cookies,
            headers: hit.context.headers,
            content_type: hit.content_type,
            total_bytes: if kind == DownloadKind::File { hit.total_bytes } else { None },
            duration_ms: None,
            live: false,
            protected: false,
            variants: Vec::new(),
        });
        id
    }

    pub(super) fn read(&mut self, id: &str, reading: Option<Reading>) -> bool {
        let Some((_, note)) = self.card_mut(id) else { return false };
        note.unread = false;
        let Some(reading) = reading else { return true };
        for playlist in reading.playlists.iter().take(MAX_FOLDS) {
            let key = fold::key(playlist);
            if !note.keys.contains(&key) && fold::find(&note.folds, &key).is_none() {
                note.folds.push(Fold { key, met: false });
            }
        }
        add_new(&mut note.shapes, &reading.shapes);
        let swallowed = self.swallow(id);
        if let Some((stream, _)) = self.card_mut(id) {
            // A playlist met before its parent was read on its own, and what it told still holds.
            let told = swallowed.iter().find_map(|stream| stream.duration_ms);
            stream.duration_ms = reading.duration_ms.or(told).or(stream.duration_ms);
            stream.live |= reading.live || swallowed.iter().any(|stream| stream.live);
            stream.protected |= reading.protected || swallowed.iter().any(|stream| stream.protected);
            if !reading.variants.is_empty() {
                stream.variants = reading.variants;
            }
        }
        true
    }

    pub(super) fn learn_shapes(&mut self, id: &str, shapes: &[String]) -> bool {
        let Some((_, note)) = self.card_mut(id) else { return false };
        let learned = add_new(&mut note.shapes, shapes);
        self.swallow(id);
        learned
    }

    /// Takes the cards out that belong to the card `id`, and returns them.
    fn swallow(&mut self, id: &str) -> Vec<Stream> {
        let Some((_, owner)) = self.card_mut(id) else { return Vec::new() };
        let mut owner = std::mem::take(owner);
        let swallowed = self.take(|stream, note| {
            if stream.id == id {
                return false;
            }
            let folded =
                note.keys.iter().filter(|key| fold::meet(&mut owner.folds, key).is_some()).count() > 0;
            folded
                || (note.script
                    && stream.kind == DownloadKind::File
                    && owner.shapes.contains(&fold::shape(&stream.url)))
        });
        // Its place is that of its stream, whose id it lacked meanwhile.
        for (stream, note) in self.cards_mut() {
            if stream.id == id {
                *note = std::mem::take(&mut owner);
            }
        }
        swallowed
    }

    pub(super) fn foreign_manifest(&mut self, url: &str) -> bool {
        let folder = fold::folder(url);
        if self.notes.foreign.len() >= MAX_FOLDS || self.notes.foreign.contains(&folder) {
            return false;
        }
        self.notes.foreign.push(folder);
        let foreign = self.notes.foreign.clone();
        self.take(|stream, note| {
            note.script && stream.kind == DownloadKind::File && lies_in(&stream.url, &foreign)
        });
        true
    }

    pub(super) fn navigated(&mut self, url: &str, document: Option<&str>) {
        let key = fold::key(url);
        let asked =
            |note: &Note| !note.navigation && document.is_some() && note.document.as_deref() == document;
        self.take(|_, note| !(asked(note) || note.navigation && note.keys.contains(&key)));
        let kept = self.shown.streams.iter().filter(|stream| stream.kind == DownloadKind::Dash);
        self.notes.foreign = kept.map(|stream| fold::folder(&stream.url)).collect();
        url.clone_into(&mut self.shown.page_url);
        self.shown.page_title = None;
        // They were met under the name of the page before.
        for (stream, note) in self.cards_mut().filter(|(_, note)| asked(note)) {
            url.clone_into(&mut stream.page_url);
            stream.title = None;
            stream.name = name::card(stream.kind, note.file_name.as_deref(), &stream.url, None);
        }
    }

    pub(super) fn located(&mut self, url: &str) -> bool {
        if self.shown.page_url == url {
            return false;
        }
        url.clone_into(&mut self.shown.page_url);
        for stream in self.shown.streams.iter_mut().filter(|stream| stream.page_url.is_empty()) {
            url.clone_into(&mut stream.page_url);
        }
        true
    }

    pub(super) fn titled(&mut self, title: &str) -> bool {
        let Some(title) = name::title(title, &self.shown.page_url) else { return false };
        if self.shown.page_title.as_deref() == Some(title.as_str()) {
            return false;
        }
        for (stream, note) in self.cards_mut().filter(|(stream, _)| stream.title.is_none()) {
            stream.name = name::card(stream.kind, note.file_name.as_deref(), &stream.url, Some(&title));
            stream.title = Some(title.clone());
        }
        self.shown.page_title = Some(title);
        true
    }

    /// Takes out every card for which `leaves` is true.
    fn take(&mut self, mut leaves: impl FnMut(&Stream, &Note) -> bool) -> Vec<Stream> {
        let mut gone = Vec::new();
        let mut at = 0;
        while let (Some(stream), Some(note)) = (self.shown.streams.get(at), self.notes.cards.get(at)) {
            if leaves(stream, note) {
                gone.push(self.shown.streams.remove(at));
                self.notes.cards.remove(at);
            } else {
                at += 1;
            }
        }
        gone
    }
}

fn lies_in(url: &str, folders: &[String]) -> bool {
    folders.iter().any(|folder| url.starts_with(folder.as_str()))
}

/// Adds what is not there yet; whether anything was.
fn add_new(known: &mut Vec<String>, more: &[String]) -> bool {
    let before = known.len();
    for text in more {
        if known.len() < MAX_FOLDS && !known.contains(text) {
            known.push(text.clone());
        }
    }
    known.len() > before
}

/// Fills in what an earlier meeting did not tell. What was told stays: it is what worked.
fn complete(stream: &mut Stream, hit: &Hit) -> bool {
    let mut changed = false;
    if stream.headers.is_empty() && !hit.context.headers.is_empty() {
        stream.headers = hit.context.headers.clone();
        stream.cookies = hit.context.cookies.clone();
        stream.referer = hit.context.referer.clone();
        changed = true;
    }
    if stream.kind == DownloadKind::File && stream.total_bytes.is_none() && hit.total_bytes.is_some() {
        stream.total_bytes = hit.total_bytes;
        changed = true;
    }
    changed
}
