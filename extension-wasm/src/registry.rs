//! What was found in which tab: one card for each thing a person would call one thing.
//!
//! Pure bookkeeping: told what was met, it says what is new. Never asks the browser and never fetches. Invariants:
//! an address belongs to at most one card of a tab; a card never moves to another tab; the number in a card's id is
//! never used twice in a tab, so an answer that comes late cannot reach the wrong card.

mod fold;
mod name;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use weir_media::classify::{Initiator, What};
use weir_protocol::{DownloadKind, Variant};

use crate::request::Context;
use crate::stream::{Stream, TabStreams};

pub use fold::shape;

/// Cards kept for a tab; beyond it the oldest goes, because the newest is what plays.
pub const MAX_CARDS: usize = 200;

/// Addresses and shapes remembered for folding, for each card.
const MAX_FOLDS: usize = 400;

/// What a tab holds, split into what the popup reads and what only the registry needs.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tab {
    /// Stored under [`crate::stream::tab_key`].
    pub shown: TabStreams,
    /// Stored under [`notes_key`].
    pub notes: Notes,
}

/// What the registry remembers of a tab besides its cards.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Notes {
    /// Number of the next card.
    next: u32,
    /// By the card's id.
    cards: BTreeMap<String, Note>,
    /// Folders of DASH and other manifests: what scripts fetch from there are pieces.
    foreign: BTreeSet<String>,
}

/// What the registry remembers of a card.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Note {
    /// Its own addresses, as [`fold::key`] writes them: as asked for, and after redirects.
    keys: BTreeSet<String>,
    /// The document that asked for it.
    document: Option<String>,
    /// It was opened as a page: the navigation that follows belongs to it.
    navigation: bool,
    /// Only scripts asked for it, so it may turn out to be a piece.
    script: bool,
    /// Its playlist has not been read yet.
    unread: bool,
    /// Name in `Content-Disposition`.
    file_name: Option<String>,
    /// Playlists that belong to it, and whether each was met.
    folds: BTreeMap<String, bool>,
    /// Shapes of its segments, when they look like files.
    shapes: BTreeSet<String>,
}

/// Something met in a tab.
#[derive(Debug, Clone)]
pub struct Hit {
    /// `Hls`, `Media`, `File` or `ForeignManifest`; anything else is ignored.
    pub what: What,
    /// Address as asked for.
    pub url: String,
    /// Address after redirects.
    pub final_url: String,
    /// What asked for it.
    pub initiator: Initiator,
    /// The document that asked for it.
    pub document: Option<String>,
    /// Name in `Content-Disposition`.
    pub file_name: Option<String>,
    /// `Content-Type` without parameters, lower case.
    pub content_type: Option<String>,
    /// Size of the whole, in bytes.
    pub total_bytes: Option<u64>,
    /// The request as the browser sent it.
    pub context: Context,
}

/// What a [`Hit`] came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// A new card with this id.
    Added(String),
    /// A playlist of the card with this id, met for the first time; its segments look like files, so reading it
    /// tells which addresses to fold.
    Fold(String),
    /// Nothing new.
    Known,
}

/// What reading a playlist told about a card.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reading {
    /// Length of the media.
    pub duration_ms: Option<u64>,
    /// Without end.
    pub live: bool,
    /// Under DRM.
    pub protected: bool,
    /// Best first.
    pub variants: Vec<Variant>,
    /// Addresses of the playlists it consists of.
    pub playlists: Vec<String>,
    /// Shapes (see [`shape`]) of segments that look like files.
    pub shapes: BTreeSet<String>,
}

/// Key of a tab's [`Notes`] in `storage.session`.
#[must_use]
pub fn notes_key(tab_id: i32) -> String {
    format!("notes:{tab_id}")
}

/// Every tab's cards.
#[derive(Debug, Default)]
pub struct Registry {
    tabs: BTreeMap<i32, Tab>,
    changed: BTreeSet<i32>,
}

impl Registry {
    /// Puts back what was stored. Not a change.
    pub fn restore(&mut self, tab_id: i32, tab: Tab) {
        self.tabs.insert(tab_id, tab);
    }

    /// A tab, when anything is known of it.
    #[must_use]
    pub fn tab(&self, tab_id: i32) -> Option<&Tab> {
        self.tabs.get(&tab_id)
    }

    /// How many cards a tab has.
    #[must_use]
    pub fn count(&self, tab_id: i32) -> usize {
        self.tabs.get(&tab_id).map_or(0, |tab| tab.shown.streams.len())
    }

    /// Tabs changed since the last call; one that is [`Self::tab`]-less has gone.
    pub fn take_changed(&mut self) -> BTreeSet<i32> {
        std::mem::take(&mut self.changed)
    }

    /// The only tab that shows a page of `origin`. Requests of a page's service worker belong to no tab: they may
    /// be given to the page they serve when there is no doubt which it is, and to nobody otherwise.
    #[must_use]
    pub fn only_tab_of(&self, origin: &str) -> Option<i32> {
        let mut tabs = self.tabs.iter().filter(|(_, tab)| fold::origin(&tab.shown.page_url) == Some(origin));
        match (tabs.next(), tabs.next()) {
            (Some((tab_id, _)), None) => Some(*tab_id),
            _ => None,
        }
    }

    /// Cards whose playlist is still to be read: tab, id and address.
    #[must_use]
    pub fn unread(&self) -> Vec<(i32, String, String)> {
        let mut unread = Vec::new();
        for (tab_id, tab) in &self.tabs {
            for stream in &tab.shown.streams {
                if tab.notes.cards.get(&stream.id).is_some_and(|note| note.unread) {
                    unread.push((*tab_id, stream.id.clone(), stream.url.clone()));
                }
            }
        }
        unread
    }

    /// Whether an address already has a card, or belongs to one: then there is no need to look at its body.
    #[must_use]
    pub fn knows(&self, tab_id: i32, url: &str) -> bool {
        let key = fold::key(url);
        self.tabs.get(&tab_id).is_some_and(|tab| tab.notes.cards.values().any(|note| note.owns(&key)))
    }

    /// Something was met in a tab.
    pub fn hit(&mut self, tab_id: i32, hit: Hit) -> Outcome {
        let kind = match hit.what {
            What::Hls => DownloadKind::Hls,
            What::Media | What::File => DownloadKind::File,
            What::ForeignManifest => {
                self.foreign_manifest(tab_id, &hit.final_url);
                return Outcome::Known;
            }
            What::MaybeHls | What::Piece | What::Nothing => return Outcome::Known,
        };
        let tab = self.tabs.entry(tab_id).or_default();
        let keys = BTreeSet::from([fold::key(&hit.url), fold::key(&hit.final_url)]);

        if let Some(outcome) = tab.known(&keys, &hit) {
            if outcome != Known::Unchanged {
                self.changed.insert(tab_id);
            }
            return match outcome {
                Known::FirstMeeting(id) => Outcome::Fold(id),
                Known::Changed | Known::Unchanged => Outcome::Known,
            };
        }
        if hit.initiator == Initiator::Script && hit.what == What::Media && tab.is_piece(&hit.final_url) {
            return Outcome::Known;
        }
        let id = tab.add(kind, keys, hit);
        self.changed.insert(tab_id);
        Outcome::Added(id)
    }

    /// The playlist of a card was read: folds its playlists and segments into it. `None` when it could not be read.
    /// A card that has gone meanwhile stays gone.
    pub fn read(&mut self, tab_id: i32, id: &str, reading: Option<Reading>) {
        let Some(tab) = self.tabs.get_mut(&tab_id) else { return };
        let Some(note) = tab.notes.cards.get_mut(id) else { return };
        note.unread = false;
        self.changed.insert(tab_id);
        let Some(reading) = reading else { return };
        for playlist in reading.playlists.iter().take(MAX_FOLDS) {
            let key = fold::key(playlist);
            if !note.keys.contains(&key) {
                note.folds.entry(key).or_insert(false);
            }
        }
        note.shapes.extend(reading.shapes.iter().take(MAX_FOLDS).cloned());
        let swallowed = tab.swallow(id);
        if let Some(stream) = tab.shown.streams.iter_mut().find(|stream| stream.id == id) {
            // A playlist met before its parent was read on its own, and what it told still holds.
            let told = |pick: fn(&Stream) -> Option<u64>| swallowed.iter().find_map(pick);
            stream.duration_ms = reading.duration_ms.or(told(|s| s.duration_ms)).or(stream.duration_ms);
            stream.live |= reading.live || swallowed.iter().any(|stream| stream.live);
            stream.protected |= reading.protected || swallowed.iter().any(|stream| stream.protected);
            if !reading.variants.is_empty() {
                stream.variants = reading.variants;
            }
        }
    }

    /// A playlist that belongs to a card was read: its segments are pieces.
    pub fn learn_shapes(&mut self, tab_id: i32, id: &str, shapes: BTreeSet<String>) {
        let Some(tab) = self.tabs.get_mut(&tab_id) else { return };
        let Some(note) = tab.notes.cards.get_mut(id) else { return };
        note.shapes.extend(shapes.into_iter().take(MAX_FOLDS));
        tab.swallow(id);
        self.changed.insert(tab_id);
    }

    /// The tab shows a new document: what the old one had is gone. Kept are cards the new document already asked
    /// for (its requests may overtake the news of it) and what was opened as the page itself.
    pub fn navigated(&mut self, tab_id: i32, url: &str, document: Option<&str>) {
        let tab = self.tabs.entry(tab_id).or_default();
        tab.navigated(url, document);
        self.changed.insert(tab_id);
    }

    /// The tab's address changed without a new document, or is heard of for the first time.
    pub fn located(&mut self, tab_id: i32, url: &str) {
        let tab = self.tabs.entry(tab_id).or_default();
        if tab.shown.page_url == url {
            return;
        }
        url.clone_into(&mut tab.shown.page_url);
        for stream in tab.shown.streams.iter_mut().filter(|stream| stream.page_url.is_empty()) {
            url.clone_into(&mut stream.page_url);
        }
        self.changed.insert(tab_id);
    }

    /// The page has a title. Cards found before it was known take it; a title once taken stays.
    pub fn titled(&mut self, tab_id: i32, title: &str) {
        let Some(tab) = self.tabs.get_mut(&tab_id) else { return };
        let Some(title) = name::title(title, &tab.shown.page_url) else { return };
        if tab.shown.page_title.as_deref() == Some(title.as_str()) {
            return;
        }
        for stream in tab.shown.streams.iter_mut().filter(|stream| stream.title.is_none()) {
            stream.title = Some(title.clone());
            let file_name = tab.notes.cards.get(&stream.id).and_then(|note| note.file_name.as_deref());
            stream.name = name::card(stream.kind, file_name, &stream.url, Some(&title));
        }
        tab.shown.page_title = Some(title);
        self.changed.insert(tab_id);
    }

    /// The tab is closed.
    pub fn removed(&mut self, tab_id: i32) {
        self.tabs.remove(&tab_id);
        self.changed.insert(tab_id);
    }

    /// Makes room when the browser will not store any more: empties the fullest tab. `false` when there is none.
    pub fn shed(&mut self) -> bool {
        let fullest = self.tabs.iter_mut().max_by_key(|(_, tab)| tab.shown.streams.len());
        let Some((tab_id, tab)) = fullest.filter(|(_, tab)| !tab.shown.streams.is_empty()) else {
            return false;
        };
        tab.shown.streams.clear();
        tab.notes.cards.clear();
        self.changed.insert(*tab_id);
        true
    }

    fn foreign_manifest(&mut self, tab_id: i32, url: &str) {
        let tab = self.tabs.entry(tab_id).or_default();
        if tab.notes.foreign.len() < MAX_FOLDS && tab.notes.foreign.insert(fold::folder(url)) {
            tab.drop_pieces();
            self.changed.insert(tab_id);
        }
    }
}

/// What is already known of a hit.
#[derive(Debug, PartialEq, Eq)]
enum Known {
    FirstMeeting(String),
    Changed,
    Unchanged,
}

impl Note {
    fn owns(&self, key: &str) -> bool {
        self.keys.contains(key) || fold::find(&self.folds, key).is_some()
    }
}

impl Tab {
    fn known(&mut self, keys: &BTreeSet<String>, hit: &Hit) -> Option<Known> {
        for (id, note) in &mut self.notes.cards {
            if let Some(first) = keys.iter().find_map(|key| fold::meet(&mut note.folds, key)) {
                return Some(match (first, note.shapes.is_empty()) {
                    (false, _) => Known::Unchanged,
                    (true, true) => Known::Changed,
                    (true, false) => Known::FirstMeeting(id.clone()),
                });
            }
            if note.keys.is_disjoint(keys) {
                continue;
            }
            let mut changed = !keys.is_subset(&note.keys);
            note.keys.extend(keys.iter().cloned());
            if note.script && hit.initiator != Initiator::Script {
                note.script = false;
                changed = true;
            }
            if let Some(stream) = self.shown.streams.iter_mut().find(|stream| stream.id == *id) {
                changed |= complete(stream, hit);
            }
            return Some(if changed { Known::Changed } else { Known::Unchanged });
        }
        None
    }

    /// Fetched by script, and so like the segments of a known stream that it must be one.
    fn is_piece(&self, url: &str) -> bool {
        let shape = fold::shape(url);
        self.notes.cards.values().any(|note| note.shapes.contains(&shape))
            || self.notes.foreign.iter().any(|folder| url.starts_with(folder.as_str()))
    }

    fn add(&mut self, kind: DownloadKind, keys: BTreeSet<String>, hit: Hit) -> String {
        let id = format!("s{}", self.notes.next);
        self.notes.next = self.notes.next.wrapping_add(1);
        if self.shown.streams.len() >= MAX_CARDS {
            let oldest = self.shown.streams.remove(0);
            self.notes.cards.remove(&oldest.id);
        }
        let navigation = hit.initiator == Initiator::Navigation;
        // What is opened as a page is no part of the page before it, whose title would be a wrong name.
        let title = if navigation { None } else { self.shown.page_title.clone() };
        let name = name::card(kind, hit.file_name.as_deref(), &hit.final_url, title.as_deref());
        self.notes.cards.insert(
            id.clone(),
            Note {
                keys,
                document: hit.document,
                navigation,
                script: hit.initiator == Initiator::Script,
                unread: kind == DownloadKind::Hls,
                file_name: hit.file_name,
                ..Note::default()
            },
        );
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

    /// Takes the cards out that belong to the card `id`, and returns them.
    fn swallow(&mut self, id: &str) -> Vec<Stream> {
        let Some(owner) = self.notes.cards.get(id).cloned() else { return Vec::new() };
        let mut met = Vec::new();
        let swallowed = self.take(|stream, note| {
            if stream.id == id {
                return false;
            }
            let fold = note.keys.iter().find(|key| fold::find(&owner.folds, key).is_some());
            met.extend(fold.cloned());
            fold.is_some()
                || (note.script
                    && stream.kind == DownloadKind::File
                    && owner.shapes.contains(&fold::shape(&stream.url)))
        });
        if let Some(owner) = self.notes.cards.get_mut(id) {
            for key in met {
                fold::meet(&mut owner.folds, &key);
            }
        }
        swallowed
    }

    fn drop_pieces(&mut self) {
        let foreign = self.notes.foreign.clone();
        self.take(|stream, note| {
            note.script
                && stream.kind == DownloadKind::File
                && foreign.iter().any(|folder| stream.url.starts_with(folder.as_str()))
        });
    }

    fn navigated(&mut self, url: &str, document: Option<&str>) {
        let key = fold::key(url);
        let mut arrived = BTreeSet::new();
        self.take(|stream, note| {
            let opened = note.navigation && note.keys.contains(&key);
            let asked = !note.navigation && document.is_some() && note.document.as_deref() == document;
            if asked {
                arrived.insert(stream.id.clone());
            }
            !opened && !asked
        });
        self.notes.foreign.clear();
        url.clone_into(&mut self.shown.page_url);
        self.shown.page_title = None;
        // They were met under the name of the page before.
        for stream in self.shown.streams.iter_mut().filter(|stream| arrived.contains(&stream.id)) {
            url.clone_into(&mut stream.page_url);
            stream.title = None;
            let file_name = self.notes.cards.get(&stream.id).and_then(|note| note.file_name.as_deref());
            stream.name = name::card(stream.kind, file_name, &stream.url, None);
        }
    }

    /// Takes out every card for which `leaves` is true.
    fn take(&mut self, mut leaves: impl FnMut(&Stream, &Note) -> bool) -> Vec<Stream> {
        let none = Note::default();
        let cards = &self.notes.cards;
        let (gone, kept) = std::mem::take(&mut self.shown.streams)
            .into_iter()
            .partition::<Vec<_>, _>(|stream| leaves(stream, cards.get(&stream.id).unwrap_or(&none)));
        self.shown.streams = kept;
        for stream in &gone {
            self.notes.cards.remove(&stream.id);
        }
        gone
    }
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

#[cfg(test)]
mod tests;
